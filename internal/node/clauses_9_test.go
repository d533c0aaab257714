package node_test

// RFC 5923, Section 9: who is authenticated, and how, and virtual servers.

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/siptest"
)

var chapter9 = map[string]func(*testing.T){
	"5923-9.1-1":   serverIsSomebodyElse,
	"5923-9.2-1":   certificateIsAskedFor,
	"5923-9.2-2":   nobodyIsServed,
	"5923-9.2-3":   nobodyChangesNothing,
	"5923-9.2-4":   badClientCertificate,
	"5923-9.3-1":   plainIsNeverReused,
	"5923-9.3-2":   twoFarDomains,
	"5923-9.3-3":   twoLocalDomains,
	"5923-9.3-4":   tablesApart,
	"seed-virtual": virtualServers,
}

// only limits TLS to one version.
func only(version uint16) func(*tls.Config) {
	return func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version }
}

// serverIsSomebodyElse: the server at the address that the DNS names has a valid certificate of another.
// It is left at once, nothing is sent to it, and alice is told who was not there.
func serverIsSomebodyElse(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		ca := siptest.NewCA(t)
		s := newStand(t, plan{ca: ca, far: ca.Domain(t, "evil.example"), tls: only(version)})
		begun := time.Now()
		got := s.fails("sip:bob@example.net")
		if w, _ := got.Header("Warning"); got.StatusCode() != 503 || !strings.Contains(w, "example.net") {
			t.Errorf("alice is answered %d with the Warning %q", got.StatusCode(), w)
		}
		if d := time.Since(begun); d > 3*time.Second {
			t.Errorf("it took %v", d)
		}
		if version == tls.VersionTLS12 {
			s.far.HandshakeFailures(1)
		}
		for _, c := range s.far.Conns() { // with TLS 1.3 a server may believe that all is well at first
			if err := c.ExpectClosed(); errors.Is(err, io.EOF) && version == tls.VersionTLS12 {
				t.Errorf("the connection ended with %v", err)
			}
			if c.Heard() != 0 {
				t.Errorf("%d bytes were sent", c.Heard())
			}
		}
		s.noRows()
		if n := len(s.p.tlsConns()); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	}
}

func certificateIsAskedFor(t *testing.T) {
	s := newStand(t, plan{deaf: true, domains: []string{"example.biz"}})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, name := range []string{"", "example.com", "example.biz", "unknown.example"} {
			asked := make(chan struct{}, 2)
			peer := siptest.NewPeer(t, siptest.PeerConfig{Name: "client", TLS: func(c *tls.Config) {
				only(version)(c)
				c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					asked <- struct{}{}
					return &tls.Certificate{}, nil
				}
			}})
			conn := peer.DialName(secure(t), s.p.at(secure(t)), name)
			select {
			case <-asked:
			default:
				t.Errorf("no certificate was asked for by %s, server name %q", tls.VersionName(version), name)
			}
			if got := s.offer(peer, conn, "p2.example.net"); got.StatusCode() != 200 {
				t.Errorf("OPTIONS is answered %d", got.StatusCode())
			}
		}
	}
}

// nobody is a peer on far's address that shows no certificate.
func (s *stand) nobody() *siptest.Peer {
	return siptest.NewPeer(s.t, siptest.PeerConfig{Name: "nobody", Addr: s.far.Addr(), Handle: answerButInvite})
}

// nobodyIsServed: with alias and without, a request of somebody without a certificate is answered the same,
// over the same connection, and requests backwards go elsewhere.
func nobodyIsServed(t *testing.T) {
	s := newStand(t, plan{})
	nobody := s.nobody()
	conn := s.dials(nobody)
	for _, params := range [][]string{{"alias"}, {}} {
		if got := s.offer(nobody, conn, "p2.example.net", params...); got.StatusCode() != 200 {
			t.Errorf("OPTIONS with %v is answered %d", params, got.StatusCode())
		}
		r := conn.Request(sip.MethodInvite, "sip:alice@example.com").SetSentBy("p2.example.net", params...)
		conn.SendRequest(r)
		s.alice.ExpectRequest(sip.MethodInvite).Reply(486)
		final := nobody.ExpectFinal(sip.MethodInvite)
		if final.StatusCode() != 486 || final.Conn != conn {
			t.Errorf("INVITE with %v is answered %d over %v", params, final.StatusCode(), final.Conn)
		}
		conn.SendRequest(r.Ack(final))
		s.notOver(conn, "sip:bob@example.net", s.far)
	}
	quiet(nobody)
}

