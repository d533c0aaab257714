//go:build unix

package framing

import (
	"strings"
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

// TestLinear feeds long streams one byte at a time; looking at each byte again with each new one would
// take many seconds.
func TestLinear(t *testing.T) {
	for _, c := range []struct{ name, stream string }{
		{"body", start + "l: 262144\r\n\r\n" + strings.Repeat("b", 262144)},
		{"header line", start + "X: " + strings.Repeat("x", 32000)},
		{"header lines", start + strings.Repeat("X: y\r\n", 5000)},
		{"folds", start + "l:" + strings.Repeat("\r\n ", 10000) + "0\r\n\r\n"},
		{"start line", "OPTIONS " + strings.Repeat("x", 8000)},
	} {
		began := cpuTime(t)
		var d Decoder
		b := []byte(c.stream)
		for i := 1; i <= len(b); i++ {
			if _, _, err := d.Next(b[:i]); err != nil {
				t.Fatalf("%s: %v after %d", c.name, err, i)
			}
		}
		if took := cpuTime(t) - began; took > time.Second {
			t.Errorf("%s took %v", c.name, took)
		}
	}
}
