// Package devca makes a certification authority and SIP domain certificates for trying things out.
//
// The authority's key never leaves the process: it signs what is asked for and is forgotten, so a new
// set of files is made as a whole. Nothing here is meant for a network that others can reach.
package devca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Lifetime is how long the certificates are valid.
const Lifetime = 365 * 24 * time.Hour

// CA is a certification authority whose key lives in memory.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes an authority with the given common name.
func New(name string) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("devca: %w", err)
	}
	template, err := newTemplate(name)
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("devca: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("devca: %w", err)
	}
	return &CA{cert, key}, nil
}

// Certificate returns the authority's own certificate.
func (ca *CA) Certificate() *x509.Certificate { return ca.cert }

// PEM returns the authority's own certificate as a PEM file holds it.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
}

// Issue makes a certificate for the given SIP domain identities, each as a subjectAltName of the form
// URI:sip:example.com (RFC 5922, Section 4), with its key, both PEM. It suits TLS servers and clients.
func (ca *CA) Issue(identities ...string) (certPEM, keyPEM []byte, err error) {
	if len(identities) == 0 {
		return nil, nil, errors.New("devca: a certificate needs at least one identity")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("devca: %w", err)
	}
	template, err := newTemplate(identities[0])
	if err != nil {
		return nil, nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, id := range identities {
		template.URIs = append(template.URIs, &url.URL{Scheme: "sip", Opaque: id})
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return nil, nil, fmt.Errorf("devca: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("devca: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

// newTemplate is what all certificates have in common.
func newTemplate(name string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, fmt.Errorf("devca: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour), // clocks differ
		NotAfter:     now.Add(Lifetime),
	}, nil
}

// Write puts files for an authority and some certificates into dir: ca.pem, and for each set of
// identities FIRST.pem and FIRST.key, named by its first identity. Keys are readable by their owner
// only. Files of those names are replaced.
func Write(dir, authority string, sets ...[]string) error {
	ca, err := New(authority)
	if err != nil {
		return err
	}
	if err := write(dir, "ca.pem", ca.PEM(), 0o644); err != nil {
		return err
	}
	for _, identities := range sets {
		cert, key, err := ca.Issue(identities...)
		if err != nil {
			return err
		}
		if err := write(dir, identities[0]+".pem", cert, 0o644); err != nil {
			return err
		}
		if err := write(dir, identities[0]+".key", key, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// write replaces one file as a whole, so that nobody reads half of it.
func write(dir, name string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(dir, "."+name+"-*")
	if err != nil {
		return fmt.Errorf("devca: %w", err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("devca: %w", err)
	}
	return nil
}
