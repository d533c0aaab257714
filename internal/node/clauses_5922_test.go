package node_test

// RFC 5922, Section 7: which certificates authenticate a server, a client and the proxy itself.

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

var chapter5922 = map[string]func(*testing.T){
	"5922-7.1-1": certificateIsValid,
	"5922-7.1-2": extendedKeyUsage,
	"5922-7.1-3": schemeIsSIP,
	"5922-7.1-4": noUserpart,
	"5922-7.1-5": hostpartIsIdentity,
	"5922-7.1-6": dnsNamesSecond,
	"5922-7.1-7": commonName,
	"5922-7.2-1": onlyTheName,
	"5922-7.2-2": anyCase,
	"5922-7.2-3": noSuffix,
	"5922-7.2-4": noWildcard,
	"5922-7.3-1": originalHost,
	"5922-7.3-2": closedWithoutIdentity,
	"5922-7.4-1": nobodyIsNotAuthenticated,
	"5922-7.4-2": identitiesForPolicy,
	"5922-7.5-1": recordRouteIdentity,
	"5922-7.8-1": serverName,
}

// certCase is a certificate of far, with what it is good for when a request goes to a URI.
type certCase struct {
	name   string
	cert   *siptest.Cert
	uri    string // default: sip:bob@example.net
	server bool   // the proxy sends the request to a server that shows it
	client bool   // the proxy sends the request backwards to a client that has shown it
}

// certificates tries each certificate on both sides: of a server that the proxy dials, and of a client that
// offers an alias.
func certificates(t *testing.T, ca *siptest.CA, trust string, cases []certCase) {
	t.Helper()
	for _, c := range cases {
		if c.uri == "" {
			c.uri = "sip:bob@example.net"
		}
		host := strings.ToLower(c.uri[strings.IndexByte(c.uri, '@')+1:])
		host, _, _ = strings.Cut(host, ";")
		host, _, _ = strings.Cut(host, ":")
		for _, side := range []string{"server", "client"} {
			want := side == "server" && c.server || side == "client" && c.client
			s := newStand(t, plan{ca: ca, trust: trust, far: c.cert, deaf: side == "client"})
			if host != "example.net" && host != "p2.example.net" {
				s.names(host, "p2.example.net", s.far.Addr(), 5061)
			}
			if side == "client" {
				s.tries(s.far)
			}
			r := s.asks(c.uri)
			final := s.alice.Expect("the answer", same(r.CallID, false))
			if got := final.StatusCode() == 200; got != want {
				t.Errorf("%s: the %s for %s is answered %d", c.name, side, c.uri, final.StatusCode())
			}
			arrived := slices.ContainsFunc(s.far.Received(), same(r.CallID, true))
			if arrived && !want {
				t.Errorf("%s: the request came to the %s", c.name, side)
			}
		}
	}
}

func certificateIsValid(t *testing.T) {
	ca := siptest.NewCA(t)
	spec := func(change func(*siptest.Spec)) siptest.Spec {
		s := siptest.Spec{URIs: []string{"sip:example.net"}}
		if change != nil {
			change(&s)
		}
		return s
	}
	leaf := func(change func(*siptest.Spec)) *siptest.Cert { return ca.Issue(t, spec(change)) }
	constrained := ca.Intermediate(t, siptest.Spec{Extensions: []pkix.Extension{permitted(t, "example.org")}})
	noSigning := ca.Intermediate(t, siptest.Spec{KeyUsage: x509.KeyUsageDigitalSignature})
	holder := ca.Issue(t, siptest.Spec{URIs: []string{"sip:example.org"}})
	minor := &siptest.CA{Cert: holder.Leaf, Key: holder.Key}
	byLeaf := issuedBy(t, minor, leaf(nil))
	broken := ca.Intermediate(t, siptest.Spec{}).Issue(t, spec(nil))
	broken.Chain = broken.Chain[:1]
	certificates(t, ca, "", []certCase{
		{name: "good", cert: leaf(nil), server: true, client: true},
		{name: "by an intermediate", cert: ca.Intermediate(t, siptest.Spec{}).Issue(t, spec(nil)), server: true, client: true},
		{name: "the intermediate is missing", cert: broken},
		{name: "another authority", cert: siptest.NewCA(t).Issue(t, spec(nil))},
		{name: "expired", cert: leaf(func(s *siptest.Spec) { s.NotAfter = time.Now().Add(-time.Minute) })},
		{name: "not yet valid", cert: leaf(func(s *siptest.Spec) { s.NotBefore = time.Now().Add(time.Hour) })},
		{name: "by a leaf", cert: byLeaf},
		{name: "by an authority that may not sign", cert: noSigning.Issue(t, spec(nil))},
		{name: "outside the name constraints", cert: constrained.Issue(t, siptest.Spec{URIs: []string{"sip:example.net"}, DNSNames: []string{"example.net"}})},
		{name: "key usage", cert: leaf(func(s *siptest.Spec) { s.KeyUsage = x509.KeyUsageCRLSign })},
	})
	revoked := leaf(nil)
	crl := siptest.WriteCRL(t, ca.CRL(t, revoked.Leaf))
	certificates(t, ca, ", crl: ["+crl+"]", []certCase{
		{name: "revoked", cert: revoked},
		{name: "not revoked", cert: leaf(nil), server: true, client: true},
	})
}

