package main

import (
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"

	"github.com/tandem-sip/tandem/internal/config"
)

// collector sets when Go's garbage collector runs. What a proxy has alive is small beside what it allocates in a
// second, so that a collection each time the heap has doubled is one after the other. Here it may also grow by a
// fixed amount first: after each collection the percentage that GOGC stands for is set anew, for what is alive then.
type collector struct {
	memory atomic.Pointer[config.Memory] // nil: the collector is left alone, or was given back
}

// apply puts settings into force, at the start or after a reload. What the environment sets, stands.
func (c *collector) apply(m config.Memory, log *slog.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" {
		log.Info("GOMEMLIMIT is set, and memory.limit not used", "limit", os.Getenv("GOMEMLIMIT"))
	} else if m.Limit > 0 {
		debug.SetMemoryLimit(int64(m.Limit))
	} else {
		debug.SetMemoryLimit(math.MaxInt64)
	}
	if os.Getenv("GOGC") != "" {
		log.Info("GOGC is set, and memory.gc_percent and memory.gc_headroom not used", "percent", os.Getenv("GOGC"))
		return
	}
	first := c.memory.Swap(&m) == nil
	c.tune()
	if first {
		c.watch()
	}
}

// release leaves the collector to itself again, as Go starts it.
func (c *collector) release() {
	if c.memory.Swap(nil) != nil {
		debug.SetGCPercent(100)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(math.MaxInt64)
	}
}

// watch has tune called after each collection: an object that nobody refers to does not outlive one. While that
// has not happened yet the percentage of the cycle before is in force, and the heap may grow for a moment by that
// much of what is alive now; it is bounded in percentFor.
func (c *collector) watch() {
	type sentinel struct{ _ [64]byte } // alone in its place: smaller ones share it, and live as long as the others
	runtime.AddCleanup(new(sentinel), func(c *collector) {
		if c.memory.Load() != nil {
			c.tune()
			c.watch()
		}
	}, c)
}

// tune sets the percentage for what is alive.
func (c *collector) tune() {
	if m := c.memory.Load(); m != nil {
		debug.SetGCPercent(percentFor(*m, alive()))
	}
}

// alive returns what the last collection found in use and a percentage counts from, in bytes.
func alive() (bytes uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(samples)
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			bytes += s.Value.Uint64()
		}
	}
	return bytes
}

// leastAlive is what a percentage is computed for when less is alive: Go's own heap has such a minimum. It also
// bounds the percentage.
const leastAlive = 4 << 20

// percentFor returns the percentage at which the next collection comes when what is alive has grown by
// m.GCPercent, or by m.GCHeadroom bytes if that is more.
func percentFor(m config.Memory, alive uint64) int {
	return max(m.GCPercent, int(uint64(m.GCHeadroom)*100/max(alive, leastAlive)))
}
