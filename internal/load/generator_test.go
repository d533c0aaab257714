package load_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-sip/tandem/internal/load"
	"github.com/tandem-sip/tandem/sctp"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

var transports = []sipaddr.Transport{sipaddr.UDP, sipaddr.TCP, sipaddr.TLS, sipaddr.SCTP, sipaddr.TLSSCTP}

// TestDirect has the two ends speak with each other without anything between, over real sockets.
func TestDirect(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.String(), func(t *testing.T) {
			s := newSite(t)
			cfg := s.config(tr, s.callee)
			cfg.Mix, cfg.Vias, cfg.Connections, cfg.ServerName = everyScenario(), 1, 3, "client.example.org"
			if tr == sipaddr.UDP {
				cfg.Bind = netip.AddrPortFrom(s.caller, 0)
			}
			r := run(t, cfg)
			well(t, r, cfg.Calls)
			if tr != sipaddr.UDP && (r.Messages.ConnectionsDialed != 3 || r.Messages.ConnectionsTaken != 3 || r.Messages.ConnectionsLost != 0) {
				t.Errorf("connections: %+v, want 3 dialed and accepted", r.Messages)
			}
		})
	}
}

// TestProxy puts one proxy between, and two with a trunk; --hops then is exact.
func TestProxy(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.String(), func(t *testing.T) {
			s := newSite(t)
			next := fmt.Sprintf("sip:%s:%d;transport=%s", s.callee, tr.DefaultPort(), tr.URIParam())
			s.proxy(false, next)
			cfg := s.config(tr, s.p1)
			cfg.Mix, cfg.Vias = everyScenario(load.Register), 2
			well(t, run(t, cfg), cfg.Calls)
		})
		t.Run(tr.String()+" and a trunk", func(t *testing.T) {
			s := newSite(t)
			s.proxy(true, fmt.Sprintf("sip:%s:%d;transport=%s", s.callee, tr.DefaultPort(), tr.URIParam()))
			s.proxy(false, fmt.Sprintf("sip:%s:5061;transport=tls", s.p2))
			cfg := s.config(tr, s.p1)
			cfg.Mix, cfg.Vias, cfg.Poisson = everyScenario(load.Register), 3, true
			well(t, run(t, cfg), cfg.Calls)
		})
	}
}

// TestApart has the two ends in two generators; the callee learns from the caller what becomes of each call.
func TestApart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	calling := s.config(sipaddr.UDP, s.callee)
	calling.AnswerAt, calling.Mix = nil, everyScenario()
	answering := load.Config{AnswerAt: []load.Endpoint{calling.Target}, Calls: calling.Calls}
	g, err := load.New(answering)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan *load.Report, 1)
	// Ends when all calls have.
	go func() {
		r, err := g.Run(t.Context())
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	well(t, run(t, calling), calling.Calls)
	r := <-done
	well(t, r, calling.Calls)
	if r.Role != "callee" || r.Latency["reinvite_to_200"].Count == 0 {
		t.Errorf("the callee is a %s and timed %v, want its own re-INVITEs", r.Role, r.Latency)
	}
}

// TestInterrupt ends a run that would go on for long: calls hang up, and what there was is reported.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	cfg := s.config(sipaddr.UDP, s.callee)
	cfg.Steps, cfg.Calls, cfg.Hold = []load.Step{{Rate: 100, Duration: time.Hour}}, 0, time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	cfg.Progress = func(p load.Progress) {
		if ctx.Err() == nil && (p.Open == 0 || p.Begun == 0 || p.Offered != 100) {
			t.Errorf("progress: %+v", p)
		}
		cancel()
	}
	g, err := load.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r, err := g.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || r.Begun == 0 || r.Done != r.Begun {
		t.Errorf("interrupted %v: %d begun, %d done, want all done: %v", r.Interrupted, r.Begun, r.Done, r.Reasons)
	}
}

// TestLostConnection has the far side close its connections: each is dialed again at once, what was not answered is sent
// over the new one, and no request fails.
func TestLostConnection(t *testing.T) {
	t.Parallel()
	for _, tr := range []sipaddr.Transport{sipaddr.TCP, sipaddr.SCTP} {
		t.Run(tr.String(), func(t *testing.T) {
			t.Parallel()
			if tr == sipaddr.SCTP && sctp.KernelSpeaks() {
				t.Skip("the peer speaks SCTP over UDP, and the generator that of the kernel")
			}
			losing(t, tr)
		})
	}
}

