package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// server is a TLS server that counts handshakes, shows the certificate for the name it is asked
// for, and keeps what clients send.
type server struct {
	net.Listener
	mu    sync.Mutex
	names []string // of each ClientHello
	bytes int      // of application data
	conns []net.Conn
	wg    sync.WaitGroup
}

func newServer(t *testing.T, certs func(name string) *siptest.Cert) *server {
	l, err := net.Listen("tcp", net.JoinHostPort(siptest.Loopback(t).String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: l}
	cfg := &tls.Config{
		ClientAuth: tls.RequestClientCert,
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			s.mu.Lock()
			s.names = append(s.names, h.ServerName)
			s.mu.Unlock()
			c := certs(h.ServerName).TLS()
			return &c, nil
		},
	}
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	s.wg.Add(1)
	// Ends when the listener is closed.
	go func() {
		defer s.wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			s.wg.Add(1)
			// Ends when the client closes the connection.
			go func() {
				defer s.wg.Done()
				defer c.Close()
				n, _ := io.Copy(io.Discard, tls.Server(c, cfg))
				s.mu.Lock()
				s.bytes += int(n)
				s.mu.Unlock()
			}()
		}
	}()
	return s
}

func (s *server) hellos() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.names...)
}

func (s *server) hop(reference, local string) Hop {
	return Hop{To: resolved(sipaddr.TLS, unmap(s.Addr())), Reference: reference, LocalDomain: local}
}

func TestSharedDial(t *testing.T) {
	ca := newPKI(t)
	both := ca.Domain(t, "example.net", "example.org")
	only := map[string]*siptest.Cert{"example.net": ca.Domain(t, "example.net"), "example.org": ca.Domain(t, "example.org"), "a.example": ca.Domain(t, "a.example")}
	cfg := Config{Domains: []Domain{ca.domain(t, "example.com", ""), ca.domain(t, "other.example", "")}}

	t.Run("one reference", func(t *testing.T) {
		b, s := start(t, cfg), newServer(t, func(string) *siptest.Cert { return both })
		var asked []<-chan answer
		for range 20 {
			asked = append(asked, b.ask(s.hop("example.net", "example.com")))
		}
		first := receive(t, asked[0], "a flow")
		for _, ch := range asked[1:] {
			if a := receive(t, ch, "a flow"); a.err != nil || a.f != first.f {
				t.Fatalf("%+v, and first %+v", a, first)
			}
		}
		if n := len(s.hellos()); n != 1 || b.Stats().DialsShared != 19 {
			t.Errorf("%d handshakes, %d shared", n, b.Stats().DialsShared)
		}
	})
	t.Run("two references in one certificate", func(t *testing.T) {
		b, s := start(t, cfg), newServer(t, func(string) *siptest.Cert { return both })
		one, two := b.ask(s.hop("example.net", "example.com")), b.ask(s.hop("example.org", "example.com"))
		x, y := receive(t, one, "a flow"), receive(t, two, "a flow")
		if x.err != nil || y.err != nil || x.f != y.f || len(s.hellos()) != 1 {
			t.Errorf("%+v %+v, hellos %v", x, y, s.hellos())
		}
	})
	t.Run("5923-9.3-2", func(t *testing.T) {
		b, s := start(t, cfg), newServer(t, func(name string) *siptest.Cert { return only[name] })
		var asked []<-chan answer
		for _, ref := range []string{"example.net", "example.org", "a.example", "example.org"} {
			asked = append(asked, b.ask(s.hop(ref, "example.com")))
		}
		var ids []uint64
		for _, ch := range asked {
			a := receive(t, ch, "a flow")
			if a.err != nil {
				t.Fatal(a.err)
			}
			ids = append(ids, a.f.ID())
		}
		if ids[0] == ids[1] || ids[1] == ids[2] || ids[1] != ids[3] || len(s.hellos()) != 3 {
			t.Errorf("connections %v, hellos %v", ids, s.hellos())
		}
		if rows := b.Aliases(); len(rows) != 3 {
			t.Errorf("rows %v", rows)
		}
		if a := b.must(s.hop("example.org", "example.com")); a.f.ID() != ids[1] {
			t.Errorf("connection %d for example.org", a.f.ID())
		}
	})
	t.Run("5923-9.3-3", func(t *testing.T) {
		b, s := start(t, cfg), newServer(t, func(string) *siptest.Cert { return both })
		x, y := b.must(s.hop("example.net", "example.com")), b.must(s.hop("example.net", "other.example"))
		if x.f.ID() == y.f.ID() || x.f.LocalDomain() != "example.com" || y.f.LocalDomain() != "other.example" {
			t.Errorf("%+v %+v", x, y)
		}
	})
	t.Run("failure of another reference", func(t *testing.T) {
		b, s := start(t, cfg), newServer(t, func(name string) *siptest.Cert { return only["example.org"] })
		one, two := b.ask(s.hop("example.net", "example.com")), b.ask(s.hop("example.org", "example.com"))
		if a := receive(t, one, "a flow"); a.err == nil {
			t.Error("example.net proved by example.org")
		}
		if a := receive(t, two, "a flow"); a.err != nil {
			t.Errorf("example.org: %v", a.err)
		}
	})
	t.Run("refused", func(t *testing.T) {
		b := start(t, cfg)
		ip := siptest.Loopback(t)
		h := Hop{To: sipaddr.Resolved{Transport: sipaddr.TLS}, Reference: "example.net"}
		h.To.AddrPort = addrPort(ip, siptest.FreePort(t, ip))
		var de *DialError
		if a := b.flow(h); !errors.As(a.err, &de) || !de.Refused || de.Handshake || de.Timeout {
			t.Errorf("%v", a.err)
		}
	})
}

