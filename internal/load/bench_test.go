package load

import (
	"testing"
	"time"
)

// BenchmarkCall is one call with both of its ends, without sockets: what the generator itself costs.
func BenchmarkCall(b *testing.B) {
	t := &testing.T{}
	w := newWorld(t, Config{Vias: 1})
	w.delay = 0
	b.ReportAllocs()
	w.do(func() { w.e.offer([]Step{{Rate: 1000}}, 0, w.now) })
	for b.Loop() {
		w.sent = w.sent[:0]
		w.run(w.now + time.Millisecond)
	}
	if tally := w.e.tallies[0]; tally.done < b.N {
		b.Errorf("%d of %d calls done", tally.done, b.N)
	}
}
