package sctp

import (
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
	const rounds, each = 3, 100
	cfg := quick()
	e := join(t, cfg)
	e.client.Abort("it only warmed up")
	_ = ended(t, e.server)
	goroutines := runtime.NumGoroutine()
	before := heap()
	for round := range rounds {
		var all [][2]Association
		for range each {
			client, server := e.dial(t)
			got, _ := collect(server)
			if err := client.Send(within(t), make([]byte, 2000), 0, true); err != nil {
				t.Fatal(err)
			}
			next(t, got)
			all = append(all, [2]Association{client, server})
		}
		e.serverCable.cut.Store(round == 2)
		for i, pair := range all {
			switch round {
			case 0:
				if err := pair[i%2].Shutdown(within(t)); err != nil {
					t.Fatal(err)
				}
			case 1:
				pair[i%2].Abort("enough")
			}
		}
		for _, pair := range all {
			_, _ = ended(t, pair[0]), ended(t, pair[1])
		}
	}
	e.serverCable.cut.Store(false)
	gone(t, goroutines)
	for _, s := range []*stack{e.clientStack, e.serverStack} {
		if n := s.Stats().Associations; n != 0 || len(s.byTag) != 0 || len(s.byPath) != 0 {
			t.Errorf("%d associations are left", n)
		}
	}
	until(t, "memory came back", func() bool { return heap() < before+2<<20 })
}
