package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/internal/node"
)

// bounds are the upper bounds of the buckets of a Histogram: from what a look-up in a table takes to what a dial to
// another continent takes, and its failover.
var bounds = [...]time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
}

// Times are the histograms that a node fills. The zero value is empty; Watch has a node fill them.
type Times struct {
	Forward    Histogram    // requests, from arrival to being sent on; one in sixteen
	Lookup     Histogram    // look-ups in DNS
	Handshakes [2]Histogram // TLS handshakes that succeeded, by alias.Direction
}

// Watch puts what fills the histograms into the options of a node that is about to be made.
func (t *Times) Watch(opts *node.Options) {
	opts.Forwarded, opts.LookedUp = t.Forward.Observe, t.Lookup.Observe
	opts.Handshook = func(d alias.Direction, took time.Duration) { t.Handshakes[d&1].Observe(took) }
}

// collect sends all of them.
func (t *Times) collect(s scrape) {
	t.Forward.collect(s, "tandem_forward_seconds", "Time from a request's arrival to its being sent on, with locating and dialing; of one request in sixteen.")
	t.Lookup.collect(s, "tandem_dns_lookup_seconds", "Time that locating a URI took when what is kept did not answer it.")
	const handshakes = "Time of TLS handshakes that succeeded; as client: with connecting."
	t.Handshakes[alias.Accepted].collect(s, "tandem_tls_handshake_seconds", handshakes, "role", "server")
	t.Handshakes[alias.Dialed].collect(s, "tandem_tls_handshake_seconds", handshakes, "role", "client")
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

// collect sends the histogram. labels are pairs of names and values.
func (h *Histogram) collect(s scrape, name, help string, labels ...string) {
	buckets, all := make(map[float64]uint64, len(bounds)), uint64(0)
	for i, b := range bounds {
		all += h.counts[i].Load()
		buckets[b.Seconds()] = all
	}
	all += h.counts[len(bounds)].Load()
	sum := time.Duration(h.sum.Load()).Seconds()
	names, values := pairs(labels)
	s.to <- prometheus.MustNewConstHistogram(prometheus.NewDesc(name, help, names, nil), all, sum, buckets, values...)
}

// Counts is how many times a Histogram had counted in each bucket at one moment.
type Counts [len(bounds) + 1]uint64

// Counts returns how many times were counted.
func (h *Histogram) Counts() (c Counts) {
	for i := range c {
		c[i] = h.counts[i].Load()
	}
	return c
}

// Since returns what was counted after an earlier moment.
func (c Counts) Since(earlier *Counts) Counts {
	for i := range c {
		c[i] -= earlier[i]
	}
	return c
}

// Total returns how many times were counted in all buckets.
func (c Counts) Total() (n uint64) {
	for _, in := range c {
		n += in
	}
	return n
}

// Quantile estimates the time that a part q of those counted did not exceed, as though times were spread evenly in each
// bucket. What is beyond the last bound counts as that bound. Nothing counted is 0.
func (c Counts) Quantile(q float64) time.Duration {
	rank, below, low := q*float64(c.Total()), 0.0, time.Duration(0)
	for i, b := range bounds {
		in := float64(c[i])
		if in > 0 && below+in >= rank {
			return low + time.Duration(float64(b-low)*(rank-below)/in)
		}
		below, low = below+in, b
	}
	if below+float64(c[len(bounds)]) == 0 {
		return 0
	}
	return low
}
