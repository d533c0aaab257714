package identity

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"testing"
)

type list = []string

// limits makes a CA with name constraints.
func limits(permittedDNS, excludedDNS, permittedURI, excludedURI list) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical = true
		c.PermittedDNSDomains, c.ExcludedDNSDomains = permittedDNS, excludedDNS
		c.PermittedURIDomains, c.ExcludedURIDomains = permittedURI, excludedURI
	}
}

// TestNameConstraints is RFC 5280, Section 4.2.1.10 for SIP-URIs, which crypto/x509 refuses under
// any constraint, and for the names beside them.
func TestNameConstraints(t *testing.T) {
	both := func(a []asn1.RawValue, b ...asn1.RawValue) []asn1.RawValue { return append(a, b...) }
	for _, c := range []struct {
		name string
		ca   func(*x509.Certificate)
		leaf []asn1.RawValue
		cn   string
		want list // nil: refused
	}{
		{name: "DNS permitted, URI inside", ca: limits(list{"example.com"}, nil, nil, nil), leaf: uriNames("sip:example.com"), want: list{"example.com"}},
		{name: "DNS permitted, URI below", ca: limits(list{"example.com"}, nil, nil, nil), leaf: uriNames("sip:a.b.example.com:5061;lr"), want: list{"a.b.example.com"}},
		{name: "DNS permitted, in another case", ca: limits(list{"EXAMPLE.com"}, nil, nil, nil), leaf: uriNames("SIP:Example.COM"), want: list{"example.com"}},
		{name: "DNS permitted, URI outside", ca: limits(list{"example.org"}, nil, nil, nil), leaf: uriNames("sip:example.com")},
		{name: "DNS permitted, URI with that end", ca: limits(list{"example.com"}, nil, nil, nil), leaf: uriNames("sip:notexample.com")},
		{name: "DNS permitted, one URI outside", ca: limits(list{"example.com"}, nil, nil, nil), leaf: uriNames("sip:example.com", "sip:example.org"), want: list{"example.com"}},
		{name: "DNS permitted, URI outside, DNS inside", ca: limits(list{"example.com"}, nil, nil, nil), leaf: both(uriNames("sip:example.org"), dnsName("example.com"))},
		{name: "DNS permitted, URI inside, DNS outside", ca: limits(list{"example.com"}, nil, nil, nil), leaf: both(uriNames("sip:example.com"), dnsName("example.org"))},
		{name: "DNS permitted with a dot, below", ca: limits(list{".example.com"}, nil, nil, nil), leaf: uriNames("sip:a.example.com"), want: list{"a.example.com"}},
		{name: "DNS permitted with a dot, itself", ca: limits(list{".example.com"}, nil, nil, nil), leaf: uriNames("sip:example.com")},
		{name: "DNS permitted, two", ca: limits(list{"example.org", "example.com"}, nil, nil, nil), leaf: uriNames("sip:example.com"), want: list{"example.com"}},
		{name: "DNS excluded, URI outside", ca: limits(nil, list{"example.org"}, nil, nil), leaf: uriNames("sip:example.com"), want: list{"example.com"}},
		{name: "DNS excluded, URI inside", ca: limits(nil, list{"example.com"}, nil, nil), leaf: uriNames("sip:foo.example.com")},
		{name: "DNS excluded within permitted", ca: limits(list{"example.com"}, list{"foo.example.com"}, nil, nil), leaf: uriNames("sip:foo.example.com", "sip:bar.example.com"), want: list{"bar.example.com"}},
		{name: "DNS excluded, wildcard over it", ca: limits(nil, list{"foo.example.com"}, nil, nil), leaf: dnsNames("*.example.com")},
		{name: "DNS excluded, wildcard URI over it", ca: limits(nil, list{"foo.example.com"}, nil, nil), leaf: uriNames("sip:*.example.com")},
		{name: "DNS excluded, wildcard beside it", ca: limits(nil, list{"foo.example.com"}, nil, nil), leaf: uriNames("sip:*.example.org"), want: list{"*.example.org"}},
		{name: "DNS excluded, all", ca: limits(nil, list{""}, nil, nil), leaf: uriNames("sip:example.com")},
		{name: "DNS permitted, DNS inside", ca: limits(list{"example.com"}, nil, nil, nil), leaf: dnsNames("sip.example.com"), want: list{"sip.example.com"}},
		{name: "DNS permitted, DNS outside", ca: limits(list{"example.com"}, nil, nil, nil), leaf: dnsNames("victim.example")},
		{name: "DNS permitted, wildcard inside", ca: limits(list{"example.com"}, nil, nil, nil), leaf: dnsNames("*.example.com"), want: list{"*.example.com"}},
		{name: "DNS excluded, empty DNS name", ca: limits(nil, list{"example.com"}, nil, nil), leaf: both(dnsNames(""), dnsName("example.org")), want: list{"example.org"}},
		{name: "DNS permitted, CN outside", ca: limits(list{"example.com"}, nil, nil, nil), cn: "example.org"},
		{name: "DNS permitted, CN inside", ca: limits(list{"example.com"}, nil, nil, nil), cn: "sip.example.com", want: list{"sip.example.com"}},
		{name: "DNS permitted, user URI outside", ca: limits(list{"example.com"}, nil, nil, nil), leaf: uriNames("sip:alice@example.org", "sip:example.com"), want: list{"example.com"}},

		{name: "URI permitted, the host", ca: limits(nil, nil, list{"example.com"}, nil), leaf: uriNames("sip:example.com"), want: list{"example.com"}},
		{name: "URI permitted, the host with a port", ca: limits(nil, nil, list{"Example.com"}, nil), leaf: uriNames("sip:EXAMPLE.com:5061;lr?a=b"), want: list{"example.com"}},
		{name: "URI permitted, below the host", ca: limits(nil, nil, list{"example.com"}, nil), leaf: uriNames("sip:foo.example.com")},
		{name: "URI permitted, other", ca: limits(nil, nil, list{"example.com"}, nil), leaf: uriNames("sip:example.org")},
		{name: "URI permitted, one other", ca: limits(nil, nil, list{"example.com"}, nil), leaf: uriNames("sip:example.com", "sip:example.org")},
		{name: "URI permitted, a domain", ca: limits(nil, nil, list{".example.com"}, nil), leaf: uriNames("sip:a.b.example.com"), want: list{"a.b.example.com"}},
		{name: "URI permitted, a domain, itself", ca: limits(nil, nil, list{".example.com"}, nil), leaf: uriNames("sip:example.com")},
		{name: "URI permitted, user outside", ca: limits(nil, nil, list{"example.com"}, nil), leaf: uriNames("sip:alice@example.org", "sip:example.com")},
		{name: "URI permitted, user inside", ca: limits(nil, nil, list{"example.com"}, nil), leaf: uriNames("sip:alice@example.com", "sip:example.com"), want: list{"example.com"}},
		{name: "URI permitted, URI without host", ca: limits(nil, nil, list{"example.com"}, nil), leaf: uriNames("sip:example.com", "urn:uuid:1")},
		{name: "URI permitted, URI with an address", ca: limits(nil, nil, list{"example.com"}, nil), leaf: uriNames("sip:example.com", "sip:192.0.2.1")},
		{name: "URI permitted, web URI outside", ca: limits(nil, nil, list{"example.com"}, nil), leaf: uriNames("sip:example.com", "https://example.org/")},
		{name: "URI permitted, web URI inside", ca: limits(nil, nil, list{"example.com"}, nil), leaf: uriNames("sip:example.com", "https://example.com/"), want: list{"example.com"}},
		{name: "URI permitted, DNS free", ca: limits(nil, nil, list{"example.com"}, nil), leaf: dnsNames("example.org"), want: list{"example.org"}},
		{name: "URI excluded, the host", ca: limits(nil, nil, nil, list{"example.com"}), leaf: uriNames("sip:example.com")},
		{name: "URI excluded, sips", ca: limits(nil, nil, nil, list{"example.com"}), leaf: both(uriNames("sips:example.com"), dnsName("example.org"))},
		{name: "URI excluded, a domain", ca: limits(nil, nil, nil, list{".example.com"}), leaf: uriNames("sip:foo.example.com")},
		{name: "URI excluded, other", ca: limits(nil, nil, nil, list{"example.com"}), leaf: uriNames("sip:example.org"), want: list{"example.org"}},
		{name: "both permitted, URI inside", ca: limits(list{"example.com"}, nil, list{"example.com"}, nil), leaf: uriNames("sip:example.com"), want: list{"example.com"}},
		{name: "both permitted, URI in one", ca: limits(list{"example.org"}, nil, list{"example.com"}, nil), leaf: uriNames("sip:example.com")},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := newRoot(t)
			p := policyOf(root)
			p.CNFallback = true
			v := mustVerifier(t, p)
			want := ReasonNone
			if c.want == nil {
				want = ReasonConstraint
			}
			ca := root.ca("limited", c.ca)
			// The same below another CA, and with the limits at the trust anchor.
			anchor := newRoot(t, c.ca)
			p.Roots = []*x509.Certificate{anchor.cert}
			for i, try := range []struct {
				v     *Verifier
				chain []*x509.Certificate
			}{
				{v, ca.leaf(c.leaf, withCN(c.cn)).chain()},
				{v, ca.ca("lower").leaf(c.leaf, withCN(c.cn)).chain()},
				{mustVerifier(t, p), anchor.leaf(c.leaf, withCN(c.cn)).chain()},
			} {
				peer := wantReason(t, try.v, try.chain, Server, want)
				if peer != nil && !slices.Equal(peer.Identities.Names(), c.want) {
					t.Errorf("%d: identities %q, want %q", i, peer.Identities.Names(), c.want)
				}
			}
		})
	}
}

