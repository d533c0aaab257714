package transport

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// pair is a Transport for example.com and a scripted peer that is example.net.
type pair struct {
	*pki
	b    *bench
	peer *siptest.Peer
	tls  netip.AddrPort // where the peer listens
}

func newPair(t *testing.T, change func(*Config)) *pair {
	p := &pair{pki: newPKI(t)}
	cfg := Config{Domains: []Domain{p.domain(t, "example.com", "p1.example.com")}}
	if change != nil {
		change(&cfg)
	}
	p.b = start(t, cfg)
	p.peer = siptest.NewPeer(t, siptest.PeerConfig{Name: "p2", Cert: p.Domain(t, "example.net", "p2.example.net"), Trust: p.Pool()})
	p.tls = p.peer.Listen(sipaddr.TLS, 0)
	return p
}

func (p *pair) hop() Hop {
	return Hop{To: resolved(sipaddr.TLS, p.tls), Reference: "example.net", LocalDomain: "example.com"}
}

// offer lets the peer dial us and send a request whose Via has the parameters.
func (p *pair) offer(t *testing.T, sentBy string, params ...string) (*siptest.Conn, arrival) {
	t.Helper()
	c := p.peer.Dial(sipaddr.TLS, p.b.at(sipaddr.TLS))
	r := c.Request("OPTIONS", "sip:example.com")
	c.SendRequest(r.SetSentBy(sentBy, params...))
	return c, p.b.message()
}

func TestDialed(t *testing.T) {
	p := newPair(t, nil)
	first := p.b.must(p.hop())
	if first.dec.Reason != alias.NoRow {
		t.Errorf("first decision: %s", first.dec.Reason)
	}
	rows := p.b.Aliases()
	if len(rows) != 1 {
		t.Fatalf("rows: %v", rows)
	}
	t.Run("5923-8.1-2", func(t *testing.T) {
		via := string(first.f.AppendVia(nil, "z9hG4bKx"))
		if want := "SIP/2.0/TLS p1.example.com;branch=z9hG4bKx;alias"; via != want {
			t.Errorf("Via %q, want %q", via, want)
		}
	})
	t.Run("5923-8.1-8", func(t *testing.T) {
		if got := strings.Join(rows[0].Identities.Names(), " "); got != "example.net p2.example.net" {
			t.Errorf("identities %q", got)
		}
	})
	t.Run("5923-8.1-9", func(t *testing.T) {
		if rows[0].Resolved != p.hop().To {
			t.Errorf("row for %v", rows[0].Resolved)
		}
	})
	t.Run("5923-8.1-10", func(t *testing.T) {
		if rows[0].Conn != id(first.f) || rows[0].Direction != alias.Dialed {
			t.Errorf("row %+v for flow %d", rows[0], first.f.ID())
		}
	})
	t.Run("5923-6-2", func(t *testing.T) {
		l := first.f.Local()
		if l.Addr() != p.b.ip || l.Port() == 5061 {
			t.Errorf("dialed from %v", l)
		}
	})
	t.Run("5923-8.1-5", func(t *testing.T) {
		again := p.b.must(p.hop())
		if again.f.ID() != first.f.ID() || !again.dec.Reuse() {
			t.Errorf("second request: connection %d, %s", again.f.ID(), again.dec.Reason)
		}
	})
	t.Run("5923-8.1-11", func(t *testing.T) {
		h := p.hop()
		h.Reference = "example.org"
		if a := p.b.flow(h); a.err == nil || a.dec.Reason != alias.IdentityMismatch {
			t.Errorf("another name at the same address: %v, %s", a.err, a.dec.Reason)
		}
		h = p.hop()
		h.To = resolved(sipaddr.TLS, netip.AddrPortFrom(p.tls.Addr(), siptest.FreePort(t, p.tls.Addr())))
		if a := p.b.flow(h); a.err == nil || a.dec.Reason != alias.NoRow {
			t.Errorf("the same name at another address: %v, %s", a.err, a.dec.Reason)
		}
	})
	conn := p.peer.Accept()
	t.Run("5923-8.1-4", func(t *testing.T) {
		conn.SendRequest(conn.Request("OPTIONS", "sip:example.com"))
		got := p.b.message()
		if id(got.src.Flow) != id(first.f) || got.src.Peer == nil || got.src.LocalDomain != "example.com" {
			t.Errorf("source %+v", got.src)
		}
		got.src.Flow.Send([]byte("SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"))
	})
	t.Run("5923-8.1-6", func(t *testing.T) {
		p.offer(t, "p2.example.net")
	})
	t.Run("5923-8.1-12", func(t *testing.T) {
		conn.Reset()
		if c := receive(t, p.b.box.closed, "the end"); c.id != id(first.f) || c.err == nil {
			t.Errorf("closed %+v", c)
		}
		again := p.b.must(p.hop())
		if again.f.ID() == first.f.ID() {
			t.Error("a dead connection was handed out")
		}
		if err := first.f.Send([]byte("x")); err != ErrClosed {
			t.Errorf("sending on the dead connection: %v", err)
		}
		for _, r := range p.b.Aliases() {
			if r.Conn == id(first.f) {
				t.Error("the row of the dead connection is still there")
			}
		}
	})
}

