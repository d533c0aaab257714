package node_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
	"github.com/tandem-sip/tandem/transport"
)

// scene is a proxy of p.example.org with somebody behind it, b.example.net, who records what comes out,
// and a place where attackers stand. Names that nothing may ever be sent to lead to the bystander.
type scene struct {
	*bench
	p         *proxy
	b         *recorder
	bystander *siptest.Peer
	from      netip.Addr    // where attackers stand
	cert      *siptest.Cert // of a.example.com, which attackers have over TLS

	goroutines int // before there was a proxy
}

// sceneKind says who attackers are to the proxy.
type sceneKind struct {
	inside bool   // they may relay, also to special addresses (access.relay_from)
	plain  bool   // b.example.net is served, and reached over TCP; otherwise attackers are a peer, and it is reached over TLS
	rings  bool   // b rings, and answers INVITE when it is cancelled or told to
	limits string // in YAML
}

func newScene(t *testing.T, k sceneKind) *scene {
	t.Helper()
	s := &scene{bench: newBench(t), from: siptest.Loopback(t)}
	s.b = newRecorder(t, k.rings, s.ca.Domain(t, "b.example.net"))
	s.bystander = siptest.NewPeer(t, siptest.PeerConfig{
		Name: "bystander", Cert: s.ca.Domain(t, "victim.example", "evil.example"), Handle: siptest.AnswerAll,
	})
	for _, tr := range []sipaddr.Transport{sipaddr.UDP, sipaddr.TCP, sipaddr.TLS} {
		s.bystander.Listen(tr, tr.DefaultPort())
	}
	s.cert = s.ca.Domain(t, "a.example.com")
	s.serve("b.example.net", "b.example.net", s.b.Addr())
	s.serve("p.example.org", "p.example.org", netip.MustParseAddr("10.0.0.9")) // nobody needs to ask
	s.record("localhost. 60 IN A 127.0.0.1", "host.internal. 60 IN A 10.0.0.1")
	for _, name := range []string{"victim.example", "evil.example"} {
		s.serve(name, name, s.bystander.Addr())
	}
	s.goroutines = runtime.NumGoroutine()
	s.p = s.run(s.yaml(t, k))
	s.p.domain, s.p.host = "p.example.org", "p.example.org"
	s.p.addr = s.p.Listening()[0].Addr.Addr()
	return s
}

// yaml is the proxy's configuration.
func (s *scene) yaml(t *testing.T, k sceneKind) string {
	certFile, keyFile := s.ca.Domain(t, "p.example.org").WriteFiles(t)
	var y strings.Builder
	fmt.Fprintf(&y, "listen: [udp://%[1]s:5060, tcp://%[1]s:5060, tls://%[1]s:5061]\n", siptest.Loopback(t))
	fmt.Fprintf(&y, "dns: [%s]\ntrust: {ca: [%s]}\n", s.dns.Addr(), s.ca.WriteFile(t))
	fmt.Fprintf(&y, "domains:\n  - {name: p.example.org, certificate: %s, key: %s}\n", certFile, keyFile)
	if k.plain {
		fmt.Fprintf(&y, "  - {name: b.example.net}\n")
		fmt.Fprintf(&y, "routes: [{match: {domain: b.example.net}, to: \"sip:%s:5060;transport=tcp\"}]\n", s.b.Addr())
	} else {
		y.WriteString("peers: [{name: attackers, identities: [a.example.com]}]\n")
		y.WriteString("routes: [{match: {domain: b.example.net}, to: \"sip:b.example.net\"}]\n")
	}
	if k.inside {
		fmt.Fprintf(&y, "access: {relay_from: [%s]}\n", s.from)
	}
	fmt.Fprintf(&y, "limits: {%s}\n", k.limits)
	fmt.Fprintf(&y, "timers: {t1: 50ms, t2: 200ms, t4: 200ms, header_read: 600ms, body_read: 600ms, handshake: 2s, drain: 0s}\n")
	return y.String()
}

// attacker is a peer with the attackers' certificate on their address. On UDP it hears answers that go to
// the ports that Vias in the corpora name.
func (s *scene) attacker(t *testing.T) *siptest.Peer {
	return siptest.NewPeer(t, siptest.PeerConfig{Name: "attacker", Addr: s.from, Cert: s.cert, Handle: siptest.AnswerAll})
}

// probe is a request that shows by its answer that everything before it on a connection was handled.
func probe(c *siptest.Conn, method, uri string) *siptest.Request {
	r := c.Request(method, uri)
	r.CallID = "probe-" + siptest.Token(12)
	return r
}

// isProbe tells probes from what is tested.
func isProbe(callID string) bool { return strings.HasPrefix(callID, "probe-") }

// answered returns the final response to a request that a peer received, nil when there is none.
func answered(p *siptest.Peer, callID string) *siptest.Received {
	for _, r := range p.Received() {
		if r.Message != nil && !r.IsRequest() && r.StatusCode() >= 200 && r.CallID() == callID {
			return r
		}
	}
	return nil
}

// passes sends a probe behind everything else on a connection, and reports whether it was answered with
// 200 or else the connection was closed.
func (s *scene) passes(t *testing.T, p *siptest.Peer, c *siptest.Conn, method, uri string) bool {
	t.Helper()
	r := probe(c, method, uri)
	_ = c.TrySend(r.String()) // fails when the connection is closed already
	var resp *siptest.Received
	eventually(t, "the probe is answered or the connection closed", func() bool {
		resp = answered(p, r.CallID)
		return resp != nil || c.Transport() != sipaddr.UDP && c.Closed()
	})
	return resp != nil && resp.StatusCode() == 200
}