// TestConstraintsOfTheCAItself: what a CA is called is bound by those above it, and a SIP-URI in
// its own name does not make it useless.
func TestConstraintsOfTheCAItself(t *testing.T) {
	root := newRoot(t)
	v := mustVerifier(t, policyOf(root))
	outer := root.ca("outer", limits(nil, nil, list{"example.com"}, nil))
	inside := outer.ca("inner", withNames(uriNames("sip:example.com")...))
	wantReason(t, v, inside.leaf(uriNames("sip:example.com")).chain(), Server, ReasonNone)
	outside := outer.ca("inner", withNames(uriNames("sip:example.org")...))
	wantReason(t, v, outside.leaf(uriNames("sip:example.com")).chain(), Server, ReasonConstraint)
	// Constraints bind what is below a CA and not the CA.
	own := root.ca("own", limits(list{"example.com"}, nil, list{"example.com"}, nil), withNames(uriNames("sip:example.org")...))
	wantReason(t, v, own.leaf(uriNames("sip:example.com")).chain(), Server, ReasonNone)
}

// TestBestPath: of two paths the one counts on which the peer proves more.
func TestBestPath(t *testing.T) {
	a, b := newRoot(t), newRoot(t)
	narrow := a.ca("twice", limits(list{"example.org"}, nil, nil, nil), ekus(x509.ExtKeyUsageClientAuth))
	wide := issueFor(t, narrow.key, b, asCA("twice"))
	leaf := narrow.leaf(uriNames("sip:example.com"))
	p := policyOf(a)
	p.Roots = append(p.Roots, b.cert)
	for _, chain := range [][]*x509.Certificate{{leaf.cert, narrow.cert, wide.cert}, {leaf.cert, wide.cert, narrow.cert}} {
		peer := wantReason(t, mustVerifier(t, p), chain, Client, ReasonNone)
		if peer != nil && !peer.MayAlias {
			t.Error("MayAlias of the lesser path")
		}
	}
	wantReason(t, mustVerifier(t, policyOf(a)), []*x509.Certificate{leaf.cert, narrow.cert, wide.cert}, Client, ReasonConstraint)
}
