package transport

import (
	"crypto/x509"
	"errors"
	"sync"
	"testing"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// revoking returns the domain of a pair as it is when the peer's authority is not trusted any more.
func (p *pair) revoking(t *testing.T) []Domain {
	t.Helper()
	d := p.domain(t, "example.com", "p1.example.com")
	d.Verifier = newVerifier(t, identity.Policy{Roots: []*x509.Certificate{siptest.NewCA(t).Root()}})
	return []Domain{d}
}

// without returns another domain only.
func (p *pair) without(t *testing.T) []Domain {
	t.Helper()
	return []Domain{p.domain(t, "example.org", "")}
}

// TestReviewBeforeUse has a connection used after the domains have changed, and before Update has come to
// it: it is held against them first.
func TestReviewBeforeUse(t *testing.T) {
	change := func(t *testing.T, p *pair, domains []Domain) {
		set, err := p.b.makeDomains(domains, p.b.domains.Load())
		if err != nil {
			t.Fatal(err)
		}
		p.b.domains.Store(set)
	}
	t.Run("a request to send", func(t *testing.T) {
		p := newPair(t, nil)
		p.peer.Listen(sipaddr.TLS, 5061)
		_, got := p.offer(t, "p2.example.net", "alias")
		h := p.hop()
		h.To = resolved(sipaddr.TLS, addrPort(p.peer.Addr(), 5061))
		if a := p.b.must(h); id(a.f) != id(got.src.Flow) {
			t.Fatal("no reuse")
		}
		change(t, p, p.revoking(t))
		var auth *AuthError
		if a := p.b.flow(h); !errors.As(a.err, &auth) {
			t.Errorf("flow %v: %v", a.dec, a.err)
		}
	})
	t.Run("a request that comes", func(t *testing.T) {
		p := newPair(t, func(cfg *Config) {
			cfg.Judge = func(ci ConnInfo) any { return ci.Distrusted }
			cfg.Outstanding = func(alias.ConnID) int { return 1 }
		})
		conn, got := p.offer(t, "p2.example.net", "alias")
		if got.src.User != false {
			t.Fatalf("judged %v", got.src.User)
		}
		change(t, p, p.revoking(t))
		conn.Send(conn.Request("OPTIONS", "sip:example.com").String())
		if got := receive(t, p.b.box.messages, "OPTIONS"); got.src.User != true || got.src.Peer == nil {
			t.Errorf("judged %v, peer %v", got.src.User, got.src.Peer)
		}
		if c, ok := p.b.Connection(id(got.src.Flow)); !ok || c.State != Draining {
			t.Errorf("connection %v", c.State)
		}
	})
}

// TestReviewInTheMaking changes the domains while a connection has been authenticated and is not registered
// yet, so that Update cannot see it.
func TestReviewInTheMaking(t *testing.T) {
	begin := func(t *testing.T) (p *pair, made chan ConnInfo, goOn chan bool) {
		made, goOn = make(chan ConnInfo, 1), make(chan bool)
		var first sync.Once
		p = newPair(t, func(cfg *Config) {
			cfg.Judge = func(ci ConnInfo) any {
				hold := false
				first.Do(func() { hold = true })
				if hold {
					made <- ci
					<-goOn
				}
				return ci.Distrusted
			}
		})
		return p, made, goOn
	}
	update := func(t *testing.T, p *pair, domains []Domain) {
		if err := p.b.Update(domains); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("accepted", func(t *testing.T) {
		p, made, goOn := begin(t)
		// Ends with the handshake.
		go p.peer.TryDial(sipaddr.TLS, p.b.at(sipaddr.TLS), "example.com")
		c := receive(t, made, "a connection")
		update(t, p, p.revoking(t))
		goOn <- true
		if got := receive(t, p.b.box.closed, "the end"); got.id != c.ID || got.err != errTrust {
			t.Errorf("closed %+v", got)
		}
	})
	t.Run("dialed", func(t *testing.T) {
		p, made, goOn := begin(t)
		ch := p.b.ask(p.hop())
		receive(t, made, "a connection")
		update(t, p, p.revoking(t))
		goOn <- true
		var auth *AuthError
		if a := receive(t, ch, "an answer"); !errors.As(a.err, &auth) || auth.Reference != "example.net" {
			t.Errorf("flow %v: %v", a.f, a.err)
		}
		receive(t, p.b.box.closed, "the end")
	})
	t.Run("domain gone", func(t *testing.T) {
		p, made, goOn := begin(t)
		ch := p.b.ask(p.hop())
		receive(t, made, "a connection")
		update(t, p, p.without(t))
		goOn <- true
		if a := receive(t, ch, "an answer"); a.err != ErrUnknownDomain {
			t.Errorf("flow %v: %v", a.f, a.err)
		}
		receive(t, p.b.box.closed, "the end")
	})
	t.Run("domain gone, plain", func(t *testing.T) {
		p, made, goOn := begin(t)
		tcp := p.peer.Listen(sipaddr.TCP, 0)
		ch := p.b.ask(Hop{To: resolved(sipaddr.TCP, tcp), LocalDomain: "example.com"})
		receive(t, made, "a connection")
		update(t, p, p.without(t))
		goOn <- true
		if a := receive(t, ch, "an answer"); a.err != ErrUnknownDomain {
			t.Errorf("flow %v: %v", a.f, a.err)
		}
		receive(t, p.b.box.closed, "the end")
	})
}

// TestUpdateRefused checks that an Update which is refused changes nothing.
func TestUpdateRefused(t *testing.T) {
	p := newPair(t, nil)
	a := p.b.must(p.hop())
	good := p.domain(t, "example.com", "p1.example.com")
	nameless, blind, bare := good, good, good
	nameless.Name, blind.Verifier, bare.Certificate.Certificate = "", nil, nil
	other := p.domain(t, "EXAMPLE.com", "")
	for name, domains := range map[string][]Domain{
		"none": nil, "twice": {good, other}, "no name": {good, nameless}, "no verifier": {good, blind}, "no certificate": {good, bare},
	} {
		before := p.b.domains.Load()
		creds := before.list[0].creds.Load()
		if err := p.b.Update(domains); err == nil {
			t.Errorf("%s: taken", name)
		}
		if p.b.domains.Load() != before || before.list[0].creds.Load() != creds {
			t.Errorf("%s: something has changed", name)
		}
		if b := p.b.must(p.hop()); id(a.f) != id(b.f) {
			t.Errorf("%s: another connection", name)
		}
	}
}

// TestUpdateTakesLess has a policy come under which a client that could be reused may be so no more.
func TestUpdateTakesLess(t *testing.T) {
	p := newPair(t, nil)
	_, got := p.offer(t, "p2.example.net", "alias")
	if n := len(p.b.Aliases()); n != 1 {
		t.Fatalf("%d rows", n)
	}
	d := p.domain(t, "example.com", "p1.example.com")
	d.Verifier = newVerifier(t, identity.Policy{Roots: []*x509.Certificate{p.Root()}, StrictEKU: true})
	if err := p.b.Update([]Domain{d}); err != nil {
		t.Fatal(err)
	}
	if c := receive(t, p.b.box.closed, "the end"); c.id != id(got.src.Flow) || c.err != errTrust {
		t.Errorf("closed %+v", c)
	}
}
