package node_test

// RFC 5922, Section 7: which certificates authenticate a server, a client and the proxy itself.

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"
	"time"

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