func TestClientView(t *testing.T) {
	ca := newPKI(t)
	cfg := Config{Domains: []Domain{ca.domain(t, "example.com", "")}}
	cases := []struct {
		name, reference string
		cert            *siptest.Cert
		text            string
	}{
		{"5923-9.1-1", "example.net", ca.Domain(t, "evil.example"), "not authenticated as example.net: its certificate has the identities evil.example"},
		{"no identity", "example.net", ca.Issue(t, siptest.Spec{CommonName: "example.net"}), "no SIP identity"},
		{"5922-7.2-4", "a.example.net", ca.Issue(t, siptest.Spec{DNSNames: []string{"*.example.net"}}), "a.example.net"},
		{"5922-7.2-3", "a.example.net", ca.Domain(t, "example.net"), "a.example.net"},
		{"another CA", "example.net", siptest.NewCA(t).Domain(t, "example.net"), "example.net"},
		{"expired", "example.net", ca.Issue(t, siptest.Spec{DNSNames: []string{"example.net"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}), "example.net"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b, s := start(t, cfg), newServer(t, func(string) *siptest.Cert { return c.cert })
			a := b.flow(s.hop(c.reference, ""))
			var ae *AuthError
			if !errors.As(a.err, &ae) {
				t.Fatalf("error %v", a.err)
			}
			if !strings.Contains(ae.Text(), c.text) || strings.ContainsAny(ae.Text(), "\"\r\n") {
				t.Errorf("text %q", ae.Text())
			}
			s.Close()
			s.wg.Wait() // the connection is closed
			if s.bytes != 0 || len(b.Aliases()) != 0 || len(b.Connections()) != 0 {
				t.Errorf("%d bytes sent, rows %v", s.bytes, b.Aliases())
			}
			if n := b.Stats().AuthFailed; n != 1 {
				t.Errorf("%d counted", n)
			}
		})
	}
	t.Run("no reference", func(t *testing.T) {
		b, s := start(t, cfg), newServer(t, func(string) *siptest.Cert { return cases[0].cert })
		var ae *AuthError
		if a := b.flow(s.hop("", "")); !errors.As(a.err, &ae) || len(s.hellos()) != 0 {
			t.Errorf("%v", a.err)
		}
	})
	t.Run("5922-7.8-1", func(t *testing.T) {
		b, s := start(t, cfg), newServer(t, func(string) *siptest.Cert { return ca.Domain(t, "example.net") })
		b.must(s.hop("Example.NET", ""))
		if got := s.hellos(); got[0] != "example.net" {
			t.Errorf("server name %q", got)
		}
	})
}

