package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"testing"
	"time"
)

// connectionOf is the state of a handshake in which chain was presented.
func connectionOf(chain []*x509.Certificate) tls.ConnectionState {
	return tls.ConnectionState{PeerCertificates: chain}
}

// TestReference is RFC 5922, Section 7.2 and RFC 5922, Section 7.3: who a server is taken for.
func TestReference(t *testing.T) {
	root := newRoot(t)
	v := mustVerifier(t, policyOf(root))
	chain := root.leaf(uriNames("sip:example.com", "sip:xn--bcher-kva.example:5061;transport=tls"), withCN("sip.example.com")).chain()
	for host, want := range map[string]Reason{
		"example.com":                ReasonNone,
		"EXAMPLE.COM.":               ReasonNone,
		"bücher.example":             ReasonNone,
		"foo.example.com":            ReasonMismatch, // 5922-7.2-3
		"com":                        ReasonMismatch,
		"sip.example.com":            ReasonMismatch, // the CN
		"sip:example.com":            ReasonMismatch,
		"192.0.2.1":                  ReasonMismatch,
		"":                           ReasonMismatch, // a server must prove something
		"evil.test\r\nVia: \x1b[31m": ReasonMismatch,
	} {
		_, err := v.VerifyConnection(connectionOf(chain), Server, host)
		if got := reasonOf(t, err); got != want {
			t.Errorf("reference %q: %v, want %v", host, err, want)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\r\n\x1b") {
			t.Errorf("error text %q is not escaped", err)
		}
	}
	for host, want := range map[string]Reason{"": ReasonNone, "example.com": ReasonNone, "example.net": ReasonMismatch} {
		_, err := v.VerifyConnection(connectionOf(chain), Client, host)
		if got := reasonOf(t, err); got != want {
			t.Errorf("client, reference %q: %v, want %v", host, err, want)
		}
	}
	_, err := v.VerifyConnection(connectionOf(chain), Server, "example.net")
	if want := `identity: certificate of "sip.example.com" names example.com, xn--bcher-kva.example, not example.net`; err.Error() != want {
		t.Errorf("error %q\nwant  %q", err, want)
	}
	// RFC 5922, Section 7.4: no certificate, no authentication.
	_, err = v.VerifyConnection(tls.ConnectionState{}, Client, "")
	if reasonOf(t, err) != ReasonNoCertificate {
		t.Errorf("without a certificate: %v", err)
	}
}

func TestPeer(t *testing.T) {
	root := newRoot(t)
	ends := testNow.AddDate(0, 1, 0)
	ca := root.ca("short\n CA", func(c *x509.Certificate) { c.NotAfter = ends })
	peer := wantReason(t, mustVerifier(t, policyOf(root)), ca.leaf(uriNames("sip:example.com")).chain(), Client, ReasonNone)
	if !peer.NotAfter.Equal(ends) {
		t.Errorf("NotAfter %v, want that of the CA, %v", peer.NotAfter, ends)
	}
	if peer.Fingerprint == [32]byte{} || len(peer.Serial) < 3 || peer.Issuer != `"short\n CA"` || !peer.MayAlias {
		t.Errorf("peer %+v", peer)
	}
}

func TestNewVerifierRefusesNoRoots(t *testing.T) {
	if _, err := NewVerifier(Policy{}); err == nil {
		t.Error("a verifier without trust anchors")
	}
}

func ekus(list ...any) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, e := range list {
			switch e := e.(type) {
			case x509.ExtKeyUsage:
				c.ExtKeyUsage = append(c.ExtKeyUsage, e)
			case asn1.ObjectIdentifier:
				c.UnknownExtKeyUsage = append(c.UnknownExtKeyUsage, e)
			}
		}
	}
}

