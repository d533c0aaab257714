package main

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-sip/tandem/internal/config"
)

func TestRests(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name        string
		now, before footprint
		want        bool
	}{
		{"after a burst", footprint{1000 * mib, 20 * mib, 60 * mib, 0}, footprint{1000*mib - 100, 20 * mib, 60 * mib, 0}, true},
		{"free is to give back too", footprint{1000 * mib, 20 * mib, 20 * mib, 20 * mib}, footprint{1000 * mib, 20 * mib, 20 * mib, 20 * mib}, true},
		{"at work", footprint{1000 * mib, 20 * mib, 60 * mib, 0}, footprint{990 * mib, 20 * mib, 50 * mib, 0}, false},
		{"nothing to give", footprint{1000 * mib, 20 * mib, 21 * mib, 2 * mib}, footprint{1000 * mib, 20 * mib, 21 * mib, 2 * mib}, false},
		{"little beside what is alive", footprint{1000 * mib, 400 * mib, 450 * mib, 10 * mib}, footprint{1000 * mib, 400 * mib, 450 * mib, 10 * mib}, false},
		{"much beside what is alive", footprint{1000 * mib, 400 * mib, 550 * mib, 0}, footprint{1000 * mib, 400 * mib, 550 * mib, 0}, true},
		{"less than was alive", footprint{1000 * mib, 20 * mib, 10 * mib, 0}, footprint{1000 * mib, 20 * mib, 10 * mib, 0}, false},
	} {
		if got := c.now.rests(c.before); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestRestGivesBack: what a burst left is collected and given back by itself.
func TestRestGivesBack(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	synctest.Test(t, func(t *testing.T) {
		c := &collector{}
		defer c.release()
		c.apply(config.Memory{GCPercent: 1000, GCHeadroom: 1 << 30}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		// Ends with ctx.
		go func() { defer close(done); c.rest(ctx) }()
		for range 128 {
			keep = append(keep, make([]byte, 1<<20))
		}
		keep = nil
		burst := readFootprint()
		if burst.objects+burst.free < 128<<20 {
			t.Fatalf("no garbage to give back: %+v", burst)
		}
		time.Sleep(3 * restEvery)
		synctest.Wait()
		if after := readFootprint(); after.objects+after.free > after.live+restWorth {
			t.Errorf("%+v, and after a rest still %+v", burst, after)
		}
		cancel()
		<-done
	})
}