// permitted is a name constraint on DNS names: RFC 5280, Section 4.2.1.10.
func permitted(t *testing.T, domain string) pkix.Extension {
	t.Helper()
	type subtree struct {
		Base string `asn1:"tag:2,ia5"`
	}
	value, err := asn1.Marshal(struct {
		Permitted []subtree `asn1:"tag:0"`
	}{[]subtree{{domain}}})
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: true, Value: value}
}

// issuedBy makes a certificate like another that is signed by somebody who is no authority.
func issuedBy(t *testing.T, by *siptest.CA, like *siptest.Cert) *siptest.Cert {
	t.Helper()
	der, err := x509.CreateCertificate(nil, like.Leaf, by.Cert, like.Leaf.PublicKey, by.Key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &siptest.Cert{Leaf: leaf, Key: like.Key, Chain: []*x509.Certificate{leaf, by.Cert}}
}

func extendedKeyUsage(t *testing.T) {
	ca := siptest.NewCA(t)
	of := func(usages ...asn1.ObjectIdentifier) *siptest.Cert {
		return ca.Issue(t, siptest.Spec{URIs: []string{"sip:example.net"}, ExtKeyUsage: oids(usages...)})
	}
	certificates(t, ca, "", []certCase{
		{name: "none", cert: of(), server: true, client: true},
		{name: "both", cert: of(siptest.ServerAuth, siptest.ClientAuth), server: true, client: true},
		{name: "any", cert: of(siptest.AnyUsage), server: true, client: true},
		{name: "id-kp-sipDomain", cert: of(siptest.SIPDomain), server: true, client: true},
		{name: "among others", cert: of(codeSigning, siptest.SIPDomain), server: true, client: true},
		{name: "server", cert: of(siptest.ServerAuth), server: true},
		{name: "client", cert: of(siptest.ClientAuth)},
		{name: "other", cert: of(codeSigning)},
	})
	certificates(t, ca, ", eku: strict", []certCase{
		{name: "strict, id-kp-sipDomain", cert: of(siptest.SIPDomain), server: true, client: true},
		{name: "strict, both", cert: of(siptest.ServerAuth, siptest.ClientAuth)},
	})
}

func schemeIsSIP(t *testing.T) {
	ca := siptest.NewCA(t)
	var cases []certCase
	for _, uri := range []string{"sips:example.net", "https://example.net", "im:example.net", "sip://example.net", "example.net", "xsip:example.net"} {
		cases = append(cases, certCase{name: uri, cert: ca.Issue(t, siptest.Spec{URIs: []string{uri}})})
	}
	cases = append(cases, certCase{name: "beside a good one", server: true, client: true,
		cert: ca.Issue(t, siptest.Spec{URIs: []string{"sips:example.org", "sip:example.net"}})})
	cases = append(cases, certCase{name: "beside one of another domain", uri: "sip:bob@example.org",
		cert: ca.Issue(t, siptest.Spec{URIs: []string{"sips:example.org", "sip:example.net"}})})
	certificates(t, ca, "", cases)
}

func noUserpart(t *testing.T) {
	ca := siptest.NewCA(t)
	var cases []certCase
	for _, uri := range []string{"sip:bob@example.net", "sip:@example.net", "sip:bob:secret@example.net", "sip:example.net;x=@"} {
		cases = append(cases, certCase{name: uri, cert: ca.Issue(t, siptest.Spec{URIs: []string{uri}})})
	}
	certificates(t, ca, "", append(cases, certCase{name: "without", cert: ca.Issue(t, siptest.Spec{URIs: []string{"sip:bob@example.org", "sip:example.net"}}), server: true, client: true}))
}

func hostpartIsIdentity(t *testing.T) {
	ca := siptest.NewCA(t)
	var cases []certCase
	for _, uri := range []string{"sip:example.net", "SIP:example.net", "Sip:example.net", "sip:example.net:5061", "sip:example.net;transport=tls"} {
		cases = append(cases, certCase{name: uri, cert: ca.Issue(t, siptest.Spec{URIs: []string{uri}}), server: true, client: true})
	}
	many := ca.Issue(t, siptest.Spec{URIs: []string{"sip:example.org", "sip:third.example", "sip:example.net"}})
	certificates(t, ca, "", append(cases, certCase{name: "the last of several", cert: many, server: true, client: true}))
}

func dnsNamesSecond(t *testing.T) {
	ca := siptest.NewCA(t)
	certificates(t, ca, "", []certCase{
		{name: "DNS only", cert: ca.Issue(t, siptest.Spec{DNSNames: []string{"example.org", "example.net"}}), server: true, client: true},
		{name: "DNS beside a sip URI", cert: ca.Issue(t, siptest.Spec{URIs: []string{"sip:example.org"}, DNSNames: []string{"example.net"}})},
		{name: "DNS beside other URIs", cert: ca.Issue(t, siptest.Spec{URIs: []string{"sips:example.org", "sip:bob@example.org"}, DNSNames: []string{"example.net"}}), server: true, client: true},
	})
}

func commonName(t *testing.T) {
	ca := siptest.NewCA(t)
	cn := ca.Issue(t, siptest.Spec{CommonName: "example.net"})
	certificates(t, ca, "", []certCase{{name: "off by default", cert: cn}})
	certificates(t, ca, ", cn_fallback: true", []certCase{
		{name: "switched on", cert: cn, server: true, client: true},
		{name: "beside a subjectAltName", cert: ca.Issue(t, siptest.Spec{CommonName: "example.net", DNSNames: []string{"example.org"}})},
		{name: "beside one of another kind", cert: ca.Issue(t, siptest.Spec{CommonName: "example.net", Emails: []string{"a@example.net"}})},
		{name: "no DNS name", cert: ca.Issue(t, siptest.Spec{CommonName: "The server of example.net"})},
	})
}

func onlyTheName(t *testing.T) {
	ca := siptest.NewCA(t)
	var cases []certCase
	for _, in := range []string{"sip:example.net", "sip:example.net:5060", "sip:example.net:7777;transport=udp;lr", "sip:example.net;maddr=192.0.2.1"} {
		for _, uri := range []string{"sip:bob@example.net", "sips:bob@example.net", "sip:bob@example.net;transport=tls;x=y"} {
			cases = append(cases, certCase{name: in, uri: uri, cert: ca.Issue(t, siptest.Spec{URIs: []string{in}}), server: true, client: true})
		}
	}
	certificates(t, ca, "", cases)
}

func anyCase(t *testing.T) {
	ca := siptest.NewCA(t)
	lower, upper := ca.Issue(t, siptest.Spec{URIs: []string{"sip:example.net"}}), ca.Issue(t, siptest.Spec{URIs: []string{"sip:EXAMPLE.Net"}})
	idn := ca.Issue(t, siptest.Spec{DNSNames: []string{"xn--bcher-kva.example"}})
	IDN := ca.Issue(t, siptest.Spec{URIs: []string{"sip:XN--BCHER-KVA.Example"}})
	certificates(t, ca, "", []certCase{
		{name: "upper case in the URI", cert: lower, uri: "sip:bob@EXAMPLE.NET", server: true, client: true},
		{name: "upper case in the certificate", cert: upper, server: true, client: true},
		{name: "upper case in both", cert: upper, uri: "sip:bob@Example.NET", server: true, client: true},
		{name: "A-label", cert: idn, uri: "sip:bob@xn--bcher-kva.example", server: true, client: true},
		{name: "A-label in upper case", cert: idn, uri: "sip:bob@XN--BCHER-KVA.EXAMPLE", server: true, client: true},
		{name: "A-label in upper case in the certificate", cert: IDN, uri: "sip:bob@xn--bcher-kva.example", server: true, client: true},
		{name: "another label", cert: idn, uri: "sip:bob@bcher.example"},
	})
}

func noSuffix(t *testing.T) {
	ca := siptest.NewCA(t)
	certificates(t, ca, "", []certCase{
		{name: "below", cert: ca.Domain(t, "example.net"), uri: "sip:bob@foo.example.net"},
		{name: "above", cert: ca.Domain(t, "foo.example.net")},
		{name: "end of the text", cert: ca.Domain(t, "ample.net")},
		{name: "longer text", cert: ca.Domain(t, "example.net"), uri: "sip:bob@notexample.net"},
		{name: "behind", cert: ca.Domain(t, "example.net.evil.example")},
		{name: "top level", cert: ca.Domain(t, "net")},
	})
}

func noWildcard(t *testing.T) {
	ca := siptest.NewCA(t)
	var cases []certCase
	for _, name := range []string{"*.example.net", ".example.net", "*", "*.net", "f*.example.net", "*oo.example.net", "foo.*.net"} {
		cases = append(cases,
			certCase{name: "DNS " + name, cert: ca.Issue(t, siptest.Spec{DNSNames: []string{name}}), uri: "sip:bob@foo.example.net"},
			certCase{name: "URI " + name, cert: ca.Issue(t, siptest.Spec{URIs: []string{"sip:" + name}}), uri: "sip:bob@foo.example.net"})
	}
	certificates(t, ca, "", append(cases, certCase{name: "itself", uri: "sip:bob@foo.example.net", server: true, client: true,
		cert: ca.Issue(t, siptest.Spec{DNSNames: []string{"*.example.net", "foo.example.net"}})}))
}

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
	third.Listen(sipaddr.TLS, 5061)
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
	third.Listen(sipaddr.TLS, 5061)
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
			!u.Secure() && u.Transport() != "tls" {
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
		conn := s.far.DialName(sipaddr.TLS, s.p.at(sipaddr.TLS), domain)
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
		conn := peer.DialName(sipaddr.TLS, s.p.at(sipaddr.TLS), name)
		if got := conn.TLS().PeerCertificates[0].DNSNames[0]; got != want {
			t.Errorf("server name %q gets the certificate of %s, want %s", name, got, want)
		}
	}
}