// TestExtKeyUsage is 5922-7.1-2 and RFC 5924, Section 5, over the whole chain.
func TestExtKeyUsage(t *testing.T) {
	const (
		server = x509.ExtKeyUsageServerAuth
		client = x509.ExtKeyUsageClientAuth
		any    = x509.ExtKeyUsageAny
		email  = x509.ExtKeyUsageEmailProtection
		code   = x509.ExtKeyUsageCodeSigning
	)
	sip := oidSIPDomain
	other := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 21}
	empty := func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oidExtKeyUsage, Value: []byte{0x30, 0x00}})
	}
	for _, c := range []struct {
		name                       string
		leaf, ca                   func(*x509.Certificate)
		server, client, alias      bool
		strictServer, strictClient bool
	}{
		{name: "none", leaf: ekus(), ca: ekus(), server: true, client: true, alias: true},
		{name: "sipDomain", leaf: ekus(sip), ca: ekus(), server: true, client: true, alias: true, strictServer: true, strictClient: true},
		{name: "any", leaf: ekus(any), ca: ekus(), server: true, client: true, alias: true},
		{name: "both", leaf: ekus(server, client), ca: ekus(), server: true, client: true, alias: true},
		{name: "server", leaf: ekus(server), ca: ekus(), server: true},
		{name: "client", leaf: ekus(client), ca: ekus(), client: true},
		{name: "client and sipDomain", leaf: ekus(client, sip), ca: ekus(), server: true, client: true, alias: true, strictServer: true, strictClient: true},
		{name: "email", leaf: ekus(email), ca: ekus()},
		{name: "email and sipDomain", leaf: ekus(email, sip), ca: ekus(), server: true, client: true, alias: true, strictServer: true, strictClient: true},
		{name: "code signing and any", leaf: ekus(code, any), ca: ekus(), server: true, client: true, alias: true},
		{name: "a neighbour of sipDomain", leaf: ekus(other), ca: ekus()},
		{name: "empty extension", leaf: empty, ca: ekus()},
		{name: "CA sipDomain", leaf: ekus(sip), ca: ekus(sip), server: true, client: true, alias: true, strictServer: true, strictClient: true},
		{name: "CA any", leaf: ekus(sip), ca: ekus(any), server: true, client: true, alias: true, strictServer: true, strictClient: true},
		{name: "CA sipDomain, leaf none", leaf: ekus(), ca: ekus(sip), server: true, client: true, alias: true},
		{name: "CA server, leaf none", leaf: ekus(), ca: ekus(server), server: true},
		{name: "CA server, leaf any", leaf: ekus(any), ca: ekus(server), server: true},
		{name: "CA server, leaf sipDomain", leaf: ekus(sip), ca: ekus(server), server: true},
		{name: "CA client, leaf sipDomain", leaf: ekus(sip), ca: ekus(client), client: true},
		{name: "CA client, leaf both", leaf: ekus(server, client), ca: ekus(client), client: true},
		{name: "CA server, leaf client", leaf: ekus(client), ca: ekus(server)},
		{name: "CA both, leaf sipDomain", leaf: ekus(sip), ca: ekus(server, client), server: true, client: true, alias: true},
		{name: "CA email", leaf: ekus(sip), ca: ekus(email)},
		{name: "CA code signing, leaf none", leaf: ekus(), ca: ekus(code)},
		{name: "CA empty", leaf: ekus(sip), ca: empty},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := newRoot(t)
			chain := root.ca("middle", c.ca).leaf(uriNames("sip:example.com"), c.leaf).chain()
			want := func(ok bool) Reason {
				if ok {
					return ReasonNone
				}
				return ReasonExtKeyUsage
			}
			v := mustVerifier(t, policyOf(root))
			wantReason(t, v, chain, Server, want(c.server))
			if peer := wantReason(t, v, chain, Client, want(c.client)); peer != nil && peer.MayAlias != c.alias {
				t.Errorf("MayAlias %t, want %t", peer.MayAlias, c.alias)
			}
			p := policyOf(root)
			p.StrictEKU = true
			v = mustVerifier(t, p)
			wantReason(t, v, chain, Server, want(c.strictServer))
			wantReason(t, v, chain, Client, want(c.strictClient))
		})
	}
}

