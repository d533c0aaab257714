package transport

import (
	"context"
	"net/netip"
	"runtime"
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

// TestIdleMemory measures what idle mutual-TLS connections cost. Both ends are in this process.
func TestIdleMemory(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("takes a second, and means nothing with the race detector")
	}
	ca := newPKI(t)
	cfg := Config{Handler: &counter{}, Domains: []Domain{ca.domain(t, "example.com", "")}}
	ip := siptest.Loopback(t)
	tr := serving(t, cfg, ip)
	client := serving(t, Config{Handler: &counter{}, Domains: []Domain{ca.domain(t, "example.net", "")}}, siptest.Loopback(t))
	const n = 300
	dial := func(i int) {
		h := Hop{To: resolved(sipaddr.TLS, addrPort(ip, 5061)), Reference: "example.com"}
		ch := make(chan *Conn, 1)
		d := client.domains.Load().find("")
		x := &dialer{t: client, d: d, key: dialKey{to: h.To, reference: h.Reference}, dl: &dial{key: dialKey{to: h.To}}}
		if err := x.prepare(); err != nil {
			t.Fatal(err)
		}
		c, err := x.connect(context.Background())
		if err != nil || !c.start() {
			t.Fatal(err)
		}
		client.mu.Lock()
		client.dialing--
		client.mu.Unlock()
		client.wg.Done()
		Flow{conn: c}.Send(request(Flow{conn: c}, "OPTIONS", itoa(i)))
		close(ch)
	}
	dial(0)
	base := used()
	for i := range n {
		dial(i + 1)
	}
	eventually(t, "all there", func() bool { return tr.Stats().Connections == n+1 && tr.Stats().MessagesIn == n+1 })
	var per int64
	eventually(t, "24 KiB or less for each end", func() bool {
		per = (used() - base) / n / 2
		return per <= 24<<10
	})
	t.Logf("%d bytes for one end of an idle connection", per)
}

// used returns the bytes of heap and stacks after a collection.
func used() int64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
