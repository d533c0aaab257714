package identity

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The matrix in testdata/certmatrix has a certificate for each way in which one can be right or
// wrong, and the verdict that it must get, as server and as client.

type matrixCase struct {
	ID     string
	Desc   string
	Chain  string
	Client map[string]bool
	Server struct {
		Authenticated bool
		Identities    []string
		Alias         bool
		Reuse         map[string]bool
	}
	Variants map[string]string `json:"policy_variants"`
}

func readMatrix(t testing.TB) []matrixCase {
	t.Helper()
	data, err := os.ReadFile("testdata/certmatrix/table.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct{ Cases []matrixCase }
	if err := json.Unmarshal(data, &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Cases) < 60 {
		t.Fatalf("%d cases in the matrix", len(table.Cases))
	}
	return table.Cases
}

// readChain returns the certificates of a PEM file, or the error of the one that crypto/tls would
// refuse the handshake for.
func readChain(t testing.TB, file string) ([]*x509.Certificate, error) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var chain []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	return chain, nil
}

// matrixPolicy is the policy behind the verdicts: all CRLs, and the CN where it may be.
func matrixPolicy(t testing.TB) Policy {
	t.Helper()
	roots, err := readChain(t, "testdata/certmatrix/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/certmatrix/*.crl")
	if err != nil || len(files) < 4 {
		t.Fatalf("CRLs %v: %v", files, err)
	}
	p := Policy{Roots: roots, CNFallback: true}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if block, _ := pem.Decode(data); block != nil {
			data = block.Bytes
		}
		list, err := x509.ParseRevocationList(data)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		p.CRLs = append(p.CRLs, list)
	}
	return p
}

