package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"sync/atomic"
	"testing"
	"time"
)

// The time of the tests, and the validity of what they make.
var (
	testNow   = time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)
	testBegin = testNow.AddDate(-1, 0, 0)
	testEnd   = testNow.AddDate(1, 0, 0)
)

var testSerial atomic.Int64

// holder is a certificate with its key, and those above it.
type holder struct {
	t     testing.TB
	cert  *x509.Certificate
	key   crypto.Signer
	above *holder
}

// newRoot makes a trust anchor.
func newRoot(t testing.TB, change ...func(*x509.Certificate)) *holder {
	return issue(t, nil, append([]func(*x509.Certificate){asCA("test root")}, change...)...)
}

// ca makes a CA below h.
func (h *holder) ca(name string, change ...func(*x509.Certificate)) *holder {
	return issue(h.t, h, append([]func(*x509.Certificate){asCA(name)}, change...)...)
}

// leaf makes a certificate with these names below h.
func (h *holder) leaf(names []asn1.RawValue, change ...func(*x509.Certificate)) *holder {
	return issue(h.t, h, append([]func(*x509.Certificate){withNames(names...)}, change...)...)
}

// chain is what h presents: everything below the root.
func (h *holder) chain() []*x509.Certificate {
	var chain []*x509.Certificate
	for ; h.above != nil; h = h.above {
		chain = append(chain, h.cert)
	}
	return chain
}

func asCA(name string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: name}
		c.IsCA, c.BasicConstraintsValid = true, true
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	}
}

func issue(t testing.TB, above *holder, change ...func(*x509.Certificate)) *holder {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return issueFor(t, key, above, change...)
}

func issueFor(t testing.TB, key crypto.Signer, above *holder, change ...func(*x509.Certificate)) *holder {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1000 + testSerial.Add(1)),
		NotBefore:    testBegin,
		NotAfter:     testEnd,
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	for _, f := range change {
		f(template)
	}
	h := &holder{t: t, key: key, above: above}
	parent, signer := template, key
	if above != nil {
		parent, signer = above.cert, above.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if h.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return h
}

// General names, by their tags: RFC 5280, Section 4.2.1.6.
func uriName(s string) asn1.RawValue   { return asn1.RawValue{Class: 2, Tag: 6, Bytes: []byte(s)} }
func dnsName(s string) asn1.RawValue   { return asn1.RawValue{Class: 2, Tag: 2, Bytes: []byte(s)} }
func emailName(s string) asn1.RawValue { return asn1.RawValue{Class: 2, Tag: 1, Bytes: []byte(s)} }
func ipName(b ...byte) asn1.RawValue   { return asn1.RawValue{Class: 2, Tag: 7, Bytes: b} }

func uriNames(uris ...string) []asn1.RawValue {
	var names []asn1.RawValue
	for _, u := range uris {
		names = append(names, uriName(u))
	}
	return names
}

func dnsNames(hosts ...string) []asn1.RawValue {
	var names []asn1.RawValue
	for _, h := range hosts {
		names = append(names, dnsName(h))
	}
	return names
}

// withNames adds a subjectAltName of these names; of none at all, when names is nil, it adds none.
func withNames(names ...asn1.RawValue) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		if names == nil {
			return
		}
		der, err := asn1.Marshal(names)
		if err != nil {
			panic(err)
		}
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oidAltName, Value: der})
	}
}

func withCN(cn string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.Subject.CommonName = cn }
}

// policyOf is a policy that trusts root at the time of the tests.
func policyOf(root *holder) Policy {
	return Policy{Roots: []*x509.Certificate{root.cert}, Now: func() time.Time { return testNow }}
}

// wantReason verifies chain in role and wants the reason, or ReasonNone for success.
func wantReason(t *testing.T, v *Verifier, chain []*x509.Certificate, role Role, want Reason) *Peer {
	t.Helper()
	peer, err := v.Verify(chain, role, nil)
	if got := reasonOf(t, err); got != want {
		t.Errorf("as %v: %v (%v), want %v", role, got, err, want)
	}
	return peer
}