func losing(t *testing.T, tr sipaddr.Transport) {
	peer := siptest.NewPeer(t, siptest.PeerConfig{Name: "callee", Handle: siptest.AnswerAll})
	at := peer.Listen(tr, 5060)
	cfg := load.Config{
		Target: load.Endpoint{Transport: tr, Addr: at}, Bind: netip.AddrPortFrom(siptest.Loopback(t), 0), Mix: []load.Share{{Scenario: load.Options, Weight: 1}},
		Steps: []load.Step{{Rate: 100, Duration: 3 * time.Second}}, Timeout: 500 * time.Millisecond,
	}
	var closed atomic.Bool
	cfg.Progress = func(load.Progress) {
		if !closed.Swap(true) {
			for _, c := range peer.Conns() {
				c.Close()
			}
		}
	}
	r := run(t, cfg)
	if m := r.Messages; m.ConnectionsLost != 1 || m.ConnectionsDialed != 2 {
		t.Errorf("%d lost and %d dialed, want 1 and 2", m.ConnectionsLost, m.ConnectionsDialed)
	}
	if r.Done == 0 || r.Failed != 0 || r.Done != r.Begun {
		t.Errorf("%d begun, %d done, %d failed: %v", r.Begun, r.Done, r.Failed, r.Reasons)
	}
}

// TestCertificates: connections show the certificates in turn, and a target that does not prove its name is not called.
func TestCertificates(t *testing.T) {
	s := newSite(t)
	ca := siptest.NewCA(t)
	peer := siptest.NewPeer(t, siptest.PeerConfig{Name: "callee", Cert: ca.Domain(t, "callee.example"), Handle: siptest.AnswerAll})
	at := peer.Listen(sipaddr.TLS, 5061)
	cfg := load.Config{
		Target: load.Endpoint{Transport: sipaddr.TLS, Addr: at}, Mix: []load.Share{{Scenario: load.Options, Weight: 1}},
		Steps: []load.Step{{Rate: 200}}, Calls: 20, Connections: 4, ServerName: "callee.example", Roots: s.roots,
		Certificates: []tls.Certificate{s.pair("client.example.org"), s.pair("other.example.org")}, Timeout: 5 * time.Second,
	}
	g, err := load.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Run(t.Context()); !errors.Is(err, load.ErrNoConnection) || !strings.Contains(err.Error(), "identity:") {
		t.Errorf("with another authority: %v, want no connection for its certificate", err)
	}
	cfg.Roots = append(cfg.Roots, ca.Root())
	well(t, run(t, cfg), 20)
	names := make(map[string]int)
	for _, c := range peer.Conns() {
		if certs := c.TLS().PeerCertificates; len(certs) > 0 {
			names[certs[0].URIs[0].String()]++
		}
	}
	if names["sip:client.example.org"] < 2 || names["sip:other.example.org"] < 2 {
		t.Errorf("certificates shown: %v, want two of each", names)
	}
}

// bearing answers OPTIONS as somebody would who bears so many a second, and turns others away. It goes by how many
// requests each try has, and not by the clock, so that a busy machine does not matter.
type bearing struct {
	tries []int  // requests of each
	turns []bool // whether one in two of the try is turned away
	mu    sync.Mutex
	seen  map[string]int // Call-IDs, in order
}

// next adds a try.
func (b *bearing) next(rate float64, d time.Duration, turn bool) {
	b.tries = append(b.tries, int(math.Ceil(rate*d.Seconds())))
	b.turns = append(b.turns, turn)
}

func (b *bearing) answer(r *siptest.Received) {
	b.mu.Lock()
	n, ok := b.seen[r.CallID()]
	if !ok {
		n = len(b.seen)
		b.seen[r.CallID()] = n
	}
	b.mu.Unlock()
	for i, size := range b.tries {
		if n < size {
			if b.turns[i] && n%2 == 1 {
				siptest.Answer(503, "Retry-After: 1")(r)
				return
			}
			break
		}
		n -= size
	}
	siptest.Answer(200)(r)
}

