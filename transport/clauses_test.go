package transport

import (
	"crypto/tls"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// TestAliasGone has the aliased connection end before a request backwards is ready.
func TestAliasGone(t *testing.T) {
	p := newPair(t, nil)
	c, got := p.offer(t, "p2.example.net:"+itoa(int(p.tls.Port())), "alias")
	h := p.hop() // the sent-by port is where the peer listens
	if a := p.b.must(h); id(a.f) != id(got.src.Flow) {
		t.Fatalf("connection %d", a.f.ID())
	}
	for _, clause := range []string{"5923-8.2-4", "5923-8.2-5"} {
		t.Run(clause, func(t *testing.T) {
			if clause == "5923-8.2-4" {
				c.Reset()
				receive(t, p.b.box.closed, "the end")
			}
			a := p.b.must(h)
			if id(a.f) == id(got.src.Flow) || a.f.Remote() != p.tls {
				t.Errorf("connection %d to %v", a.f.ID(), a.f.Remote())
			}
			if rows := p.b.Aliases(); len(rows) != 1 || rows[0].Conn != id(a.f) || rows[0].Direction != alias.Dialed {
				t.Errorf("rows %+v", rows)
			}
		})
	}
}

// TestKept lets transactions end on connections of both directions.
func TestKept(t *testing.T) {
	p := newPair(t, nil)
	_, got := p.offer(t, "p2.example.net", "alias")
	dialed := p.b.must(p.hop())
	for i, f := range []Flow{got.src.Flow, dialed.f} {
		f.Send(request(f, "OPTIONS", "kept"+itoa(i)))
		r := p.peer.ExpectRequest("OPTIONS")
		r.Reply(200)
		p.b.message()
	}
	for _, clause := range []string{"5923-8.1-1", "5923-8.1-3", "5923-8.2-1", "5923-6-4"} {
		t.Run(clause, func(t *testing.T) {
			for _, i := range p.b.Connections() {
				if i.State != Open {
					t.Errorf("connection %d is %s", i.ID, i.State)
				}
			}
			if n := len(p.b.Connections()); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
	t.Run("ConnInfo", func(t *testing.T) {
		eventually(t, "what was written is counted", func() bool {
			i, _ := p.b.Connection(id(dialed.f))
			return i.BytesOut > 0
		})
		i, ok := p.b.Connection(id(dialed.f))
		if !ok || i.Direction != alias.Dialed || i.Reference != "example.net" || i.TLSVersion != "TLS 1.3" || i.CipherSuite == "" ||
			i.BytesIn == 0 || i.BytesOut == 0 || i.HandshakeTime == 0 || i.CertificateExpiry.IsZero() || i.Remote != p.tls ||
			i.LocalDomain != "example.com" || i.LastUsed.Before(i.Opened) {
			t.Errorf("%+v", i)
		}
	})
}

func TestServerAsks(t *testing.T) {
	p := newPair(t, nil)
	var asked atomic.Bool
	peer := siptest.NewPeer(t, siptest.PeerConfig{TLS: func(c *tls.Config) {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked.Store(true)
			return &tls.Certificate{}, nil
		}
	}})
	p.peer = peer
	_, got := p.offer(t, "p2.example.net", "alias")
	t.Run("5923-9.2-1", func(t *testing.T) {
		if !asked.Load() {
			t.Error("not asked for a certificate")
		}
	})
	t.Run("5923-9.2-2", func(t *testing.T) {
		if got.m.Method() != "OPTIONS" || got.src.Peer != nil || got.src.Flow.Send(sip.AppendResponse(nil, got.m, 200, "OK", "x")) != nil {
			t.Errorf("%+v", got.src)
		}
		peer.ExpectResponse(200)
	})
}

func TestUnauthenticatedServer(t *testing.T) {
	p := newPair(t, nil)
	for _, clause := range []string{"5923-8.1-7", "5923-6-3", "5922-7.3-2"} {
		t.Run(clause, func(t *testing.T) {
			h := p.hop()
			h.Reference = "victim.example"
			var ae *AuthError
			if a := p.b.flow(h); !errors.As(a.err, &ae) || !a.f.IsZero() {
				t.Errorf("%+v", a)
			}
			if rows := p.b.Aliases(); len(rows) != 0 {
				t.Errorf("rows %+v", rows)
			}
		})
	}
}

func TestTargets(t *testing.T) {
	p := newPair(t, nil)
	other := siptest.NewPeer(t, siptest.PeerConfig{Cert: p.Domain(t, "example.net")})
	t.Run("5923-10-1", func(t *testing.T) {
		second := p.hop()
		second.To = resolved(sipaddr.TLS, other.Listen(sipaddr.TLS, 0))
		a, b := p.b.must(p.hop()), p.b.must(second)
		for range 4 {
			if x, y := p.b.must(p.hop()), p.b.must(second); x.f != a.f || y.f != b.f || x.f == y.f {
				t.Errorf("connections %d and %d", x.f.ID(), y.f.ID())
			}
		}
		if n := len(p.b.Aliases()); n != 2 {
			t.Errorf("%d rows", n)
		}
	})
}

// TestExpired lets the certificate of a connected peer end.
func TestExpired(t *testing.T) {
	p := newPair(t, nil)
	p.peer = siptest.NewPeer(t, siptest.PeerConfig{Cert: p.Issue(t, siptest.Spec{DNSNames: []string{"example.net"}, NotAfter: time.Now().Add(2 * time.Second)})})
	_, got := p.offer(t, "p2.example.net", "alias")
	t.Run("F17", func(t *testing.T) {
		if end := receive(t, p.b.box.closed, "the end"); end.id != id(got.src.Flow) || end.err != errExpired {
			t.Errorf("closed %+v", end)
		}
	})
}

func TestJudge(t *testing.T) {
	var calls atomic.Int64
	p := newPair(t, func(cfg *Config) {
		cfg.Judge = func(i ConnInfo) any {
			calls.Add(1)
			if i.Peer != nil && i.Peer.Identities.Contains("example.net") {
				return "partner"
			}
			return nil
		}
	})
	c, got := p.offer(t, "p2.example.net")
	if got.src.User != "partner" {
		t.Errorf("judged %v", got.src.User)
	}
	c.SendRequest(c.Request("OPTIONS", "sip:example.com"))
	if again := p.b.message(); again.src != got.src || calls.Load() != 1 {
		t.Errorf("%d calls", calls.Load())
	}
}
