package siptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// KeyType says which key a certificate gets.
type KeyType uint8

// Key types.
const (
	P256 KeyType = iota
	P384
	RSA2048
	Ed25519
)

// newKey makes a key.
func newKey(t testing.TB, k KeyType) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch k {
	case P384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case RSA2048:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case Ed25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatalf("siptest: key: %v", err)
	}
	return key
}

// serial gives each certificate of this process its own number.
var serial atomic.Int64

// Spec says what stands in a certificate. The zero value is a leaf without any name, good for both roles,
// from an hour ago to a day from now.
type Spec struct {
	CommonName          string
	URIs                []string                // SAN URIs, written as they are, even if they are none
	DNSNames            []string                // SAN DNS names, written as they are
	IPs                 []netip.Addr            // SAN IP addresses
	Emails              []string                // SAN e-mail addresses, written as they are
	RawSANs             []asn1.RawValue         // further general names, behind those above
	ExtKeyUsage         []asn1.ObjectIdentifier // nil: serverAuth and clientAuth; empty: no such extension
	KeyUsage            x509.KeyUsage           // 0: digital signature; for a CA: signing of certificates and CRLs
	NotBefore, NotAfter time.Time
	Key                 KeyType
	Extensions          []pkix.Extension // further extensions
	CRLURL              string           // where a CRL would be
	OCSPURL             string           // where an OCSP responder would be
}

// Object identifiers for Spec.ExtKeyUsage.
var (
	ServerAuth = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}  // id-kp-serverAuth
	ClientAuth = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}  // id-kp-clientAuth
	SIPDomain  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 20} // id-kp-sipDomain: RFC 5924, Section 3
	AnyUsage   = asn1.ObjectIdentifier{2, 5, 29, 37, 0}            // anyExtendedKeyUsage
)

// Cert is a certificate with its key, and those that vouch for it.
type Cert struct {
	Leaf  *x509.Certificate
	Key   crypto.Signer
	Chain []*x509.Certificate // the leaf and what lies between it and the root, without the root
}

// CA is a test certificate authority: a root or an intermediate one.
type CA struct {
	Cert *x509.Certificate
	Key  crypto.Signer
	root *CA                 // itself for a root
	path []*x509.Certificate // from this one up, without the root
	crls atomic.Int64
}

// NewCA makes a root with a name of its own.
func NewCA(t testing.TB) *CA {
	t.Helper()
	ca := &CA{}
	ca.root = ca
	ca.Cert, ca.Key = issue(t, Spec{CommonName: "Test root " + Token(6)}, ca, true)
	return ca
}

// Intermediate makes an authority below this one. Of the spec, all counts but the SANs' defaults; an empty
// CommonName gets one.
func (ca *CA) Intermediate(t testing.TB, s Spec) *CA {
	t.Helper()
	if s.CommonName == "" {
		s.CommonName = "Test intermediate " + Token(6)
	}
	sub := &CA{root: ca.root}
	sub.Cert, sub.Key = issue(t, s, ca, true)
	sub.path = append([]*x509.Certificate{sub.Cert}, ca.path...)
	return sub
}

// Issue makes a leaf certificate.
func (ca *CA) Issue(t testing.TB, s Spec) *Cert {
	t.Helper()
	leaf, key := issue(t, s, ca, false)
	return &Cert{Leaf: leaf, Key: key, Chain: append([]*x509.Certificate{leaf}, ca.path...)}
}

// Domain makes a leaf for SIP domains: a SAN URI and a SAN DNS name for each (RFC 5922, Section 7.1).
func (ca *CA) Domain(t testing.TB, domains ...string) *Cert {
	t.Helper()
	s := Spec{DNSNames: domains}
	for _, d := range domains {
		s.URIs = append(s.URIs, "sip:"+d)
	}
	return ca.Issue(t, s)
}

