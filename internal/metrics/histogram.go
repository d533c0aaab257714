package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// bounds are the upper bounds of the buckets of a Histogram: from what a look-up in a table takes to what a dial to
// another continent takes, and its failover.
var bounds = [...]time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
}

// Histogram counts times in fixed buckets. The zero value is empty; it may be used by any number of goroutines.
type Histogram struct {
	counts [len(bounds) + 1]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

// Observe counts one time. It takes no lock and does not allocate.
func (h *Histogram) Observe(d time.Duration) {
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// collect sends the histogram.
func (h *Histogram) collect(s scrape, name, help string) {
	buckets, all := make(map[float64]uint64, len(bounds)), uint64(0)
	for i, b := range bounds {
		all += h.counts[i].Load()
		buckets[b.Seconds()] = all
	}
	all += h.counts[len(bounds)].Load()
	sum := time.Duration(h.sum.Load()).Seconds()
	s.to <- prometheus.MustNewConstHistogram(prometheus.NewDesc(name, help, nil, nil), all, sum, buckets)
}
