package devca

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir, "Test CA", []string{"example.com", "p1.example.com"}, []string{"example.net"}); err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatal("ca.pem has no certificate in it")
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "example.com.pem"), filepath.Join(dir, "example.com.key"))
	if err != nil {
		t.Fatal(err)
	}
	leaf := pair.Leaf
	var uris []string
	for _, u := range leaf.URIs {
		uris = append(uris, u.String())
	}
	if len(uris) != 2 || uris[0] != "sip:example.com" || uris[1] != "sip:p1.example.com" {
		t.Errorf("URI names are %q, want sip:example.com and sip:p1.example.com", uris)
	}
	if len(leaf.DNSNames) != 0 {
		t.Errorf("DNS names are %q, want none", leaf.DNSNames)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
			t.Errorf("usage %v: %v", usage, err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "example.net.key"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v, want 0600", info.Mode().Perm())
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if len(left) != 0 {
		t.Errorf("temporary files are left: %q", left)
	}
}

func TestIssueNeedsIdentity(t *testing.T) {
	ca, err := New("Test CA")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ca.Issue(); err == nil {
		t.Error("a certificate without identities was made")
	}
}
