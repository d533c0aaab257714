package alias

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/identity"
)

const matrixDir = "../identity/testdata/certmatrix"

// TestCertificateMatrix asks of every certificate of the matrix, presented by a client that said
// alias, to which next-hop URIs its connection is reused.
func TestCertificateMatrix(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(matrixDir, "table.json"))
	if err != nil {
		t.Fatal(err)
	}
	var matrix struct {
		Cases []struct {
			ID     string
			Server struct{ Reuse map[string]bool }
		}
	}
	if err := json.Unmarshal(data, &matrix); err != nil || len(matrix.Cases) < 60 {
		t.Fatalf("%d cases, %v", len(matrix.Cases), err)
	}
	policy := identity.Policy{CNFallback: true, Now: func() time.Time { return testNow }}
	if policy.Roots, err = certificates(t, filepath.Join(matrixDir, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	lists, err := filepath.Glob(filepath.Join(matrixDir, "*.crl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range lists {
		for _, der := range blocks(t, file) {
			list, err := x509.ParseRevocationList(der)
			if err != nil {
				t.Fatal(err)
			}
			policy.CRLs = append(policy.CRLs, list)
		}
	}
	verifier, err := identity.NewVerifier(policy)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range matrix.Cases {
		t.Run(c.ID, func(t *testing.T) {
			table := New("example.com", Config{})
			chain, err := certificates(t, filepath.Join(matrixDir, c.ID, "chain.pem"))
			if err == nil {
				if peer, err := verifier.Verify(chain, identity.Client, nil); err == nil && peer.MayAlias {
					mustAdd(t, table, Row{
						Resolved: addr(t, peer1), Identities: peer.Identities, LocalDomain: "example.com",
						Fingerprint: peer.Fingerprint, NotAfter: peer.NotAfter, Conn: 1, Direction: Accepted, LastUsed: testNow,
					})
				}
			}
			for text, want := range c.Server.Reuse {
				if d := table.Find(addr(t, peer1), hostOf(text), testNow); d.Reuse() != want {
					t.Errorf("reuse for %s: %v, want %t", text, d.Reason, want)
				}
			}
		})
	}
}

// hostOf returns the host of a URI in the matrix.
func hostOf(uri string) string {
	_, rest, _ := strings.Cut(uri, ":")
	if _, host, found := strings.Cut(rest, "@"); found {
		rest = host
	}
	return rest[:len(rest)-len(strings.TrimLeftFunc(rest, func(r rune) bool { return !strings.ContainsRune(":;?", r) }))]
}

func blocks(t *testing.T, file string) [][]byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		all = append(all, block.Bytes)
	}
	if all == nil {
		all = append(all, data)
	}
	return all
}

func certificates(t *testing.T, file string) ([]*x509.Certificate, error) {
	t.Helper()
	var all []*x509.Certificate
	for _, der := range blocks(t, file) {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}