// issue makes a certificate and its key. When parent has no certificate yet, it is the parent's own.
func issue(t testing.TB, s Spec, parent *CA, isCA bool) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key := newKey(t, s.Key)
	c := &x509.Certificate{
		SerialNumber:          big.NewInt(serial.Add(1)),
		Subject:               pkix.Name{CommonName: s.CommonName},
		NotBefore:             orTime(s.NotBefore, -time.Hour),
		NotAfter:              orTime(s.NotAfter, 24*time.Hour),
		KeyUsage:              s.KeyUsage,
		BasicConstraintsValid: true,
		IsCA:                  isCA,
		ExtraExtensions:       slices.Clone(s.Extensions),
		UnknownExtKeyUsage:    s.ExtKeyUsage,
	}
	if c.KeyUsage == 0 {
		c.KeyUsage = x509.KeyUsageDigitalSignature
		if isCA {
			c.KeyUsage |= x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		}
	}
	if s.ExtKeyUsage == nil && !isCA {
		c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{ServerAuth, ClientAuth}
	}
	if s.CRLURL != "" {
		c.CRLDistributionPoints = []string{s.CRLURL}
	}
	if s.OCSPURL != "" {
		c.OCSPServer = []string{s.OCSPURL}
	}
	if names := s.generalNames(); len(names) > 0 {
		value, err := asn1.Marshal(names)
		if err != nil {
			t.Fatalf("siptest: SAN: %v", err)
		}
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value})
	}
	signer, over := parent.Cert, parent.Key
	if signer == nil {
		signer, over = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, signer, key.Public(), over)
	if err != nil {
		t.Fatalf("siptest: certificate: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("siptest: a certificate that crypto/x509 does not read: %v", err)
	}
	return cert, key
}

// orTime gives t, or the time that is d away from now if t is zero.
func orTime(t time.Time, d time.Duration) time.Time {
	if t.IsZero() {
		return time.Now().Add(d)
	}
	return t
}

// generalNames are the SANs (RFC 5280, Section 4.2.1.6).
func (s Spec) generalNames() []asn1.RawValue {
	var all []asn1.RawValue
	add := func(tag int, value string) {
		all = append(all, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(value)})
	}
	for _, v := range s.URIs {
		add(6, v)
	}
	for _, v := range s.DNSNames {
		add(2, v)
	}
	for _, v := range s.IPs {
		add(7, string(v.AsSlice()))
	}
	for _, v := range s.Emails {
		add(1, v)
	}
	return append(all, s.RawSANs...)
}

// Root gives the root's certificate, for those who are to trust it.
func (ca *CA) Root() *x509.Certificate { return ca.root.Cert }

// Pool gives a pool with the root.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.Root())
	return pool
}

// CRL makes a list of certificates that this authority revokes, good for a day. Each list has a higher
// number than the one before.
func (ca *CA) CRL(t testing.TB, revoked ...*x509.Certificate) *x509.RevocationList {
	t.Helper()
	return ca.CRLAt(t, time.Now().Add(-time.Minute), time.Now().Add(24*time.Hour), revoked...)
}

// CRLAt is CRL with the times that stand in the list.
func (ca *CA) CRLAt(t testing.TB, thisUpdate, nextUpdate time.Time, revoked ...*x509.Certificate) *x509.RevocationList {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(ca.crls.Add(1)), ThisUpdate: thisUpdate, NextUpdate: nextUpdate}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: thisUpdate})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.Cert, ca.Key)
	if err != nil {
		t.Fatalf("siptest: CRL: %v", err)
	}
	list, err = x509.ParseRevocationList(der)
	if err != nil {
		t.Fatalf("siptest: CRL: %v", err)
	}
	return list
}

// TLS gives the certificate in the form that crypto/tls takes.
func (c *Cert) TLS() tls.Certificate {
	pair := tls.Certificate{PrivateKey: c.Key, Leaf: c.Leaf}
	for _, link := range c.Chain {
		pair.Certificate = append(pair.Certificate, link.Raw)
	}
	return pair
}

// WriteFiles writes the chain and the key as PEM files into a new directory that goes with the test.
func (c *Cert) WriteFiles(t testing.TB) (certFile, keyFile string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		t.Fatalf("siptest: key: %v", err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	var chain [][]byte
	for _, link := range c.Chain {
		chain = append(chain, link.Raw)
	}
	writePEM(t, certFile, "CERTIFICATE", chain...)
	writePEM(t, keyFile, "PRIVATE KEY", der)
	return certFile, keyFile
}

// WriteFile writes the root as a PEM file into a new directory that goes with the test.
func (ca *CA) WriteFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	writePEM(t, path, "CERTIFICATE", ca.Root().Raw)
	return path
}

// WriteCRL writes a list as a PEM file into a new directory that goes with the test.
func WriteCRL(t testing.TB, list *x509.RevocationList) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.crl")
	writePEM(t, path, "X509 CRL", list.Raw)
	return path
}

// writePEM writes blocks of one type.
func writePEM(t testing.TB, path, kind string, blocks ...[]byte) {
	t.Helper()
	var text []byte
	for _, der := range blocks {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatalf("siptest: %v", err)
	}
}