func nobodyChangesNothing(t *testing.T) {
	s := newStand(t, plan{})
	nobody := s.nobody()
	for _, sentBy := range []string{"p2.example.net", "p2.example.net:5071", s.far.Addr().String()} {
		s.offer(nobody, s.dials(nobody), sentBy, "alias")
		s.noRows()
	}
	conn := s.offered("p2.example.net")
	before := s.row()
	for _, sentBy := range []string{"p2.example.net", "p2.example.net:5071"} {
		s.offer(nobody, s.dials(nobody), sentBy, "alias")
	}
	if after := s.row(); after.Conn != before.Conn || after.Resolved != before.Resolved || after.MadeBy != before.MadeBy ||
		!after.LastUsed.Equal(before.LastUsed) {
		t.Errorf("the row is %+v, and was %+v", after, before)
	}
	s.over(conn, "sip:bob@example.net", s.far)
}

// badClientCertificate: none of these forms an alias, be the connection refused or not.
func badClientCertificate(t *testing.T) {
	ca := siptest.NewCA(t)
	names := []string{"sip:example.net", "sip:p2.example.net"}
	revoked := ca.Issue(t, siptest.Spec{URIs: names})
	crl := siptest.WriteCRL(t, ca.CRL(t, revoked.Leaf))
	s := newStand(t, plan{ca: ca, trust: ", crl: [" + crl + "]"})
	for name, cert := range map[string]*siptest.Cert{
		"other authority": siptest.NewCA(t).Issue(t, siptest.Spec{URIs: names}),
		"expired":         ca.Issue(t, siptest.Spec{URIs: names, NotAfter: time.Now().Add(-time.Minute)}),
		"not yet valid":   ca.Issue(t, siptest.Spec{URIs: names, NotBefore: time.Now().Add(time.Hour)}),
		"revoked":         revoked,
		"other usage":     ca.Issue(t, siptest.Spec{URIs: names, ExtKeyUsage: oids(codeSigning)}),
		"clients only":    ca.Issue(t, siptest.Spec{URIs: names, ExtKeyUsage: oids(siptest.ClientAuth)}),
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			peer := siptest.NewPeer(t, siptest.PeerConfig{Name: "bad", Addr: s.far.Addr(), Cert: cert, TLS: only(version), Handle: answerButInvite})
			s.tries(peer)
			for _, r := range s.p.rows() {
				if r.Direction == alias.Accepted {
					t.Errorf("%s: a row was made: %+v", name, r)
				}
			}
			s.sends("sip:bob@example.net", s.far)
			if n := len(slices.DeleteFunc(peer.Received(), func(r *siptest.Received) bool { return r.Message == nil || !r.IsRequest() })); n != 0 {
				t.Errorf("%s: %d requests came to it", name, n)
			}
		}
	}
	t.Run("resumed", func(t *testing.T) {
		t.Parallel()
		resumedClient(t)
	})
}

// tries has a peer offer an alias, as far as the proxy lets it, and reports whether it was answered.
func (s *stand) tries(peer *siptest.Peer) bool {
	s.t.Helper()
	conn, err := peer.TryDial(secure(s.t), s.p.at(secure(s.t)), "example.com")
	if err != nil {
		return false
	}
	r := conn.Request(sip.MethodOptions, "sip:p1.example.com").SetSentBy("p2.example.net", "alias")
	_ = conn.TrySend(r.String()) // it may have been closed meanwhile
	answered := func() bool { return slices.ContainsFunc(peer.Received(), same(r.CallID, false)) }
	eventually(s.t, "OPTIONS is answered or the connection closed", func() bool { return conn.Closed() || answered() })
	return answered()
}

// oneSession is a cache that offers the same session to everybody.
type oneSession struct{ tls.ClientSessionCache }

func (o oneSession) Get(string) (*tls.ClientSessionState, bool) { return o.ClientSessionCache.Get("") }
func (o oneSession) Put(_ string, session *tls.ClientSessionState) {
	o.ClientSessionCache.Put("", session)
}

// resumedClient: a session that is resumed, without a certificate on the wire, is as good as a new one as
// long as the certificate is.
func resumedClient(t *testing.T) {
	ca := siptest.NewCA(t)
	cache := oneSession{tls.NewLRUClientSessionCache(1)}
	s := newStand(t, plan{ca: ca, deaf: true, far: soonEnding(t, ca), tls: func(c *tls.Config) { c.ClientSessionCache = cache }})
	first := s.offered("p2.example.net")
	end := s.row().NotAfter
	leave(first)
	eventually(t, "the row is gone", func() bool { return len(s.p.rows()) == 0 })
	again := s.offered("p2.example.net")
	if !again.TLS().DidResume {
		t.Error("the session was not resumed")
	}
	if r := s.row(); !r.Identities.Contains("p2.example.net") || !r.NotAfter.Equal(end) {
		t.Errorf("the resumed connection has the row %+v", r)
	}
	s.over(again, "sip:bob@example.net", s.far)
	leave(again)
	eventually(t, "the certificate has ended", func() bool { return time.Now().After(end) && len(s.p.rows()) == 0 })
	s.tries(s.far)
	s.noRows()
}