func mustVerifier(t testing.TB, p Policy) *Verifier {
	t.Helper()
	v, err := NewVerifier(p)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// hostOf returns the host of a next-hop URI in the matrix.
func hostOf(uri string) string {
	_, rest, _ := strings.Cut(uri, ":")
	if i := strings.IndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	if i := strings.IndexAny(rest, ":;?"); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

// proves reports whether a server with chain is authenticated for the host of uri.
func proves(v *Verifier, chain []*x509.Certificate, uri string) bool {
	peer, err := v.Verify(chain, Server, nil)
	return err == nil && peer.Identities.Contains(hostOf(uri))
}

func reasonOf(t testing.TB, err error) Reason {
	t.Helper()
	if err == nil {
		return ReasonNone
	}
	var ve *VerifyError
	if !errors.As(err, &ve) {
		t.Fatalf("error %v is no *VerifyError", err)
	}
	if ve.Reason == ReasonNone || ve.Reason.String() == "unknown" || ve.Text == "" {
		t.Errorf("error without a reason or text: %#v", ve)
	}
	return ve.Reason
}

func TestCertificateMatrix(t *testing.T) {
	v := mustVerifier(t, matrixPolicy(t))
	for _, c := range readMatrix(t) {
		t.Run(c.ID, func(t *testing.T) {
			chain, err := readChain(t, filepath.Join("testdata/certmatrix", c.ID, "chain.pem"))
			if err != nil {
				// crypto/tls refuses such a certificate before it is asked.
				if c.Chain != "fail" {
					t.Fatalf("%s: %v", c.Desc, err)
				}
				return
			}
			for uri, want := range c.Client {
				if got := proves(v, chain, uri); got != want {
					_, err := v.Verify(chain, Server, nil)
					t.Errorf("server for %s: authenticated %t, want %t (%v)", uri, got, want, err)
				}
			}
			peer, err := v.Verify(chain, Client, nil)
			if err != nil {
				t.Log(reasonOf(t, err), err)
			}
			if (err == nil) != c.Server.Authenticated {
				t.Fatalf("client authenticated: %t, want %t (%v)", err == nil, c.Server.Authenticated, err)
			}
			if c.Chain == "fail" && slices.Contains([]Reason{ReasonNone, ReasonNoIdentity, ReasonMismatch}, reasonOf(t, err)) {
				t.Errorf("the chain is bad, and the reason is %v", reasonOf(t, err))
			}
			if err != nil {
				for uri, reuse := range c.Server.Reuse {
					if reuse {
						t.Errorf("reuse for %s of a peer that is not authenticated", uri)
					}
				}
				return
			}
			if peer.MayAlias != c.Server.Alias {
				t.Errorf("MayAlias %t, want %t", peer.MayAlias, c.Server.Alias)
			}
			for uri, want := range c.Server.Reuse {
				if got := peer.MayAlias && peer.Identities.Contains(hostOf(uri)); got != want {
					t.Errorf("reuse for %s: %t, want %t", uri, got, want)
				}
			}
			if c.ID == "id-50-5000-sans" {
				if peer.Identities.Len() != 5001 {
					t.Errorf("%d identities, want 5001", peer.Identities.Len())
				}
				return
			}
			if got := peer.Identities.Names(); !slices.Equal(got, c.Server.Identities) {
				t.Errorf("identities %q, want %q", got, c.Server.Identities)
			}
		})
	}
}

// TestMatrixReasons: what an operator reads is the true reason.
func TestMatrixReasons(t *testing.T) {
	v := mustVerifier(t, matrixPolicy(t))
	for id, want := range map[string]Reason{
		"al-01-sha1":                 ReasonWeakSignature,
		"al-02-rsa1024":              ReasonWeakKey,
		"al-05-rsa8448":              ReasonWeakKey,
		"al-06-p224":                 ReasonWeakKey,
		"ch-05-nonca-intermediate":   ReasonUntrusted,
		"ch-07-expired-intermediate": ReasonExpired,
		"ch-08-same-dn-root":         ReasonUntrusted,
		"eku-07-codesign":            ReasonExtKeyUsage,
		"eku-10-ca-email":            ReasonExtKeyUsage,
		"id-29-ip-san":               ReasonNoIdentity,
		"ku-01-no-digsig":            ReasonKeyUsage,
		"nc-02-outside":              ReasonConstraint,
		"nc-03-uri-escapes-dns-nc":   ReasonConstraint,
		"rv-02-intermediate-revoked": ReasonRevoked,
		"rv-03-crl-stale":            ReasonRevocation,
		"rv-04-crl-forged":           ReasonRevocation,
		"va-01-expired":              ReasonExpired,
		"va-02-not-yet":              ReasonNotYetValid,
	} {
		chain, err := readChain(t, filepath.Join("testdata/certmatrix", id, "chain.pem"))
		if err != nil {
			t.Fatal(err)
		}
		t.Run(id, func(t *testing.T) {
			wantReason(t, v, chain, Server, want)
			wantReason(t, v, chain, Client, want)
		})
	}
}

// TestMatrixVariants holds the policies of the matrix that are offered here against it. The list
// says of the others why they are not offered.
func TestMatrixVariants(t *testing.T) {
	type verdict struct {
		policy func(*Policy)
		reason Reason // in both roles, but for serverOnly
		server bool   // of the role Server only
		not    string // why there is no such policy
	}
	variants := map[string]verdict{
		"drop wildcard ids":             {not: "an identity with a wildcard names itself and matches no host"},
		"san cap (e.g. 100)":            {policy: func(p *Policy) { p.MaxNames = 100 }, reason: ReasonTooManyNames},
		"cn_fallback=off":               {policy: func(p *Policy) { p.CNFallback = false }, reason: ReasonNoIdentity},
		"eku=rfc5924-strict":            {policy: func(p *Policy) { p.StrictEKU = true }, reason: ReasonExtKeyUsage},
		"refuse CA certs as end entity": {not: "RFC 5280 allows them, and small deployments have them"},
		"rfc5280-literal":               {not: "a CA for one domain could certify every SIP domain"},
		"crl=soft-fail":                 {not: "whoever configures a CRL wants it to hold"},
		"must_staple=on":                {policy: func(p *Policy) { p.MustStaple = true }, reason: ReasonNoStaple, server: true},
		"staple=good":                   {not: "tested with a CA of our own: TestStaple"},
		"staple=expired":                {not: "tested with a CA of our own: TestStaple"},
		"staple=revoked":                {not: "tested with a CA of our own: TestStaple"},
	}
	for _, c := range readMatrix(t) {
		for name := range c.Variants {
			t.Run(c.ID+"/"+name, func(t *testing.T) {
				want, known := variants[name]
				if !known {
					t.Fatalf("nothing is said of the policy %q", name)
				}
				if want.not != "" {
					return
				}
				p := matrixPolicy(t)
				want.policy(&p)
				v := mustVerifier(t, p)
				chain, err := readChain(t, filepath.Join("testdata/certmatrix", c.ID, "chain.pem"))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := v.Verify(chain, Server, nil); reasonOf(t, err) != want.reason {
					t.Errorf("as server: %v, want %v", err, want.reason)
				}
				wantClient := want.reason
				if want.server {
					wantClient = ReasonNone
				}
				if _, err := v.Verify(chain, Client, nil); reasonOf(t, err) != wantClient {
					t.Errorf("as client: %v, want %v", err, wantClient)
				}
			})
		}
	}
}
