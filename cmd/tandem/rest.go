package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A process that rests gives its memory back: after a burst, of handshakes for instance, what they left behind
// would else stay until much is allocated again, or for good.
const (
	restEvery = 2 * time.Second
	restRate  = 1 << 20  // bytes a second; whoever allocates more is at work
	restWorth = 16 << 20 // bytes to give back that are worth a collection, or a quarter of what is alive
)

// footprint is what the runtime has, in bytes.
type footprint struct {
	allocated uint64 // since the start of the process
	live      uint64 // what the last collection found alive
	objects   uint64 // alive or not collected yet
	free      uint64 // kept from the system for later
}

func readFootprint() footprint {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(samples)
	var v [4]uint64
	for i, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			v[i] = s.Value.Uint64()
		}
	}
	return footprint{allocated: v[0], live: v[1], objects: v[2], free: v[3]}
}

// rests tells whether the process did little since before, restEvery ago, and has memory to give back.
func (u footprint) rests(before footprint) bool {
	spare := u.free
	if u.objects > u.live {
		spare += u.objects - u.live
	}
	return u.allocated-before.allocated <= restRate*uint64(restEvery/time.Second) && spare > max(restWorth, u.live/4)
}

// rest gives memory back whenever the process rests, until ctx is done. While the environment has the collector
// it does nothing.
func (c *collector) rest(ctx context.Context) {
	tick := time.NewTicker(restEvery)
	defer tick.Stop()
	before := readFootprint()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := readFootprint()
		if c.memory.Load() != nil && now.rests(before) {
			debug.FreeOSMemory()
			now = readFootprint()
		}
		before = now
	}
}
