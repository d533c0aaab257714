package conformance

// This file mints certificates: for the certificates that RFC 5922, Section 7.1 tells apart, good and bad.

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Authority is a certification authority that the target trusts. It does not change, and may be used by
// several goroutines.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority with a common name, good for ten years.
func NewAuthority(name string) (*Authority, error) {
	a, err := newAuthority(certificate{cn: name, to: time.Now().AddDate(10, 0, 0)}, nil)
	if err != nil {
		return nil, fmt.Errorf("conformance: authority: %w", err)
	}
	return a, nil
}

// LoadAuthority reads an authority from PEM: its certificate, and its key, which is an elliptic-curve key in
// PKCS #8 or SEC 1 form.
func LoadAuthority(certPEM, keyPEM []byte) (*Authority, error) {
	block, _ := pem.Decode(certPEM)
	if block == nil {
		return nil, errors.New("conformance: authority: no certificate in PEM form")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("conformance: authority: %w", err)
	}
	if block, _ = pem.Decode(keyPEM); block == nil {
		return nil, errors.New("conformance: authority: no key in PEM form")
	}
	var key any
	if key, err = x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
		key, err = x509.ParseECPrivateKey(block.Bytes)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	switch {
	case err != nil:
		return nil, fmt.Errorf("conformance: authority: %w", err)
	case !ok || !ec.PublicKey.Equal(cert.PublicKey):
		return nil, errors.New("conformance: authority: the key is not an elliptic-curve key that belongs to the certificate")
	case !cert.IsCA:
		return nil, errors.New("conformance: authority: the certificate is not one of an authority")
	}
	return &Authority{cert, ec}, nil
}

// PEM returns the authority's certificate and key. The key must be kept from everybody else: who has it can
// be anybody to an element that trusts the authority.
func (a *Authority) PEM() (cert, key []byte) {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		panic(err) // a key of ours always has that form
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Issue makes a certificate for SIP domains, as a target needs that has none yet: a URI and a DNS name for
// each, for both roles, with its key, in PEM.
func (a *Authority) Issue(domains ...string) (certPEM, keyPEM []byte, err error) {
	pair, err := a.issue(certificate{uris: sipURIs(domains), dns: domains, to: time.Now().AddDate(1, 0, 0)})
	if err != nil {
		return nil, nil, fmt.Errorf("conformance: certificate: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, nil, fmt.Errorf("conformance: certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// sipURIs are the URIs for domains, as RFC 5922, Section 7.1 wants them.
func sipURIs(domains []string) []string {
	var uris []string
	for _, d := range domains {
		uris = append(uris, "sip:"+d)
	}
	return uris
}

// certificate says what stands in a certificate. The zero value is one without names, good for both roles,
// from an hour ago to a day from now, by the prober's authority.
type certificate struct {
	what      string   // what is special about it, for the log
	uris, dns []string // SAN, written as they are
	cn        string
	usages    []asn1.ObjectIdentifier // nil: serverAuth and clientAuth; empty: no such extension
	keyUsage  x509.KeyUsage           // 0: digital signature
	from, to  time.Time
	by        issuer
}

// issuer says who signs a certificate.
type issuer uint8

const (
	byAuthority   issuer = iota // the one that the target trusts
	byStranger                  // one that it doesn't know
	byItself                    // nobody
	byLeaf                      // a certificate of the authority that is none of an authority
	byConstrained               // an authority below it that may speak for other names only
)

// Extended key usages.
var (
	serverAuth  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}  // id-kp-serverAuth: RFC 5280, Section 4.2.1.12
	clientAuth  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}  // id-kp-clientAuth: RFC 5280, Section 4.2.1.12
	codeSigning = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 3}  // id-kp-codeSigning: RFC 5280, Section 4.2.1.12
	sipDomain   = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 20} // id-kp-sipDomain: RFC 5924, Section 3
	anyUsage    = asn1.ObjectIdentifier{2, 5, 29, 37, 0}            // anyExtendedKeyUsage: RFC 5280, Section 4.2.1.12
)

// issue makes a certificate with a key of its own, and the chain that it needs.
func (a *Authority) issue(c certificate) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := c.template()
	if err != nil {
		return nil, err
	}
	pair := &tls.Certificate{PrivateKey: key}
	signer, signKey, err := a.signer(c.by)
	if err != nil {
		return nil, err
	}
	if c.by == byItself {
		signer, signKey = template, key
	}
	if signer != a.cert && c.by != byItself && c.by != byStranger {
		pair.Certificate = [][]byte{signer.Raw}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, key.Public(), signKey)
	if err != nil {
		return nil, err
	}
	pair.Certificate = append([][]byte{der}, pair.Certificate...)
	return pair, nil
}

// signer is the certificate and key that a certificate is signed with.
func (a *Authority) signer(by issuer) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	var next *Authority
	var err error
	switch by {
	case byStranger:
		next, err = newAuthority(certificate{cn: "Unknown authority"}, nil)
	case byLeaf:
		next, err = newLink(certificate{cn: "No authority", uris: []string{"sip:leaf.invalid"}}, a, func(*x509.Certificate) {})
	case byConstrained:
		next, err = newLink(certificate{cn: "Authority for invalid only"}, a, func(t *x509.Certificate) {
			asAuthority(t)
			t.PermittedDNSDomainsCritical, t.PermittedDNSDomains = true, []string{"invalid"}
		})
	default:
		next = a
	}
	if err != nil {
		return nil, nil, err
	}
	return next.cert, next.key, nil
}

// newAuthority makes an authority below another one, or a root when there is none.
func newAuthority(c certificate, above *Authority) (*Authority, error) {
	return newLink(c, above, asAuthority)
}

// newLink makes a certificate that others are signed with; change is the last to touch it.
func newLink(c certificate, above *Authority, change func(*x509.Certificate)) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := c.template()
	if err != nil {
		return nil, err
	}
	change(template)
	signer, signKey := template, key
	if above != nil {
		signer, signKey = above.cert, above.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, key.Public(), signKey)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{cert, key}, nil
}

// asAuthority makes a template that of an authority.
func asAuthority(t *x509.Certificate) {
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	t.UnknownExtKeyUsage = nil
}

// template is the certificate in the words of crypto/x509.
func (c certificate) template() (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), Subject: pkix.Name{CommonName: c.cn},
		NotBefore: c.from, NotAfter: c.to, KeyUsage: c.keyUsage, UnknownExtKeyUsage: c.usages, BasicConstraintsValid: true,
	}
	if t.NotBefore.IsZero() {
		t.NotBefore = time.Now().Add(-time.Hour) // clocks differ
	}
	if t.NotAfter.IsZero() {
		t.NotAfter = time.Now().Add(24 * time.Hour)
	}
	if t.KeyUsage == 0 {
		t.KeyUsage = x509.KeyUsageDigitalSignature
	}
	if c.usages == nil {
		t.UnknownExtKeyUsage = []asn1.ObjectIdentifier{serverAuth, clientAuth}
	}
	var names []asn1.RawValue
	for tag, list := range map[int][]string{6: c.uris, 2: c.dns} { // RFC 5280, Section 4.2.1.6
		for _, name := range list {
			names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(name)})
		}
	}
	if len(names) > 0 {
		value, err := asn1.Marshal(names)
		if err != nil {
			return nil, err
		}
		t.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}}
	}
	return t, nil
}
