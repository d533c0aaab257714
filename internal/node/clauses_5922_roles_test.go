package node_test

// RFC 5922, Section 7: what clients, servers and proxies do with identities.

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// originalHost: the DNS leads from example.net to p2.example.net. The certificate has to name the first.
func originalHost(t *testing.T) {
	ca := siptest.NewCA(t)
	certificates(t, ca, "", []certCase{
		{name: "the SRV target", cert: ca.Domain(t, "p2.example.net")},
		{name: "the name of the SRV record", cert: ca.Domain(t, "tcp.example.net", "sips.tcp.example.net")},
		{name: "the domain alone", cert: ca.Domain(t, "example.net"), server: true, client: true},
		{name: "the host in the URI", cert: ca.Domain(t, "p2.example.net"), uri: "sip:bob@p2.example.net;transport=tls", server: true, client: true},
		{name: "the domain for the host in the URI", cert: ca.Domain(t, "example.net"), uri: "sip:bob@p2.example.net;transport=tls"},
	})
	// A route's next hop is what is given to RFC 3263 then, and not the Request-URI.
	s := newStand(t, plan{ca: ca, far: ca.Domain(t, "p2.example.net"), routeTo: "sip:p2.example.net;transport=tls"})
	s.sends("sip:bob@example.org", s.far)
}

func closedWithoutIdentity(t *testing.T) {
	ca := siptest.NewCA(t)
	for name, cert := range map[string]*siptest.Cert{
		"no subjectAltName": ca.Issue(t, siptest.Spec{CommonName: "example.net"}),
		"e-mail only":       ca.Issue(t, siptest.Spec{Emails: []string{"root@example.net"}}),
		"user only":         ca.Issue(t, siptest.Spec{URIs: []string{"sip:bob@example.net"}}),
		"another domain":    ca.Domain(t, "example.org"),
	} {
		s := newStand(t, plan{ca: ca, far: cert, tls: only(tls.VersionTLS12)})
		if got := s.fails("sip:bob@example.net"); got.StatusCode() != 503 {
			t.Errorf("%s: answered %d", name, got.StatusCode())
		}
		s.far.HandshakeFailures(1) // it never came to a connection
		if n := len(s.far.Conns()) + len(s.p.tlsConns()); n != 0 {
			t.Errorf("%s: %d connections", name, n)
		}
	}
}

// nobodyIsNotAuthenticated: what an authenticated peer may have, a client without a certificate may not,
// whatever name it gives itself.
func nobodyIsNotAuthenticated(t *testing.T) {
	s := newStand(t, plan{routeTo: "sip:third.example;transport=tls"})
	third := siptest.NewPeer(t, siptest.PeerConfig{Name: "third", Cert: s.ca.Domain(t, "third.example"), Handle: answerButInvite})
	third.Listen(secure(t), 5061)
	s.record(fmt.Sprintf("third.example. 60 IN A %s", third.Addr()))
	relayed := func(peer *siptest.Peer) int {
		conn := s.dials(peer)
		r := conn.Request(sip.MethodMessage, "sip:carol@example.org").SetSentBy("p2.example.net", "alias")
		r.From = "<sip:bob@example.net>;tag=1"
		conn.SendRequest(r)
		return peer.Expect("the answer", same(r.CallID, false)).StatusCode()
	}
	if got := relayed(s.nobody()); got != 403 {
		t.Errorf("nobody is answered %d", got)
	}
	quiet(third)
	if got := relayed(s.far); got != 200 {
		t.Errorf("the peer is answered %d", got)
	}
	third.ExpectRequest(sip.MethodMessage)
}

// identitiesForPolicy: which peer a client is, and so what it may do, is said by any one of its identities,
// and by the identities alone.
func identitiesForPolicy(t *testing.T) {
	ca := siptest.NewCA(t)
	s := newStand(t, plan{ca: ca, routeTo: "sip:third.example;transport=tls", peers: `
  - {name: partner, identities: [example.net]}
  - {name: declined, identities: [declined.example], alias: decline}`})
	third := siptest.NewPeer(t, siptest.PeerConfig{Name: "third", Cert: ca.Domain(t, "third.example"), Handle: answerButInvite})
	third.Listen(secure(t), 5061)
	s.record(fmt.Sprintf("third.example. 60 IN A %s", third.Addr()))
	for _, c := range []struct {
		cert   *siptest.Cert
		relay  int
		aliced bool // a row is made
	}{
		{ca.Domain(t, "example.net"), 200, true},
		{ca.Domain(t, "aaa.example", "example.net", "zzz.example"), 200, true},
		{ca.Domain(t, "declined.example"), 200, false},
		{ca.Domain(t, "aaa.example", "declined.example"), 200, false},
		{ca.Domain(t, "stranger.example"), 403, true},
		{ca.Domain(t, "sub.example.net"), 403, true},
	} {
		peer := siptest.NewPeer(t, siptest.PeerConfig{Name: "client", Cert: c.cert})
		conn := s.dials(peer)
		r := conn.Request(sip.MethodMessage, "sip:carol@example.org").SetSentBy("p2.example.net", "alias")
		conn.SendRequest(r)
		if got := peer.Expect("the answer", same(r.CallID, false)).StatusCode(); got != c.relay {
			t.Errorf("%v is answered %d, want %d", c.cert.Leaf.DNSNames, got, c.relay)
		}
		has := slices.ContainsFunc(s.p.rows(), func(r alias.Row) bool { return s.has(r, conn) })
		if has != c.aliced {
			t.Errorf("%v has a row: %t, want %t", c.cert.Leaf.DNSNames, has, c.aliced)
		}
	}
}