// settled waits until nothing is under way in the proxy.
func (s *scene) settled(t *testing.T) {
	t.Helper()
	eventually(t, "every request has its final response", func() bool { return s.p.Stats().Proxy.Active == 0 })
}

// lives checks that the next valid OPTIONS on a new connection is answered 200 within a second, and that
// nothing went wrong that the proxy would survive unseen.
func (s *scene) lives(t *testing.T, tr sipaddr.Transport) {
	t.Helper()
	begin := time.Now()
	next := siptest.NewPeer(t, siptest.PeerConfig{Name: "next", Addr: s.from})
	c := next.Dial(tr, s.p.at(tr))
	c.SendRequest(c.Request(sip.MethodOptions, "sip:p.example.org"))
	next.ExpectResponse(200)
	next.Close()
	if d := time.Since(begin); d > aim(time.Second) {
		t.Errorf("the next OPTIONS was answered after %v, want a second at most", d)
	}
	st := s.p.Stats()
	if st.Transport.Panics != 0 {
		t.Errorf("%d panics were caught", st.Transport.Panics)
	}
	s.untouched(t)
}

// untouched checks that nothing went to the bystander, and that no row names it.
func (s *scene) untouched(t *testing.T) {
	t.Helper()
	if got := s.bystander.Received(); len(got) > 0 {
		t.Errorf("the bystander received %q", got[len(got)-1].Text)
	}
	for _, r := range s.p.rows() {
		if r.Identities.Contains("victim.example") {
			t.Errorf("there is a row for victim.example: %+v", r)
		}
	}
	for _, c := range s.p.Connections() {
		if c.Dialed.IsValid() && c.Dialed.Addr() != s.b.Addr() && c.Dialed.Addr() != s.from {
			t.Errorf("a connection was dialed to %v", c.Dialed)
		}
	}
}

// gone waits until nothing is left of the attackers: no connection, no row.
func (s *scene) gone(t *testing.T) {
	t.Helper()
	eventually(t, "the attackers' connections and rows are gone", func() bool {
		return rowsWith(s.p, "a.example.com") == 0 && !slices.ContainsFunc(s.p.tlsConns(), func(c transport.ConnInfo) bool {
			return c.Remote.Addr() == s.from
		})
	})
}

// forgets waits until the proxy's transactions are over.
func (s *scene) forgets(t *testing.T) {
	t.Helper()
	within(t, 20*time.Second, "the transactions end", func() bool { return s.p.Stats().Transactions.Live == [4]int{} })
}

// ends stops the proxy after its transactions are over, and checks that nothing of it is left.
func (s *scene) ends(t *testing.T) {
	t.Helper()
	s.forgets(t)
	s.p.stop()
	for _, p := range []*siptest.Peer{s.b.Peer, s.bystander} {
		p.Close()
	}
	eventually(t, "the proxy's goroutines have ended", func() bool { return runtime.NumGoroutine() <= s.goroutines })
}

// within is eventually with a time of its own.
func within(t *testing.T, d time.Duration, what string, ok func() bool) {
	t.Helper()
	timer, tick := time.NewTimer(d), time.NewTicker(5*time.Millisecond)
	defer timer.Stop()
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timer.C:
			t.Fatalf("not within %v: %s", d, what)
		}
	}
}

// recorder is b.example.net: it answers everything and keeps what came.
type recorder struct {
	*siptest.Peer
	rings bool

	mu      sync.Mutex // guards the fields below
	all     []*siptest.Received
	ringing map[string]*siptest.Received // INVITEs by branch
	looked  int                          // how much of Received unreadable has looked at
}

func newRecorder(t *testing.T, rings bool, cert *siptest.Cert) *recorder {
	b := &recorder{rings: rings, ringing: make(map[string]*siptest.Received)}
	b.Peer = siptest.NewPeer(t, siptest.PeerConfig{Name: "b", Cert: cert, Handle: b.handle})
	for _, tr := range []sipaddr.Transport{sipaddr.UDP, sipaddr.TCP, sipaddr.TLS} {
		b.Listen(tr, tr.DefaultPort())
	}
	return b
}

func (b *recorder) handle(r *siptest.Received) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, r)
	invite := b.ringing[r.Branch()]
	switch {
	case r.Method() == sip.MethodAck:
	case r.Method() == sip.MethodInvite && b.rings:
		b.ringing[r.Branch()] = r
		reply(r, 180)
	case r.Method() == sip.MethodCancel && invite != nil:
		delete(b.ringing, r.Branch())
		reply(r, 200)
		reply(invite, 487)
	default:
		reply(r, 200)
	}
}

// reply answers; that the connection is gone meanwhile is no error.
func reply(r *siptest.Received, status int) { _ = r.Conn.TrySend(r.Response(status)) }

// hangUp answers all INVITEs that ring with a status.
func (b *recorder) hangUp(status int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.ringing)
	for _, r := range b.ringing {
		reply(r, status)
	}
	clear(b.ringing)
	return n
}

// count counts the requests that came.
func (b *recorder) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.all)
}

// since gives the requests behind the first n, without probes and without what was sent again over UDP.
func (b *recorder) since(n int) (out []*siptest.Received) {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := make(map[string]bool)
	for _, r := range b.all[n:] {
		if !isProbe(r.CallID()) && !seen[r.Text] {
			out = append(out, r)
			seen[r.Text] = true
		}
	}
	return out
}

// unreadable gives what came and was no message, each once.
func (b *recorder) unreadable() (out []string) {
	all := b.Received()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range all[b.looked:] {
		if r.Message == nil && strings.Trim(r.Text, "\r\n") != "" {
			out = append(out, r.Text)
		}
	}
	b.looked = len(all)
	return out
}