func TestServerName(t *testing.T) {
	ca := newPKI(t)
	second := ca.domain(t, "example.org", "edge.example.org")
	second.Certificate = ca.Domain(t, "example.org", "edge.example.org", "alt.example.org").TLS()
	b := start(t, Config{Domains: []Domain{ca.domain(t, "example.com", "p1.example.com"), second}})
	for name, want := range map[string]string{
		"example.com": "example.com", "P1.Example.Com": "example.com", "EXAMPLE.ORG": "example.org",
		"edge.example.org": "example.org", "alt.example.org": "example.org", "": "example.com", "else.example": "example.com",
		"sub.example.org": "example.com",
	} {
		t.Run("5922-7.8-1 "+name, func(t *testing.T) {
			peer := siptest.NewPeer(t, siptest.PeerConfig{Cert: ca.Domain(t, "example.net")})
			c := peer.DialName(sipaddr.TLS, b.at(sipaddr.TLS), name)
			if got := c.TLS().PeerCertificates[0].DNSNames[0]; got != want {
				t.Errorf("certificate of %s, want %s", got, want)
			}
			c.SendRequest(c.Request("OPTIONS", "sip:example.com"))
			if got := b.message().src.LocalDomain; got != want {
				t.Errorf("local domain %s, want %s", got, want)
			}
		})
	}
}

func TestEndpoints(t *testing.T) {
	ca := newPKI(t)
	d := ca.domain(t, "example.com", "edge.example.com")
	named := ca.Domain(t, "example.com").TLS() // does not name the sent-by host
	b := start(t, Config{Domains: []Domain{d, {Name: "example.org", SentBy: "edge.example.org:5071", Certificate: ca.Domain(t, "example.org").TLS(), Verifier: ca.verifier},
		{Name: "third.example", SentBy: "x.example", Certificate: named, Verifier: ca.verifier}}})
	s := newServer(t, func(string) *siptest.Cert { return ca.Domain(t, "example.net") })
	t.Run("5922-7.5-1", func(t *testing.T) {
		for local, want := range map[string]string{
			"example.com":   "sip:edge.example.com;transport=tls",
			"example.org":   "sip:example.org:5071;transport=tls",
			"third.example": "sip:example.com;transport=tls",
		} {
			if got := b.must(s.hop("example.net", local)).f.URI(); got != want {
				t.Errorf("%s: %s, want %s", local, got, want)
			}
		}
	})
	f := b.must(Hop{To: resolved(sipaddr.UDP, addrPort(siptest.Loopback(t), 5060))}).f
	if got := f.URI(); got != "sip:"+b.ip.String()+":5060" {
		t.Errorf("URI %s", got)
	}
	if got := string(f.AppendVia(nil, "b")); got != "SIP/2.0/UDP "+b.ip.String()+":5060;branch=b;rport" {
		t.Errorf("Via %s", got)
	}
}

func TestResumption(t *testing.T) {
	ca := newPKI(t)
	b := start(t, Config{Domains: []Domain{ca.domain(t, "example.com", ""), ca.domain(t, "example.org", "")}})
	cert := ca.Domain(t, "example.net")
	cache := tls.NewLRUClientSessionCache(8)
	dial := func(name string) (bool, error) {
		peer := siptest.NewPeer(t, siptest.PeerConfig{Cert: cert, TLS: func(c *tls.Config) {
			c.ClientSessionCache = sameKey{cache}
		}})
		c, err := peer.TryDial(sipaddr.TLS, b.at(sipaddr.TLS), name)
		if err != nil {
			return false, err
		}
		c.SendRequest(c.Request("OPTIONS", "sip:example.com"))
		got := b.message()
		if got.src.Peer == nil || !got.src.Peer.Identities.Contains("example.net") {
			t.Errorf("peer %+v", got.src.Peer)
		}
		got.src.Flow.Send([]byte("\r\n")) // the ticket comes before it
		c.ExpectPong()
		return c.TLS().DidResume, nil
	}
	dial("example.com")
	if resumed, err := dial("example.com"); !resumed {
		t.Errorf("not resumed: %v", err)
	}
	if resumed, err := dial("example.org"); resumed {
		t.Errorf("A73: a session of example.com was resumed with example.org: %v", err)
	}
	dial("example.com")
	t.Run("A68", func(t *testing.T) {
		old := b.Stats().PeersRefused
		if err := b.Update([]Domain{ca.domain(t, "example.com", ""), ca.domain(t, "example.org", "")}); err != nil {
			t.Fatal(err)
		}
		if resumed, _ := dial("example.com"); resumed {
			t.Error("resumed across an update")
		}
		dial("example.com")
		revoking := newVerifier(t, identity.Policy{Roots: []*x509.Certificate{ca.Root()}, CRLs: []*x509.RevocationList{ca.CRL(t, cert.Leaf)}})
		d := b.domains.Load().find("example.com")
		cr := *d.creds.Load()
		cr.Verifier = revoking
		d.creds.Store(&cr) // the ticket keys stay: only the verification is left to refuse it
		peer := siptest.NewPeer(t, siptest.PeerConfig{Cert: cert, TLS: func(c *tls.Config) { c.ClientSessionCache = sameKey{cache} }})
		if c, err := peer.TryDial(sipaddr.TLS, b.at(sipaddr.TLS), "example.com"); err == nil {
			c.ExpectClosed()
		}
		eventually(t, "the resumed peer is refused", func() bool { return b.Stats().PeersRefused == old+1 })
	})
}

