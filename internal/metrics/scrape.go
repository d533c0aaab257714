// Package metrics says in Prometheus' text format what the rooms have counted.
//
// The rooms count by themselves; here their Stats are read when somebody asks, and nothing is added to the way of a
// message but, for one request in sixteen, a look at how long it took. No text that a peer wrote ever becomes a label.
package metrics

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tandem-sip/tandem/internal/node"
)

// Config says what is shown. Node is required.
type Config struct {
	Node    *node.Node
	Version string // of the program
	// Times are what the node was made to fill. Nil: they are not known, and not shown.
	Times *Times
	// Refused returns how many requests for the admin API were turned away, by reason. Nil: not shown.
	Refused func() map[string]uint64
}

// Limits of one request for metrics.
const (
	maxScrapes    = 2
	scrapeTimeout = 10 * time.Second
)

// Handler returns what answers GET /metrics.
func Handler(cfg Config) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsScheduler)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{cfg})
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes, Timeout: scrapeTimeout})
}

// collector reads the Stats of a node.
type collector struct{ cfg Config }

var _ prometheus.Collector = collector{}

// Describe says nothing: which metrics there are depends on the configuration in force.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect reads everything once.
func (c collector) Collect(to chan<- prometheus.Metric) {
	s, n := scrape{to}, c.cfg.Node
	st := n.Stats()
	s.gauge("tandem_build_info", "What this binary is.", 1, "version", c.cfg.Version, "goversion", runtime.Version())
	s.transport(n, &st.Transport)
	s.aliases(n, &st.Transport)
	s.transactions(&st.Transactions)
	s.proxy(&st.Proxy)
	s.resolver(n)
	s.configuration(n, &st)
	s.peers(n)
	s.trace(n)
	if c.cfg.Times != nil {
		c.cfg.Times.collect(s)
	}
	if c.cfg.Refused != nil {
		for reason, count := range c.cfg.Refused() {
			s.counter("tandem_admin_refused_total", "Requests and connections for the admin API that were turned away.", count, "reason", reason)
		}
	}
}

// scrape sends the metrics of one request.
type scrape struct{ to chan<- prometheus.Metric }

// gauge sends a figure of the moment. labels are pairs of names and values.
func (s scrape) gauge(name, help string, value float64, labels ...string) {
	s.send(name, help, prometheus.GaugeValue, value, labels)
}

// counter sends what only grows.
func (s scrape) counter(name, help string, value uint64, labels ...string) {
	s.send(name, help, prometheus.CounterValue, float64(value), labels)
}

func (s scrape) send(name, help string, kind prometheus.ValueType, value float64, labels []string) {
	names, values := pairs(labels)
	m, err := prometheus.NewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, value, values...)
	if err != nil {
		m = prometheus.NewInvalidMetric(prometheus.NewDesc(name, help, nil, nil), err)
	}
	s.to <- m
}

// pairs takes names and values of labels apart.
func pairs(labels []string) (names, values []string) {
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	return names, values
}

// difference is a part that is taken off a counter which was read at another moment.
func difference(all, part uint64) uint64 {
	if part > all {
		return 0
	}
	return all - part
}