// TestPath is 5922-7.1-1: what RFC 5280 demands of a path.
func TestPath(t *testing.T) {
	root := newRoot(t)
	v := mustVerifier(t, policyOf(root))
	name := uriNames("sip:example.com")
	usage := func(u x509.KeyUsage) func(*x509.Certificate) { return func(c *x509.Certificate) { c.KeyUsage = u } }
	from := func(begin, end time.Time) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = begin, end }
	}
	pathLen := func(n int) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = n, n == 0 }
	}
	critical := func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}})
	}
	emptyUsage := func(c *x509.Certificate) {
		c.KeyUsage = 0
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oidKeyUsage, Value: []byte{3, 1, 0}})
	}
	noCA := func(c *x509.Certificate) { c.IsCA = false }
	mid := root.ca("middle")
	for _, c := range []struct {
		name  string
		chain []*x509.Certificate
		want  Reason
	}{
		{"from the root", root.leaf(name).chain(), ReasonNone},
		{"by way of a CA", mid.leaf(name).chain(), ReasonNone},
		{"a CA as peer", root.ca("peer", withNames(name...)).chain(), ReasonNone},
		{"presented with the root", append(mid.leaf(name).chain(), root.cert), ReasonNone},
		{"presented twice and with strangers", append(mid.leaf(name).chain(), mid.cert, newRoot(t).cert, mid.cert), ReasonNone},
		{"without the CA between", mid.leaf(name).chain()[:1], ReasonUntrusted},
		{"another root of the same name", newRoot(t).leaf(name).chain(), ReasonUntrusted},
		{"self-signed", []*x509.Certificate{issue(t, nil, withNames(name...)).cert}, ReasonUntrusted},
		{"expired", root.leaf(name, from(testBegin, testNow.Add(-time.Second))).chain(), ReasonExpired},
		{"not yet", root.leaf(name, from(testNow.Add(time.Second), testEnd)).chain(), ReasonNotYetValid},
		{"inverted", root.leaf(name, from(testEnd, testBegin)).chain(), ReasonNotYetValid},
		{"last second", root.leaf(name, from(testNow, testNow)).chain(), ReasonNone},
		{"CA expired", root.ca("old", from(testBegin, testNow.Add(-time.Hour))).leaf(name).chain(), ReasonExpired},
		{"CA not yet", root.ca("new", from(testNow.Add(time.Hour), testEnd)).leaf(name).chain(), ReasonNotYetValid},
		{"issued by no CA", root.ca("none", noCA).leaf(name).chain(), ReasonUntrusted},
		{"issued by a peer", root.leaf(name, withCN("p")).leaf(name).chain(), ReasonUntrusted},
		{"path length 0, none below", root.ca("0", pathLen(0)).leaf(name).chain(), ReasonNone},
		{"path length 0, one below", root.ca("0", pathLen(0)).ca("1").leaf(name).chain(), ReasonChain},
		{"path length 1, one below", root.ca("0", pathLen(1)).ca("1").leaf(name).chain(), ReasonNone},
		{"path length 1, two below", root.ca("0", pathLen(1)).ca("1").ca("2").leaf(name).chain(), ReasonChain},
		{"key encipherment only", root.leaf(name, usage(x509.KeyUsageKeyEncipherment)).chain(), ReasonKeyUsage},
		{"key agreement only", root.leaf(name, usage(x509.KeyUsageKeyAgreement)).chain(), ReasonKeyUsage},
		{"certificate signing only", root.leaf(name, usage(x509.KeyUsageCertSign)).chain(), ReasonKeyUsage},
		{"empty key usage", root.leaf(name, emptyUsage).chain(), ReasonKeyUsage},
		{"no key usage", root.leaf(name, usage(0)).chain(), ReasonNone},
		{"CA may not sign", root.ca("ku", usage(x509.KeyUsageDigitalSignature)).leaf(name).chain(), ReasonUntrusted},
		{"CA with empty key usage", root.ca("ku", emptyUsage).leaf(name).chain(), ReasonKeyUsage},
		{"unknown critical extension", root.leaf(name, critical).chain(), ReasonMalformed},
		{"no name", root.leaf(nil).chain(), ReasonNoIdentity},
		{"other names only", root.leaf(uriNames("sip:alice@example.com")).chain(), ReasonNoIdentity},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantReason(t, v, c.chain, Server, c.want)
			wantReason(t, v, c.chain, Client, c.want)
		})
	}
	t.Run("the peer itself is trusted", func(t *testing.T) {
		peer := issue(t, nil, withNames(name...))
		p := policyOf(root)
		p.Roots = append(p.Roots, peer.cert)
		wantReason(t, mustVerifier(t, p), []*x509.Certificate{peer.cert}, Server, ReasonNone)
	})
}