// plainIsNeverReused: whatever is said over TCP, requests backwards go over a connection that the proxy has
// dialed, or nowhere.
func plainIsNeverReused(t *testing.T) {
	s := newStand(t, plan{deaf: true, domains: []string{"example.biz"}})
	s.zone.Reset()
	s.record(`example.net. 60 IN NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp.example.net.`,
		`_sip._tcp.example.net. 60 IN SRV 10 10 5060 p2.example.net.`, fmt.Sprintf(`p2.example.net. 60 IN A %s`, s.far.Addr()))
	conn := s.far.Dial(plain(t), s.p.at(plain(t)))
	for _, via := range []string{"TCP p2.example.net", "TLS p2.example.net", "TCP p2.example.net:5060", "TLS p2.example.net:5060",
		"TCP " + conn.Local().String(), "TCP " + s.far.Addr().String()} {
		via = "SIP/2.0/" + via + ";branch=z9hG4bK" + siptest.Token(12) + ";alias"
		if got := s.offerVia(s.far, conn, via); got.StatusCode() != 200 || got.Conn != conn {
			t.Errorf("OPTIONS with %q is answered %d", via, got.StatusCode())
		}
		s.noRows()
	}
	for _, local := range []string{"example.com", "example.biz"} {
		s.fails("sip:bob@example.net", from(local)) // nobody listens
		s.fails(spoken(t, fmt.Sprintf("sip:bob@%s;transport=tcp", conn.Local())), from(local))
	}
	quiet(s.far)
	s.far.Listen(plain(t), 5060)
	s.notOver(conn, "sip:bob@example.net", s.far)
	s.offerVia(s.far, conn, "SIP/2.0/TCP p2.example.net;branch=z9hG4bK"+siptest.Token(12)+";alias")
	s.notOver(conn, "sip:bob@example.net", s.far)
	s.notOver(conn, "sip:bob@example.net", s.far, from("example.biz"))
}

// bySNI has a server show the certificate of the name that it is asked for.
func bySNI(certs map[string]*siptest.Cert) func(*tls.Config) {
	return func(c *tls.Config) {
		c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			cert := certs[hello.ServerName]
			if cert == nil {
				return nil, fmt.Errorf("no certificate for %q", hello.ServerName)
			}
			pair := cert.TLS()
			return &pair, nil
		}
	}
}

// twoFarDomains: example.net and example.org are at one address. They share a connection only if its
// certificate has both.
func twoFarDomains(t *testing.T) {
	ca := siptest.NewCA(t)
	certs := map[string]*siptest.Cert{"example.net": ca.Domain(t, "example.net"), "example.org": ca.Domain(t, "example.org")}
	s := newStand(t, plan{ca: ca, tls: bySNI(certs)})
	s.names("example.org", "p2.example.net", s.far.Addr(), 5061)
	net := s.sends("sip:bob@example.net", s.far).Conn
	org := s.notOver(net, "sip:bob@example.org", s.far)
	for range 2 {
		s.over(net, "sip:bob@example.net", s.far)
		s.over(org, "sip:bob@example.org", s.far)
	}
	rows := s.p.rows()
	if len(rows) != 2 || rows[0].Resolved != rows[1].Resolved || rows[0].Conn == rows[1].Conn || rowsWith(s.p, "example.net") != 1 || rowsWith(s.p, "example.org") != 1 {
		t.Errorf("the rows are %+v", rows)
	}
	// The same of a connection that was accepted.
	s = newStand(t, plan{ca: ca, far: certs["example.net"], tls: bySNI(certs)})
	s.names("example.org", "p2.example.net", s.far.Addr(), 5061)
	net = s.offered("p2.example.net")
	org = s.notOver(net, "sip:bob@example.org", s.far)
	s.over(net, "sip:bob@example.net", s.far)
	s.over(org, "sip:bob@example.org", s.far)
	if rows := s.p.rows(); len(rows) != 2 || rows[0].Resolved != rows[1].Resolved || rowsWith(s.p, "example.org") != 1 {
		t.Errorf("the rows are %+v", rows)
	}
	// Both in one certificate.
	s = newStand(t, plan{ca: ca, far: ca.Domain(t, "example.net", "example.org")})
	s.names("example.org", "p2.example.net", s.far.Addr(), 5061)
	net = s.sends("sip:bob@example.net", s.far).Conn
	s.over(net, "sip:bob@example.org", s.far)
	if n := s.dialed(); n != 1 {
		t.Errorf("%d connections were dialed, want one", n)
	}
}