// TestCapacity looks for the capacity of somebody who bears 203 requests a second, and offers twice as many.
func TestCapacity(t *testing.T) {
	t.Parallel()
	const d = 200 * time.Millisecond
	b := &bearing{seen: make(map[string]int)}
	rates := []float64{50, 100, 200, 400, 300, 250, 225, 212, 206}
	for _, rate := range rates { // 206 and 200 are close enough not to go on
		b.next(rate, d, rate > 203)
	}
	b.next(100, d, false)
	b.next(400, d, true)
	b.next(100, d, false)
	peer := siptest.NewPeer(t, siptest.PeerConfig{Name: "bearing", Handle: b.answer})
	g, err := load.New(load.Config{
		Target: load.Endpoint{Transport: sipaddr.UDP, Addr: peer.Listen(sipaddr.UDP, 5060)}, Mix: []load.Share{{Scenario: load.Options, Weight: 1}},
		Ring: time.Hour, // no answer is late, however busy the machine; OPTIONS do not ring
	})
	if err != nil {
		t.Fatal(err)
	}
	load.SetPatience(g, time.Hour)
	r, err := g.FindCapacity(t.Context(), load.Search{From: 50, Duration: d, Overload: 2})
	if err != nil {
		t.Fatal(err)
	}
	var tried []float64
	for _, try := range r.Capacity.Tries {
		tried = append(tried, try.Rate)
	}
	if c := r.Capacity; c.Rate != 200 || c.Limit != "calls failed" || !slices.Equal(tried, rates) {
		t.Errorf("capacity %v, for %s after %v, want 200 after %v", c.Rate, c.Limit, tried, rates)
	}
	if o := r.Overload; o == nil || o.Over.Rate != 400 || o.Over.Begun != 80 || o.Over.TurnedAway < 30 || o.Normal.Failed != 0 || o.Goodput < 150 || o.Goodput > 250 || !o.Recovered {
		t.Errorf("overload: %+v", o)
	}
}

// TestNothingLeft: when a run is over, no goroutine of it is there any more.
func TestNothingLeft(t *testing.T) {
	for _, tr := range transports {
		s := newSite(t)
		before := goleak.IgnoreCurrent()
		cfg := s.config(tr, s.callee)
		cfg.ServerName = "client.example.org"
		well(t, run(t, cfg), cfg.Calls)
		goleak.VerifyNone(t, before)
	}
}

// TestConfig: what cannot be is said before anything is opened.
func TestConfig(t *testing.T) {
	udp := load.Endpoint{Transport: sipaddr.UDP, Addr: netip.MustParseAddrPort("127.0.0.1:5060")}
	tlsAt := load.Endpoint{Transport: sipaddr.TLS, Addr: udp.Addr}
	for _, test := range []struct {
		name string
		cfg  load.Config
		want string
	}{
		{"nothing", load.Config{}, "neither a target"},
		{"no port", load.Config{Target: load.Endpoint{Transport: sipaddr.UDP, Addr: netip.MustParseAddrPort("127.0.0.1:0")}}, "has no port"},
		{"no transport", load.Config{Target: load.Endpoint{Addr: udp.Addr}}, "is not a transport"},
		{"TLS over SCTP without authorities", load.Config{Target: load.Endpoint{Transport: sipaddr.TLSSCTP, Addr: udp.Addr}}, "authorities"},
		{"TLS without authorities", load.Config{Target: tlsAt}, "authorities"},
		{"TLS without a name", load.Config{Target: tlsAt, Roots: newSite(t).roots}, "name that its certificate"},
		{"answering TLS without a certificate", load.Config{AnswerAt: []load.Endpoint{tlsAt}, Insecure: true}, "needs a certificate"},
		{"no URI", load.Config{Target: udp, To: "bob"}, "is not a SIP URI"},
		{"a rate", load.Config{Target: udp, Steps: []load.Step{{Rate: -1}}}, "rate of -1"},
		{"a step without an end", load.Config{Target: udp, Steps: []load.Step{{Rate: 1}, {Rate: 2}}}, "no duration"},
		{"a scenario", load.Config{Target: udp, Mix: []load.Share{{Scenario: "dance", Weight: 1}}}, "not a scenario"},
		{"a status", load.Config{Target: udp, Expect: 180}, "final response"},
	} {
		_, err := load.New(test.cfg)
		if !errors.Is(err, load.ErrConfig) || !strings.Contains(fmt.Sprint(err), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// TestStrangers: callers that are not ours are served as well.
func TestStrangers(t *testing.T) {
	t.Parallel()
	at := load.Endpoint{Transport: sipaddr.TCP, Addr: netip.AddrPortFrom(siptest.Loopback(t), 5060)}
	ctx, cancel := context.WithCancel(t.Context())
	g, err := load.New(load.Config{AnswerAt: []load.Endpoint{at}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan *load.Report, 1)
	// Ends with ctx.
	go func() {
		r, err := g.Run(ctx)
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	peer := siptest.NewPeer(t, siptest.PeerConfig{Name: "caller"})
	c := peer.Dial(sipaddr.TCP, at.Addr)
	c.Send("\r\n\r\n")
	c.ExpectPong()
	for _, method := range []string{sip.MethodOptions, sip.MethodMessage} {
		c.SendRequest(c.Request(method, "sip:x@"+at.Addr.String()))
		c.ExpectResponse(200)
	}
	cancel()
	well(t, <-done, 2)
}