// recordRouteIdentity: what the proxy writes into Record-Route for a TLS hop is a name of its certificate,
// towards either side, for each served domain, and with sips.
func recordRouteIdentity(t *testing.T) {
	s := newStand(t, plan{domains: []string{"example.biz"}})
	check := func(in *siptest.Received, conn *siptest.Conn, domain string) {
		t.Helper()
		values := slices.Collect(in.Values(sip.FieldRecordRoute))
		if len(values) == 0 {
			t.Fatalf("%s has no Record-Route", in.Method())
		}
		value := values[0] // the next hop's side stands first in a request, and last in a response to it
		if !in.IsRequest() {
			value = values[len(values)-1]
		}
		na, err := sip.ParseNameAddr(value)
		if err != nil {
			t.Fatal(err)
		}
		u, err := na.URI()
		if err != nil || !slices.Contains(conn.TLS().PeerCertificates[0].DNSNames, u.Host) || !strings.HasSuffix(u.Host, domain) ||
			!u.Secure() && u.Transport() != secure(t).URIParam() {
			t.Errorf("Record-Route is %s, and the certificate has %v", value, conn.TLS().PeerCertificates[0].DNSNames)
		}
	}
	udp := s.alice.Dial(sipaddr.UDP, s.p.at(sipaddr.UDP))
	for _, domain := range []string{"example.com", "example.biz"} {
		for _, uri := range []string{"sip:bob@example.net", "sips:bob@example.net"} {
			r := udp.Request(sip.MethodInvite, uri)
			from(domain)(r)
			udp.SendRequest(r)
			in := s.far.Expect("INVITE", same(r.CallID, true))
			check(in, in.Conn, domain)
			in.Reply(486)
			udp.SendRequest(r.Ack(s.alice.Expect("486", same(r.CallID, false))))
			s.far.ExpectRequest(sip.MethodAck)
		}
		conn := s.far.DialName(secure(t), s.p.at(secure(t)), domain)
		r := conn.SendRequest(conn.Request(sip.MethodInvite, "sip:alice@"+domain))
		s.alice.Expect("INVITE", same(r.CallID, true)).Reply(200)
		check(s.far.Expect("200", same(r.CallID, false)), conn, domain)
	}
}

// serverName: the proxy asks for the domain in the URI, and shows who asks for a domain its certificate.
func serverName(t *testing.T) {
	names := make(chan string, 20)
	s := newStand(t, plan{domains: []string{"example.biz"}, tls: func(c *tls.Config) {
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			names <- hello.ServerName
			return nil, nil
		}
	}})
	for uri, want := range map[string]string{"sip:bob@Example.NET": "example.net", "sip:bob@p2.example.net;transport=tls": "p2.example.net"} {
		s.sends(uri, s.far).Conn.Close()
		if got := <-names; got != want {
			t.Errorf("for %s the server name is %q, want %q", uri, got, want)
		}
		eventually(t, "the row is gone", func() bool { return len(s.p.rows()) == 0 })
	}
	for name, want := range map[string]string{"example.com": "example.com", "p1.example.com": "example.com", "EXAMPLE.BIZ": "example.biz",
		"p1.example.biz": "example.biz", "": "example.com", "unknown.example": "example.com", "foo.example.biz": "example.com"} {
		peer := siptest.NewPeer(t, siptest.PeerConfig{Name: "client"})
		conn := peer.DialName(secure(t), s.p.at(secure(t)), name)
		if got := conn.TLS().PeerCertificates[0].DNSNames[0]; got != want {
			t.Errorf("server name %q gets the certificate of %s, want %s", name, got, want)
		}
	}
}
