package transaction

import (
	"context"
	"sync/atomic"
	"time"
)

// clock turns time into ticks and sleeps until some shard has something due. It does not tick: with no
// timer set, nothing wakes.
type clock struct {
	epoch      time.Time
	resolution time.Duration
	asleep     atomic.Int64  // tick until which run sleeps; 0 while it is awake
	wake       chan struct{} // has room for one
}

// newClock returns a clock for timers that are multiples of t1. They fire late by up to a fiftieth of it,
// but at most 10 ms. The end of what has finished may be seen 16 times as late.
func newClock(t1 time.Duration) clock {
	return clock{
		epoch:      time.Now(),
		resolution: min(max(t1/50, time.Millisecond), 10*time.Millisecond),
		wake:       make(chan struct{}, 1),
	}
}

// now returns the time since the layer was made.
func (c *clock) now() instant { return time.Since(c.epoch) }

// tickAt returns the first tick that is not before t.
func (c *clock) tickAt(t instant) tick { return tick((t + c.resolution - 1) / c.resolution) }

// endTicks is a power of two. Nobody waits for the end of what has finished, so that many ends share one look.
const endTicks = 16

// endAt returns when to look at a finished transaction that ends at t.
func (c *clock) endAt(t instant) tick { return (c.tickAt(t) + endTicks - 1) &^ (endTicks - 1) }

// passed returns the last tick that is not after t.
func (c *clock) passed(t instant) tick { return tick(t / c.resolution) }

// poke wakes run if it would sleep beyond at.
func (c *clock) poke(at tick) {
	if at < tick(c.asleep.Load()) {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

// run calls look with the present tick whenever some shard has something due, until ctx is done. look
// returns when it must be called next; soonest says the same without doing anything.
func (c *clock) run(ctx context.Context, look func(tick) tick, soonest func() tick) error {
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	for {
		c.asleep.Store(0)
		next := look(c.passed(c.now()))
		c.asleep.Store(int64(next))
		// Whoever set an earlier timer before asleep was stored could not know to poke.
		if soonest() < next {
			continue
		}
		var due <-chan time.Time
		if next != never {
			alarm.Reset(time.Duration(next)*c.resolution - c.now())
			due = alarm.C
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.wake:
		case <-due:
		}
	}
}
