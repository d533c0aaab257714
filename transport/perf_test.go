package transport

import (
	"context"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// counter is a Handler that counts requests.
type counter struct {
	n      atomic.Int64
	window chan struct{} // nil: none
}

func (c *counter) Message(*sip.Message, *Source) {
	c.n.Add(1)
	if c.window != nil {
		<-c.window
	}
}
func (c *counter) Malformed(*sip.Message, error, *Source) {}
func (c *counter) Closed(alias.ConnID, error)             {}

// serving starts a Transport for a benchmark.
func serving(b testing.TB, cfg Config, ip netip.Addr) *Transport {
	cfg.Listen = []Listen{{sipaddr.UDP, addrPort(ip, 5060)}, {sipaddr.TCP, addrPort(ip, 5060)}, {sipaddr.TLS, addrPort(ip, 5061)}}
	tr, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	if err := tr.Open(); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	// Ends with the benchmark.
	go func() { done <- tr.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-done })
	return tr
}

// two starts two Transports that know each other, and gives a flow from one to the other.
func two(b testing.TB, tr sipaddr.Transport) (Flow, *counter, *Transport) {
	ca := newPKI(b)
	box := &counter{window: make(chan struct{}, 64)}
	from := serving(b, Config{Handler: &counter{}, Domains: []Domain{ca.domain(b, "example.com", "")}}, siptest.Loopback(b))
	ip := siptest.Loopback(b)
	serving(b, Config{Handler: box, Domains: []Domain{ca.domain(b, "example.net", "")}}, ip)
	ch := make(chan answer, 1)
	h := Hop{To: resolved(tr, addrPort(ip, tr.DefaultPort())), Reference: "example.net"}
	from.Flow(h, func(f Flow, d alias.Decision, err error) { ch <- answer{f, d, err} })
	a := receive(b, ch, "a flow")
	if a.err != nil {
		b.Fatal(a.err)
	}
	return a.f, box, from
}

// BenchmarkMessages sends a message of 900 bytes over one connection and has it parsed at the other
// end. The allocations are those of both ends.
func BenchmarkMessages(b *testing.B) {
	for _, tr := range []sipaddr.Transport{sipaddr.UDP, sipaddr.TCP, sipaddr.TLS} {
		b.Run(tr.String(), func(b *testing.B) {
			f, box, _ := two(b, tr)
			msg := request(f, "MESSAGE", "bench")
			pad := "Subject: " + strings.Repeat("x", 900-len(msg)-11) + "\r\n"
			msg = []byte(strings.Replace(string(msg), "Content-Length", pad+"Content-Length", 1))
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			b.ResetTimer()
			// As many are under way as a busy trunk has.
			for range b.N {
				box.window <- struct{}{}
				if err := f.Send(msg); err != nil {
					b.Fatal(err)
				}
			}
			for range cap(box.window) {
				box.window <- struct{}{}
			}
			b.ReportMetric(float64(box.n.Load())/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

// BenchmarkFlow finds the connection that is there.
func BenchmarkFlow(b *testing.B) {
	f, _, from := two(b, sipaddr.TLS)
	h := Hop{To: resolved(sipaddr.TLS, f.Remote()), Reference: "example.net", LocalDomain: "example.com"}
	done := func(got Flow, _ alias.Decision, err error) {
		if got != f {
			b.Error(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		from.Flow(h, done)
	}
}
