package sctp

import (
	"errors"
	"runtime"
	"testing"
	"time"
)

// gone waits until there are no more goroutines than before.
func gone(t *testing.T, before int) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for end := time.After(patience); runtime.NumGoroutine() > before; {
		select {
		case <-ticker.C:
		case <-end:
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// TestLeaks opens and ends 300 associations: by shutdown, by abort, and by silence. Goroutines and memory are
// then what they were; an association that is left holds some 70 KiB.
func TestLeaks(t *testing.T) {
	e := join(t, quick())
	e.client.Abort("it only warmed up")
	_ = ended(t, e.server)
	leave(t, func() (client, server Association) { return e.dial(t) }, e.serverCable)
	for _, s := range []*stack{e.clientStack, e.serverStack} {
		if n := s.Stats().Associations; n != 0 || len(s.byTag) != 0 || len(s.byPath) != 0 {
			t.Errorf("%d associations are left", n)
		}
	}
}

// leave opens associations by dial and ends them. The last hundred are of the provider on a cable that can be cut.
func leave(t *testing.T, dial func() (client, server Association), c *cable) {
	t.Helper()
	const each = 100
	goroutines, before := runtime.NumGoroutine(), heap()
	for _, end := range []string{"shutdown", "abort", "silence"} {
		var all [][2]Association
		var ends []<-chan error
		for range each {
			client, server := dial()
			got, end := collect(server)
			if err := client.Send(within(t), make([]byte, 2000), 0, true); err != nil {
				t.Fatal(err)
			}
			next(t, got)
			_, clientEnd := collect(client)
			all, ends = append(all, [2]Association{client, server}), append(ends, end, clientEnd)
		}
		c.cut.Store(end == "silence")
		for i, pair := range all {
			switch end {
			case "shutdown":
				if err := pair[i%2].Shutdown(within(t)); err != nil {
					t.Fatal(err)
				}
			case "abort":
				pair[i%2].Abort("enough")
			}
		}
		for i, over := range ends {
			err := next(t, over)
			if a := all[i/2][1-i%2]; a.Err() == nil {
				t.Fatalf("%s: its end is %v, and it has not ended", end, err)
			}
			if end == "silence" && !errors.Is(err, ErrLost) {
				t.Errorf("%s: the end is %v", end, err)
			}
		}
	}
	c.cut.Store(false)
	gone(t, goroutines)
	until(t, "memory came back", func() bool { return heap() < before+2<<20 })
}