func TestWeakKeys(t *testing.T) {
	root := newRoot(t)
	v := mustVerifier(t, policyOf(root))
	name := withNames(uriNames("sip:example.com")...)
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GODEBUG", "rsa1024min=0")
	rsa1024, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, v, issueFor(t, rsa2048, root, name).chain(), Client, ReasonNone)
	wantReason(t, v, issueFor(t, p384, root, name).chain(), Client, ReasonNone)
	wantReason(t, v, issueFor(t, rsa1024, root, name).chain(), Client, ReasonWeakKey)
	wantReason(t, v, issueFor(t, p224, root, name).chain(), Client, ReasonWeakKey)
	wantReason(t, v, issueFor(t, rsa1024, root, asCA("weak")).leaf(uriNames("sip:example.com")).chain(), Client, ReasonWeakKey)
	wantReason(t, v, issueFor(t, p224, root, asCA("weak")).leaf(uriNames("sip:example.com")).chain(), Client, ReasonWeakKey)
	weakRoot := issueFor(t, p224, nil, asCA("weak root"))
	wantReason(t, mustVerifier(t, policyOf(weakRoot)), weakRoot.leaf(uriNames("sip:example.com")).chain(), Client, ReasonWeakKey)
}

// TestLimits is what a peer can make us compute: refused before a signature is looked at.
func TestLimits(t *testing.T) {
	root := newRoot(t)
	p := policyOf(root)
	leaf := root.leaf(uriNames("sip:a.example", "sip:b.example", "sip:c.example"))
	chain := leaf.chain()

	p.MaxNames = 3
	wantReason(t, mustVerifier(t, p), chain, Server, ReasonNone)
	p.MaxNames = 2
	wantReason(t, mustVerifier(t, p), chain, Server, ReasonTooManyNames)
	// Names that are no identities count too.
	wantReason(t, mustVerifier(t, p), root.leaf([]asn1.RawValue{uriName("sip:a.example"), emailName("a"), ipName(1, 2, 3, 4)}).chain(), Server, ReasonTooManyNames)

	p = policyOf(root)
	long := append([]*x509.Certificate{}, chain...)
	for len(long) < defaultMaxChain {
		long = append(long, root.cert)
	}
	wantReason(t, mustVerifier(t, p), long, Server, ReasonNone)
	wantReason(t, mustVerifier(t, p), append(long, root.cert), Server, ReasonTooLarge)

	p.MaxChainBytes = len(chain[0].Raw)
	wantReason(t, mustVerifier(t, p), chain, Server, ReasonNone)
	p.MaxChainBytes--
	wantReason(t, mustVerifier(t, p), chain, Server, ReasonTooLarge)
}

