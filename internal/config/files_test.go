package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The files that the tests' configurations name, made anew in a directory for each run.

var (
	past   = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	ended  = time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC)
	future = time.Date(2094, 1, 1, 0, 0, 0, 0, time.UTC)
)

type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// makeFiles fills a directory with certificates, keys and revocation lists, good and bad.
func makeFiles(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	ca := newCA(t, "Test CA")
	forger := newCA(t, "Test CA")
	writePEM(t, dir, "ca.pem", "CERTIFICATE", ca.cert.Raw)
	writePEM(t, dir, "ca.crl", "X509 CRL", crl(t, ca))
	writePEM(t, dir, "forged.crl", "X509 CRL", crl(t, forger))
	leaf(t, dir, ca, "example.com", past, future, "sip:example.com", "sip:p1.example.com")
	leaf(t, dir, ca, "example.net", past, future, "sip:example.net")
	leaf(t, dir, ca, "expired", past, ended, "sip:example.com", "sip:p1.example.com")
	leaf(t, dir, ca, "early", future.AddDate(-1, 0, 0), future, "sip:example.com", "sip:p1.example.com")
	leaf(t, dir, ca, "nameless", past, future)
	write(t, dir, "short.key", []byte("secret\n"))
	write(t, dir, "dialog.key", []byte(strings.Repeat("0123456789abcdef", 4)+"\n"))
	write(t, dir, "garbage.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	writePEM(t, dir, "encrypted.key", "ENCRYPTED PRIVATE KEY", []byte{1, 2, 3})
	return dir
}

func newCA(t testing.TB, name string) signer {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: past, NotAfter: future,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signer{cert, key}
}

// leaf writes NAME.pem and NAME.key.
func leaf(t testing.TB, dir string, ca signer, name string, from, to time.Time, uris ...string) {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: from, NotAfter: to}
	for _, u := range uris {
		template.URIs = append(template.URIs, &url.URL{Scheme: "sip", Opaque: strings.TrimPrefix(u, "sip:")})
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, dir, name+".pem", "CERTIFICATE", der)
	writePEM(t, dir, name+".key", "EC PRIVATE KEY", keyDER)
}

func crl(t testing.TB, ca signer) []byte {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: past, NextUpdate: future,
	}, ca.cert, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t testing.TB, dir, name, kind string, der []byte) {
	t.Helper()
	write(t, dir, name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func write(t testing.TB, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}
