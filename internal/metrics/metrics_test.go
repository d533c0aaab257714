package metrics

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/devca"
	"github.com/tandem-sip/tandem/internal/node"
	"github.com/tandem-sip/tandem/sipaddr"
)

// running runs a node that serves example.com, and returns it with its address for transport t.
func running(t testing.TB, opts node.Options) (*node.Node, func(sipaddr.Transport) string) {
	t.Helper()
	dir := t.TempDir()
	if err := devca.Write(dir, "Test CA", []string{"example.com"}); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse([]byte(`
listen: [udp://127.0.0.1:0, tcp://127.0.0.1:0, tls://127.0.0.1:0]
trust: {ca: [ca.pem]}
domains:
  - {name: example.com, certificate: example.com.pem, key: example.com.key}
peers: [{name: partner, identities: [partner.example]}]
`), dir, filepath.Join(dir, "tandem.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.New(cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Open(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	// Ends when the test does.
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return n, func(tr sipaddr.Transport) string {
		for _, l := range n.Listening() {
			if l.Transport == tr {
				return l.Addr.String()
			}
		}
		t.Fatalf("nothing listens on %v", tr)
		return ""
	}
}

// ask sends a request and waits for the first response.
func ask(t testing.TB, conn net.Conn, method, uri string) {
	t.Helper()
	network := strings.ToUpper(conn.LocalAddr().Network())
	fmt.Fprintf(conn, "%[1]s %[2]s SIP/2.0\r\nVia: SIP/2.0/%[4]s %[3]s;branch=z9hG4bK%[1]s;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:test@example.com>;tag=1\r\nTo: <%[2]s>\r\nCall-ID: %[1]s\r\nCSeq: 1 %[1]s\r\nContent-Length: 0\r\n\r\n",
		method, uri, conn.LocalAddr(), network)
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Read(make([]byte, 4096)); err != nil {
		t.Fatalf("%s was not answered: %v", method, err)
	}
}

// handshake makes a TLS connection of which the node knows, because it has answered something on it.
func handshake(t testing.TB, n *node.Node, addr string) {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "example.com", InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, "\r\n\r\n")
	if _, err := conn.Read(make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	if n.Stats().Transport.Accepted == 0 {
		t.Error("the connection is not counted")
	}
}

// scraped returns what GET /metrics gives.
func scraped(t testing.TB, cfg Config) string {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(cfg).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// TestContract: the names that dashboards rely on are there with their labels, and count.
func TestContract(t *testing.T) {
	t.Parallel()
	var times Times
	var opts node.Options
	times.Watch(&opts)
	n, at := running(t, opts)
	for _, network := range []string{"udp", "tcp"} {
		tr, _ := sipaddr.ParseTransport(network)
		conn, err := net.Dial(network, at(tr))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ask(t, conn, "OPTIONS", "sip:example.com")
		ask(t, conn, "EVIL", "sip:nobody@example.com")
	}
	handshake(t, n, at(sipaddr.TLS))
	for _, forward := range []func(time.Duration){opts.Forwarded, opts.LookedUp} {
		forward(3 * time.Millisecond)
		forward(time.Hour)
	}
	text := scraped(t, Config{Node: n, Version: "v1", Times: &times, Refused: func() map[string]uint64 { return map[string]uint64{"host": 3} }})
	for _, want := range []string{
		`tandem_connections{direction="accepted",transport="tcp"} 1`,
		`tandem_connections{direction="dialed",transport="tls"} 0`,
		`tandem_alias_rows{local_domain="example.com"} 0`,
		`tandem_alias_decisions_total{decision="reuse",reason="reuse"} 0`,
		`tandem_alias_decisions_total{decision="dial",reason="identity_mismatch"} 0`,
		`tandem_alias_decisions_total{decision="reuse",reason="reuse_by_dialog"} 0`,
		`tandem_tls_handshakes_total{result="ok",role="server"} 1`,
		`tandem_tls_handshakes_total{result="refused",role="client"} 0`,
		`tandem_requests_total{direction="received",method="OPTIONS"} 2`,
		`tandem_requests_total{direction="received",method="other"} 2`,
		`tandem_requests_total{direction="sent",method="INVITE"} 0`,
		`tandem_responses_total{class="2xx"} 2`,
		`tandem_responses_total{class="4xx"} 2`,
		`tandem_transactions{kind="client-invite"} 0`,
		`tandem_forward_seconds_bucket{le="0.0025"} 0`,
		`tandem_forward_seconds_bucket{le="0.005"} 1`,
		`tandem_forward_seconds_bucket{le="+Inf"} 2`,
		`tandem_forward_seconds_count 2`,
		`tandem_forward_seconds_sum 3600.003`,
		`tandem_dns_lookup_seconds_count 2`,
		`tandem_tls_handshake_seconds_count{role="server"} 1`,
		`tandem_tls_handshake_seconds_count{role="client"} 0`,
		`tandem_peer_state{peer="partner",state="idle"} 1`,
		`tandem_peer_state{peer="partner",state="failing"} 0`,
		`tandem_peer_connections{peer="partner"} 0`,
		`tandem_transactions_refused_total{limit="overload"} 0`,
		`tandem_overloaded 0`,
		`go_sched_latencies_seconds_count `,
		`tandem_build_info{goversion="go1`,
		`tandem_certificate_expiry_timestamp_seconds{local_domain="example.com"} `,
		`tandem_admin_refused_total{reason="host"} 3`,
		`tandem_limit{limit="connections"} 65536`,
		`tandem_reloads_total{result="ok"} 0`,
		"go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("not there: %s", want)
		}
	}
	if strings.Contains(text, "EVIL") {
		t.Error("a peer's text became a label")
	}
	if t.Failed() {
		t.Logf("%s", regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(text, ""))
	}
}

// TestLint: the metrics are as Prometheus wants them.
func TestLint(t *testing.T) {
	t.Parallel()
	n, _ := running(t, node.Options{})
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collector{Config{Node: n, Version: "v1", Times: new(Times)}})
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestReloads: reloads are counted by what became of them.
func TestReloads(t *testing.T) {
	t.Parallel()
	n, _ := running(t, node.Options{})
	loaded := n.Loaded()
	good := func() (*config.Config, error) { return n.Config(), nil }
	bad := func() (*config.Config, error) { return nil, &config.Error{Problems: []config.Problem{{Text: "no"}}} }
	for _, c := range []struct {
		load func() (*config.Config, error)
		ok   bool
	}{{good, true}, {bad, false}, {bad, false}} {
		if err := n.ReloadFrom(c.load); (err == nil) != c.ok {
			t.Error(err)
		}
	}
	text := scraped(t, Config{Node: n})
	for _, want := range []string{`tandem_reloads_total{result="ok"} 1`, `tandem_reloads_total{result="refused"} 2`} {
		if !strings.Contains(text, want) {
			t.Errorf("not there: %s", want)
		}
	}
	if !n.Loaded().After(loaded) {
		t.Error("the time of the configuration did not change")
	}
	if strings.Contains(text, "tandem_forward_seconds") {
		t.Error("times are shown that nobody measured")
	}
}

// TestHistogramDoesNotAllocate: it stands on the way of every request.
func TestHistogramDoesNotAllocate(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(100, func() { h.Observe(time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if !slices.IsSorted(bounds[:]) {
		t.Error("the bounds are not in order")
	}
}

// TestQuantile: what is estimated stands in the bucket that the observation fell into.
func TestQuantile(t *testing.T) {
	var h Histogram
	if got := h.Counts().Quantile(0.5); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
	for range 98 {
		h.Observe(200 * time.Microsecond)
	}
	early := h.Counts()
	h.Observe(40 * time.Millisecond)
	h.Observe(time.Hour)
	c := h.Counts()
	for _, want := range []struct {
		q         float64
		low, high time.Duration
	}{
		{0.5, 100 * time.Microsecond, 250 * time.Microsecond}, {0.98, 250 * time.Microsecond, 250 * time.Microsecond},
		{0.99, 25 * time.Millisecond, 50 * time.Millisecond}, {1, 5 * time.Second, 5 * time.Second},
	} {
		if got := c.Quantile(want.q); got < want.low || got > want.high {
			t.Errorf("quantile %v is %v, want %v to %v", want.q, got, want.low, want.high)
		}
	}
	if since := c.Since(&early); since.Total() != 2 || since.Quantile(0.4) < 25*time.Millisecond {
		t.Errorf("counted since: %v", since)
	}
}

func BenchmarkObserve(b *testing.B) {
	var h Histogram
	for b.Loop() {
		h.Observe(700 * time.Microsecond)
	}
}

// BenchmarkForwarded is what the histogram costs a request: two looks at the clock and the observation.
func BenchmarkForwarded(b *testing.B) {
	var h Histogram
	for b.Loop() {
		begun := time.Now()
		h.Observe(time.Since(begun))
	}
}