// twoLocalDomains: requests of two served domains to one address go over two connections, each with the
// certificate of its domain; what was accepted for one is not used for the other.
func twoLocalDomains(t *testing.T) {
	s := newStand(t, plan{domains: []string{"example.biz"}})
	com := s.sends("sip:bob@example.net", s.far, from("example.com")).Conn
	biz := s.notOver(com, "sip:bob@example.net", s.far, from("example.biz"))
	for conn, domain := range map[*siptest.Conn]string{com: "example.com", biz: "example.biz"} {
		s.over(conn, "sip:bob@example.net", s.far, from(domain))
		if got := conn.TLS().PeerCertificates[0].DNSNames[0]; got != domain {
			t.Errorf("the connection of %s shows the certificate of %s", domain, got)
		}
	}
	s = newStand(t, plan{domains: []string{"example.biz"}})
	conn := s.far.DialName(secure(t), s.p.at(secure(t)), "example.biz")
	s.offer(s.far, conn, "p2.example.net", "alias")
	s.over(conn, "sip:bob@example.net", s.far, from("example.biz"))
	s.notOver(conn, "sip:bob@example.net", s.far, from("example.com"))
	s.over(conn, "sip:bob@example.net", s.far, from("example.biz"))
}

// tablesApart: the same offer to two served domains makes a row in the table of each, and the end of one
// connection takes nothing from the other.
func tablesApart(t *testing.T) {
	s := newStand(t, plan{deaf: true, domains: []string{"example.biz"}})
	conns := make(map[string]*siptest.Conn)
	for _, domain := range []string{"example.com", "example.biz"} {
		conns[domain] = s.far.DialName(secure(t), s.p.at(secure(t)), domain)
		s.offer(s.far, conns[domain], "p2.example.net", "alias")
	}
	rows := s.p.rows()
	if len(rows) != 2 || rows[0].LocalDomain == rows[1].LocalDomain || rows[0].Resolved != rows[1].Resolved || rows[0].Conn == rows[1].Conn {
		t.Errorf("the rows are %+v", rows)
	}
	for domain, conn := range conns {
		s.over(conn, "sip:bob@example.net", s.far, from(domain))
	}
	leave(conns["example.com"])
	eventually(t, "the row is gone", func() bool { return len(s.p.rows()) == 1 })
	s.fails("sip:bob@example.net", from("example.com")) // rather than over the other's
	s.over(conns["example.biz"], "sip:bob@example.net", s.far, from("example.biz"))
	if r := s.row(); r.LocalDomain != "example.biz" {
		t.Errorf("the row is %+v", r)
	}
}

// virtualServers: two proxies that serve two domains each, on one address and port, with an agent behind
// each. Each pair of domains has a connection of its own, which carries requests both ways.
func virtualServers(t *testing.T) {
	b := newBench(t)
	side := func(names [2]string, others string) *stand {
		s := &stand{bench: b}
		s.alice = b.agent(names[0], answerButInvite)
		s.p = s.virtual(plan{served: names[:], peers: "[{name: partner, identities: [" + others + "]}]"})
		for _, d := range names {
			s.names(d, "p1."+d, s.p.addr, 5061)
		}
		return s
	}
	left := side([2]string{"example.com", "example.biz"}, "example.net, example.org")
	right := side([2]string{"example.net", "example.org"}, "example.com, example.biz")
	for range 2 {
		for _, pair := range [][2]string{{"example.com", "example.net"}, {"example.biz", "example.org"}} {
			left.sends("sip:bob@"+pair[1], right.alice, from(pair[0]))
			right.sends("sip:bob@"+pair[0], left.alice, from(pair[1]))
		}
	}
	for _, s := range []*stand{left, right} {
		rows := s.p.rows()
		if len(rows) != 2 || len(s.p.tlsConns()) != 2 || s.p.Handshakes() != 2 {
			t.Errorf("%d connections, %d handshakes, rows %+v", len(s.p.tlsConns()), s.p.Handshakes(), rows)
		}
		for _, r := range rows {
			want := map[string]string{"example.com": "example.net", "example.net": "example.com", "example.biz": "example.org", "example.org": "example.biz"}[r.LocalDomain]
			if !r.Identities.Contains(want) || r.Identities.Contains("example.none") || r.Identities.Len() != 2 {
				t.Errorf("the row of %s is %+v", r.LocalDomain, r)
			}
		}
	}
	// And across: a third connection, because no other is both between these two.
	left.sends("sip:bob@example.org", right.alice, from("example.com"))
	if n := len(left.p.tlsConns()); n != 3 {
		t.Errorf("%d connections, want three", n)
	}
}
