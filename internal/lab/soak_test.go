//go:build soak

package lab

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"
)

// TestSoak places 20,000 calls at 500 a second through the two proxies and holds that none fails and that
// the proxies, still running, then hold no more than before. TANDEM_SOAK_CALLS and TANDEM_SOAK_RATE say
// other figures, for both directions together.
func TestSoak(t *testing.T) {
	calls, rate := setting(t, "TANDEM_SOAK_CALLS", 20000), setting(t, "TANDEM_SOAK_RATE", 500)
	l, err := Start(Options{Calls: calls / 2, Rate: float64(rate) / 2})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	before := weigh()
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(calls/rate)*time.Second+2*time.Minute)
	defer cancel()
	r, err := l.Call(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]Direction{"forward": r.Forward, "backward": r.Backward} {
		if d.Failed != 0 || d.Answered != calls/2 {
			t.Errorf("%s: %d of %d calls failed: %v", name, d.Failed, d.Calls, d.Failures)
		}
		t.Logf("%s: %d calls, INVITE to 180 %.1f ms (median), %.1f ms (p99)", name, d.Calls, d.Ringing.P50, d.Ringing.P99)
	}
	if r.TLSConnections == nil || *r.TLSConnections != 1 || r.Handshakes != 1 {
		t.Errorf("%v TLS connections and %d handshakes, want 1 and 1", r.TLSConnections, r.Handshakes)
	}
	loaded := weigh()

	// The last transactions end 64*T1 after their calls: RFC 6026, Section 7.1.
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for l.transactions() > 0 {
		select {
		case <-ctx.Done():
			t.Fatalf("%d transactions have not ended", l.transactions())
		case <-tick.C:
		}
	}
	after := weigh()
	t.Logf("goroutines %d, %d under load, %d after; heap %d KiB, %d KiB, %d KiB",
		before.goroutines, loaded.goroutines, after.goroutines, before.heap>>10, loaded.heap>>10, after.heap>>10)
	// One connection has two goroutines at each end.
	if after.goroutines > before.goroutines+4 {
		t.Errorf("%d goroutines, %d before the calls", after.goroutines, before.goroutines)
	}
	// The lab keeps the times of its calls, 16 bytes each, and the proxies their pools and tables, and each of the two
	// what was said of late (trace.memory, 4 MiB).
	if most := before.heap + 8<<20 + 2*4<<20; after.heap > most {
		t.Errorf("heap of %d KiB, at most %d KiB expected", after.heap>>10, most>>10)
	}
}

// transactions counts those of both proxies that have not ended.
func (l *Lab) transactions() int {
	n := 0
	for _, s := range l.sides {
		for _, live := range s.node.Stats().Transactions.Live {
			n += live
		}
	}
	return n
}

type weight struct {
	goroutines int
	heap       uint64
}

// weigh measures what is alive in this process.
func weigh() weight {
	debug.FreeOSMemory()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return weight{runtime.NumGoroutine(), m.HeapAlloc}
}

func setting(t *testing.T, name string, def int) int {
	s := os.Getenv(name)
	if s == "" {
		return def
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 2 {
		t.Fatalf("%s: %q is not a number above 1", name, s)
	}
	return n
}
