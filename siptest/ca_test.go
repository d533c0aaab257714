package siptest_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"net/netip"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/siptest"
)

// TestIssue holds that certificates say what was asked for.
func TestIssue(t *testing.T) {
	ca := siptest.NewCA(t)
	middle := ca.Intermediate(t, siptest.Spec{Key: siptest.P384})
	tests := []struct {
		name  string
		spec  siptest.Spec
		check func(*x509.Certificate) bool
	}{
		{"nothing", siptest.Spec{}, func(c *x509.Certificate) bool { return len(c.DNSNames) == 0 && len(c.ExtKeyUsage) == 2 }},
		{"names", siptest.Spec{URIs: []string{"sip:example.com"}, DNSNames: []string{"p1.example.com"}, Emails: []string{"a@example.com"},
			IPs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}},
			func(c *x509.Certificate) bool {
				return len(c.URIs) == 1 && c.URIs[0].String() == "sip:example.com" && c.DNSNames[0] == "p1.example.com" && len(c.IPAddresses) == 2 && len(c.EmailAddresses) == 1
			}},
		{"raw name", siptest.Spec{RawSANs: []asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte("raw.example")}}},
			func(c *x509.Certificate) bool { return c.DNSNames[0] == "raw.example" }},
		{"common name", siptest.Spec{CommonName: "example.com"}, func(c *x509.Certificate) bool { return c.Subject.CommonName == "example.com" }},
		{"usage", siptest.Spec{ExtKeyUsage: []asn1.ObjectIdentifier{siptest.SIPDomain}},
			func(c *x509.Certificate) bool {
				return len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 1 && c.UnknownExtKeyUsage[0].Equal(siptest.SIPDomain)
			}},
		{"no usage", siptest.Spec{ExtKeyUsage: []asn1.ObjectIdentifier{}}, func(c *x509.Certificate) bool { return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 }},
		{"expired", siptest.Spec{NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}, func(c *x509.Certificate) bool { return c.NotAfter.Before(time.Now()) }},
		{"RSA", siptest.Spec{Key: siptest.RSA2048}, func(c *x509.Certificate) bool { return c.PublicKeyAlgorithm == x509.RSA }},
		{"Ed25519", siptest.Spec{Key: siptest.Ed25519}, func(c *x509.Certificate) bool { return c.PublicKeyAlgorithm == x509.Ed25519 }},
		{"CRL and OCSP", siptest.Spec{CRLURL: "http://127.0.0.1/x.crl", OCSPURL: "http://127.0.0.1/ocsp"},
			func(c *x509.Certificate) bool { return len(c.CRLDistributionPoints) == 1 && len(c.OCSPServer) == 1 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cert := middle.Issue(t, test.spec)
			if !test.check(cert.Leaf) {
				t.Errorf("not what was asked for: %+v", cert.Leaf)
			}
			if len(cert.Chain) != 2 || len(cert.TLS().Certificate) != 2 {
				t.Fatalf("a chain of %d", len(cert.Chain))
			}
			o := x509.VerifyOptions{Roots: ca.Pool(), Intermediates: x509.NewCertPool(), CurrentTime: cert.Leaf.NotBefore.Add(time.Minute), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
			if cert.Leaf.NotBefore.Before(middle.Cert.NotBefore) {
				o.CurrentTime = middle.Cert.NotBefore.Add(time.Second)
				return
			}
			o.Intermediates.AddCert(cert.Chain[1])
			if _, err := cert.Leaf.Verify(o); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFiles holds that the files are what crypto/tls reads.
func TestFiles(t *testing.T) {
	ca := siptest.NewCA(t)
	cert := ca.Intermediate(t, siptest.Spec{}).Domain(t, "example.com", "example.net")
	certFile, keyFile := cert.WriteFiles(t)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	if len(pair.Certificate) != 2 || len(cert.Leaf.URIs) != 2 {
		t.Errorf("%d certificates, %d URIs", len(pair.Certificate), len(cert.Leaf.URIs))
	}
	if ca.WriteFile(t) == "" || siptest.WriteCRL(t, ca.CRL(t)) == "" {
		t.Error("no file")
	}
}

// TestCRL holds that lists are signed, numbered, and name what was revoked.
func TestCRL(t *testing.T) {
	ca := siptest.NewCA(t)
	good, bad := ca.Domain(t, "good.example"), ca.Domain(t, "bad.example")
	first, second := ca.CRL(t), ca.CRL(t, bad.Leaf)
	if err := second.CheckSignatureFrom(ca.Cert); err != nil {
		t.Error(err)
	}
	if second.Number.Cmp(first.Number) <= 0 {
		t.Errorf("number %v after %v", second.Number, first.Number)
	}
	if n := len(second.RevokedCertificateEntries); n != 1 || second.RevokedCertificateEntries[0].SerialNumber.Cmp(bad.Leaf.SerialNumber) != 0 {
		t.Errorf("%d revoked, want that of %v and not %v", n, bad.Leaf.SerialNumber, good.Leaf.SerialNumber)
	}
	stale := ca.CRLAt(t, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	if stale.NextUpdate.After(time.Now()) {
		t.Error("the stale list is not stale")
	}
}