func TestAccepted(t *testing.T) {
	p := newPair(t, nil)
	_, got := p.offer(t, "p2.example.net", "alias")
	back := netip.AddrPortFrom(p.peer.Addr(), 5061)
	rows := p.b.Aliases()
	if len(rows) != 1 {
		t.Fatalf("rows: %v", rows)
	}
	t.Run("5923-5-1", func(t *testing.T) {
		if rows[0].Resolved.Addr() != p.peer.Addr() {
			t.Errorf("row for %v", rows[0].Resolved)
		}
	})
	t.Run("5923-5-2", func(t *testing.T) {
		if rows[0].Resolved.Port() != 5061 {
			t.Errorf("row for %v", rows[0].Resolved)
		}
		_, other := p.offer(t, "p2.example.net:7777", "alias")
		h := p.hop()
		h.To = resolved(sipaddr.TLS, netip.AddrPortFrom(p.peer.Addr(), 7777))
		if a := p.b.must(h); id(a.f) != id(other.src.Flow) {
			t.Errorf("the port of sent-by leads to connection %d", a.f.ID())
		}
	})
	t.Run("5923-5-3", func(t *testing.T) {
		if rows[0].Resolved.Transport != sipaddr.TLS || rows[0].Direction != alias.Accepted {
			t.Errorf("row %+v", rows[0])
		}
	})
	t.Run("5923-5-4", func(t *testing.T) {
		if got := strings.Join(rows[0].Identities.Names(), " "); got != "example.net p2.example.net" {
			t.Errorf("identities %q", got)
		}
	})
	h := Hop{To: resolved(sipaddr.TLS, back), Reference: "EXAMPLE.net", LocalDomain: "example.com"}
	t.Run("5923-8.2-2", func(t *testing.T) {
		a := p.b.must(h)
		if id(a.f) != id(got.src.Flow) || !a.dec.Reuse() {
			t.Fatalf("connection %d, %s", a.f.ID(), a.dec.Reason)
		}
		if err := a.f.Send(request(a.f, "OPTIONS", "back")); err != nil {
			t.Fatal(err)
		}
		r := p.peer.ExpectRequest("OPTIONS")
		r.Reply(200)
		if m := p.b.message(); m.m.StatusCode() != 200 || id(m.src.Flow) != id(a.f) {
			t.Errorf("answer %q on %d", m.m.Raw(), m.src.Flow.ID())
		}
	})
	t.Run("5923-8.2-8", func(t *testing.T) {
		other := h
		other.Reference = "victim.example"
		if a := p.b.flow(other); a.err == nil || a.dec.Reason != alias.IdentityMismatch {
			t.Errorf("%v, %s", a.err, a.dec.Reason)
		}
	})
	t.Run("5923-9.3-4", func(t *testing.T) {
		other := h
		other.LocalDomain = "example.org"
		if a := p.b.flow(other); a.err != ErrUnknownDomain {
			t.Errorf("%v", a.err)
		}
	})
}

