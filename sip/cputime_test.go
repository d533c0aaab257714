//go:build unix

package sip

import (
	"syscall"
	"testing"
	"time"
)

// cpuTime returns the processor time that this process has used, so that a busy machine does not
// make a measurement fail.
func cpuTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cost is the least of some measurements.
func cost(t testing.TB, raw string) time.Duration {
	least := time.Hour
	for range 5 {
		start := cpuTime(t)
		work(raw)
		least = min(least, cpuTime(t)-start)
	}
	return least
}

func TestHostileIsLinear(t *testing.T) {
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			// A quadratic step over 30 kB would cost hundreds of milliseconds.
			if d := cost(t, h.make(30000)); d > 20*time.Millisecond {
				t.Errorf("30 kB cost %v", d)
			}
			// Two megabytes cost no more than the limits allow, beyond looking for the end of a line.
			if d := cost(t, h.make(2<<20)); d > 100*time.Millisecond {
				t.Errorf("2 MB cost %v", d)
			}
		})
	}
}