// TestManyNamesUnderConstraints would take minutes if each name met each constraint.
func TestManyNamesUnderConstraints(t *testing.T) {
	var excluded, names []string
	for i := range 3000 {
		excluded = append(excluded, fmt.Sprintf("foo%d.example.org", i))
		names = append(names, fmt.Sprintf("sip:d%d.example.net", i))
	}
	root := newRoot(t)
	ca := root.ca("many", func(c *x509.Certificate) { c.ExcludedDNSDomains, c.ExcludedURIDomains = excluded, excluded })
	leaf := ca.leaf(uriNames(names...))
	p := policyOf(root)
	p.MaxChainBytes = 1 << 20
	v := mustVerifier(t, p)
	start := time.Now()
	wantReason(t, v, leaf.chain(), Server, ReasonNone)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestErrorTextsAreEscapedAndCut(t *testing.T) {
	root := newRoot(t)
	v := mustVerifier(t, policyOf(root))
	evil := "evil\n\x1b[31m" + strings.Repeat("x", 500)
	for _, leaf := range []*holder{
		root.leaf(uriNames("sip:alice@" + strings.Repeat("x", 500))),
		root.leaf(nil, withCN(evil)),
		newRoot(t, withCN(evil)).leaf(nil, withCN(evil)),
		newRoot(t, withCN(evil)).ca(evil).leaf(dnsNames(strings.Repeat("y", 300))),
		root.ca(evil, func(c *x509.Certificate) { c.NotAfter = testBegin }).leaf(nil, withCN(evil)),
		root.ca(evil, ekus(x509.ExtKeyUsageCodeSigning)).leaf(nil, withCN(evil)),
	} {
		_, err := v.Verify(leaf.chain(), Server, nil)
		if reasonOf(t, err) == ReasonNone {
			t.Fatal("no error")
		}
		if text := err.Error(); len(text) > 450 || strings.ContainsAny(text, "\n\x1b") || !strings.HasPrefix(text, "identity: certificate of ") {
			t.Errorf("text of %d bytes: %q", len(text), text)
		}
	}
}

func TestReasonsHaveWords(t *testing.T) {
	seen := make(map[string]bool)
	for r := ReasonNone; r <= ReasonMismatch; r++ {
		word := r.String()
		if word == "" || word == "unknown" || seen[word] {
			t.Errorf("reason %d is %q", r, word)
		}
		seen[word] = true
	}
	if Reason(200).String() != "unknown" {
		t.Error("a reason that is none has a word")
	}
}

// TestServerAuthClients: a peer that can get nothing but serverAuth certificates may be let in with one
// by name; nobody else is, and no other usage becomes good by it.
func TestServerAuthClients(t *testing.T) {
	server, client, code := x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageCodeSigning
	root := newRoot(t)
	listed, err := NewSet("Example.NET")
	if err != nil {
		t.Fatal(err)
	}
	lenient := policyOf(root)
	lenient.ServerAuthClients = listed
	strict := lenient
	strict.StrictEKU = true
	for _, c := range []struct {
		name   string
		names  []asn1.RawValue
		leaf   func(*x509.Certificate)
		ca     func(*x509.Certificate)
		reason Reason
		only   bool // by leniency
	}{
		{name: "listed", names: uriNames("sip:example.net"), leaf: ekus(server), ca: ekus(), only: true},
		{name: "one of its names listed", names: uriNames("sip:example.net", "sip:b.example.net"), leaf: ekus(server), ca: ekus(), only: true},
		{name: "not listed", names: uriNames("sip:example.com"), leaf: ekus(server), ca: ekus(), reason: ReasonExtKeyUsage},
		{name: "below a listed name", names: uriNames("sip:b.example.net"), leaf: ekus(server), ca: ekus(), reason: ReasonExtKeyUsage},
		{name: "the CA too", names: uriNames("sip:example.net"), leaf: ekus(server), ca: ekus(server), only: true},
		{name: "only the CA", names: uriNames("sip:example.net"), leaf: ekus(oidSIPDomain), ca: ekus(server), only: true},
		{name: "needs no leniency", names: uriNames("sip:example.net"), leaf: ekus(server, client), ca: ekus()},
		{name: "other usage", names: uriNames("sip:example.net"), leaf: ekus(code), ca: ekus(), reason: ReasonExtKeyUsage},
		{name: "other usage of the CA", names: uriNames("sip:example.net"), leaf: ekus(server), ca: ekus(code), reason: ReasonExtKeyUsage},
		{name: "neither role", names: uriNames("sip:example.net"), leaf: ekus(server), ca: ekus(client), reason: ReasonExtKeyUsage},
	} {
		t.Run(c.name, func(t *testing.T) {
			chain := root.ca("issuer", c.ca).leaf(c.names, c.leaf).chain()
			peer := wantReason(t, mustVerifier(t, lenient), chain, Client, c.reason)
			if c.reason == ReasonNone && (peer.ServerAuthOnly != c.only || !peer.MayAlias) {
				t.Errorf("%+v", peer)
			}
			if c.only {
				wantReason(t, mustVerifier(t, policyOf(root)), chain, Client, ReasonExtKeyUsage)
				wantReason(t, mustVerifier(t, strict), chain, Client, ReasonExtKeyUsage)
			}
		})
	}
}