// sameKey keeps one session, whoever it is of.
type sameKey struct{ tls.ClientSessionCache }

func (s sameKey) Get(string) (*tls.ClientSessionState, bool) { return s.ClientSessionCache.Get("x") }
func (s sameKey) Put(_ string, session *tls.ClientSessionState) {
	s.ClientSessionCache.Put("x", session)
}

func TestUpdate(t *testing.T) {
	p := newPair(t, nil)
	_, got := p.offer(t, "p2.example.net", "alias")
	h := p.hop()
	h.To = resolved(sipaddr.TLS, addrPort(p.peer.Addr(), 5061))
	t.Run("F16", func(t *testing.T) {
		if err := p.b.Update([]Domain{p.domain(t, "example.com", "p1.example.com")}); err != nil {
			t.Fatal(err)
		}
		if a := p.b.must(h); id(a.f) != id(got.src.Flow) {
			t.Error("the connection was not kept")
		}
	})
	t.Run("declined from now on", func(t *testing.T) {
		d := p.domain(t, "example.com", "p1.example.com")
		d.DeclineAlias = func(identity.Set) bool { return true }
		if err := p.b.Update([]Domain{d}); err != nil {
			t.Fatal(err)
		}
		if dec := p.b.Explain(h); dec.Reason != alias.NoRow || len(dec.Considered) != 1 || dec.Considered[0].Reason != alias.DeclinedByPolicy {
			t.Errorf("explained as %+v", dec)
		}
		if c, ok := p.b.Connection(id(got.src.Flow)); !ok || c.State != Open {
			t.Errorf("connection %+v", c)
		}
	})
	t.Run("F15", func(t *testing.T) {
		d := p.domain(t, "example.com", "p1.example.com")
		d.Verifier = newVerifier(t, identity.Policy{Roots: []*x509.Certificate{siptest.NewCA(t).Root()}})
		if err := p.b.Update([]Domain{d}); err != nil {
			t.Fatal(err)
		}
		if dec := p.b.Explain(h); dec.Reason != alias.Closing && dec.Reason != alias.NoRow {
			t.Errorf("decision %s", dec.Reason)
		}
		if c := receive(t, p.b.box.closed, "the end"); c.id != id(got.src.Flow) || c.err != errTrust {
			t.Errorf("closed %+v", c)
		}
	})
}

func TestOldTLS(t *testing.T) {
	ca := newPKI(t)
	b := start(t, Config{Domains: []Domain{ca.domain(t, "example.com", "")}})
	t.Run("A71", func(t *testing.T) {
		peer := siptest.NewPeer(t, siptest.PeerConfig{TLS: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }})
		if _, err := peer.TryDial(sipaddr.TLS, b.at(sipaddr.TLS), ""); err == nil {
			t.Error("TLS 1.1 was accepted")
		}
	})
	t.Run("A72", func(t *testing.T) {
		peer := siptest.NewPeer(t, siptest.PeerConfig{})
		c := peer.Dial(sipaddr.TCP, b.at(sipaddr.TLS))
		c.Send(c.Request("OPTIONS", "sip:example.com").String())
		c.ExpectClosed()
		if n := b.Stats().MessagesIn; n != 0 {
			t.Errorf("%d messages without TLS", n)
		}
	})
}