func TestNoAlias(t *testing.T) {
	at5061 := func(p *pair) Hop {
		h := p.hop()
		h.To = resolved(sipaddr.TLS, netip.AddrPortFrom(p.peer.Addr(), 5061))
		return h
	}
	refused := func(t *testing.T, p *pair, why alias.Reason) {
		t.Helper()
		if rows := p.b.Aliases(); len(rows) != 0 {
			t.Errorf("rows: %v", rows)
		}
		if a := p.b.flow(at5061(p)); a.err == nil {
			t.Errorf("a flow backwards: %+v", a)
		}
		if n := p.b.Stats().Aliases[why]; why != alias.None && n != 1 {
			t.Errorf("%d refused because of %s: %v", n, why, p.b.Stats().Aliases)
		}
	}
	t.Run("5923-8.2-9", func(t *testing.T) {
		p := newPair(t, nil)
		p.offer(t, "p2.example.net")
		refused(t, p, alias.None)
	})
	t.Run("5923-8.2-3", func(t *testing.T) {
		p := newPair(t, func(cfg *Config) {
			cfg.Domains[0].DeclineAlias = func(s identity.Set) bool { return s.Contains("example.net") }
		})
		_, got := p.offer(t, "p2.example.net", "alias") // the request itself is taken
		if got.m.Method() != "OPTIONS" {
			t.Errorf("got %q", got.m.Raw())
		}
		refused(t, p, alias.DeclinedByPolicy)
		if d := p.b.Explain(at5061(p)); len(d.Considered) != 1 || d.Considered[0].Reason != alias.DeclinedByPolicy {
			t.Errorf("explained as %+v", d)
		}
	})
	t.Run("5923-9.2-3", func(t *testing.T) {
		p := newPair(t, nil)
		p.peer = siptest.NewPeer(t, siptest.PeerConfig{Name: "nobody"})
		_, got := p.offer(t, "p2.example.net", "alias")
		if got.src.Peer != nil {
			t.Errorf("peer %+v", got.src.Peer)
		}
		refused(t, p, alias.Unauthenticated)
	})
	t.Run("5923-9.2-4", func(t *testing.T) {
		p := newPair(t, nil)
		p.peer = siptest.NewPeer(t, siptest.PeerConfig{Name: "forger", Cert: siptest.NewCA(t).Domain(t, "example.net")})
		if c, err := p.peer.TryDial(sipaddr.TLS, p.b.at(sipaddr.TLS), "example.com"); err == nil {
			c.TrySend(c.Request("OPTIONS", "sip:example.com").SetSentBy("p2.example.net", "alias").String())
			c.ExpectClosed()
		}
		eventually(t, "the peer is refused", func() bool { return p.b.Stats().PeersRefused == 1 })
		refused(t, p, alias.None)
	})
	t.Run("5923-9.3-1", func(t *testing.T) {
		p := newPair(t, nil)
		c := p.peer.Dial(sipaddr.TCP, p.b.at(sipaddr.TCP))
		for _, tr := range []string{"TCP", "TLS"} {
			r := c.Request("OPTIONS", "sip:example.com").SetSentBy("p2.example.net", "alias")
			c.Send(strings.Replace(r.String(), "SIP/2.0/TCP", "SIP/2.0/"+tr, 1))
			p.b.message()
		}
		h := at5061(p)
		h.To.Transport = sipaddr.TCP
		for _, port := range []uint16{5060, 5061, c.Local().Port()} {
			h.To.AddrPort = netip.AddrPortFrom(p.peer.Addr(), port)
			if a := p.b.flow(h); a.err == nil {
				t.Errorf("a flow backwards over TCP to port %d", port)
			}
		}
		if rows := p.b.Aliases(); len(rows) != 0 {
			t.Errorf("rows: %v", rows)
		}
	})
	t.Run("A62", func(t *testing.T) {
		p := newPair(t, nil)
		p.offer(t, "victim.example", "alias", "received=192.0.2.1")
		h := at5061(p)
		h.Reference = "victim.example"
		if a := p.b.flow(h); a.err == nil {
			t.Error("a forged sent-by attracts requests")
		}
		h.To.AddrPort = netip.MustParseAddrPort("192.0.2.1:5061")
		if d := p.b.Explain(h); d.Reason != alias.NoRow {
			t.Errorf("a forged received makes a row: %+v", d)
		}
	})
	t.Run("A64", func(t *testing.T) {
		p := newPair(t, func(cfg *Config) { cfg.MaxRowsPerConn = 3 })
		c := p.peer.Dial(sipaddr.TLS, p.b.at(sipaddr.TLS))
		for port := range 50 {
			c.SendRequest(c.Request("OPTIONS", "sip:example.com").SetSentBy("p2.example.net:"+itoa(7000+port), "alias"))
			p.b.message()
		}
		if n := len(p.b.Aliases()); n != 3 {
			t.Errorf("%d rows", n)
		}
	})
	t.Run("A63", func(t *testing.T) {
		p := newPair(t, nil)
		_, victim := p.offer(t, "p2.example.net", "alias")
		honest := p.peer
		p.peer = siptest.NewPeer(t, siptest.PeerConfig{Name: "mallory", Addr: honest.Addr(), Cert: p.Domain(t, "mallory.example")})
		_, attacker := p.offer(t, "p2.example.net", "alias")
		if a := p.b.must(at5061(p)); id(a.f) != id(victim.src.Flow) || id(a.f) == id(attacker.src.Flow) {
			t.Errorf("connection %d", a.f.ID())
		}
	})
	t.Run("5923-7-1", func(t *testing.T) {
		p := newPair(t, nil)
		p.offer(t, "p2.example.net", "foo=bar", "ALIAS", "x")
		if n := len(p.b.Aliases()); n != 1 {
			t.Errorf("%d rows", n)
		}
	})
}
