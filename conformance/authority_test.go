package conformance_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/conformance"
	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sipaddr"
)

// TestAuthority writes an authority, reads it back, and has it issue a certificate that stands for its names.
func TestAuthority(t *testing.T) {
	made, err := conformance.NewAuthority("Authority")
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM := made.PEM()
	a, err := conformance.LoadAuthority(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	leafPEM, leafKey, err := a.Issue("example.com", "p1.example.com")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(leafPEM, leafKey)
	if err != nil {
		t.Fatal(err)
	}
	v, err := identity.NewVerifier(identity.Policy{Roots: []*x509.Certificate{parsePEM(t, certPEM)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []identity.Role{identity.Server, identity.Client} {
		p, err := v.Verify([]*x509.Certificate{pair.Leaf}, role, nil)
		if err != nil || !p.MayAlias || p.Identities.String() != "example.com, p1.example.com" {
			t.Errorf("as %v: %+v, %v", role, p, err)
		}
	}
	if _, err := conformance.LoadAuthority(leafPEM, leafKey); err == nil {
		t.Error("a certificate that is none of an authority is taken for one")
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string][]byte{"another's": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), "no": nil, "broken": []byte("-----BEGIN X-----\n-----END X-----\n")} {
		if _, err := conformance.LoadAuthority(certPEM, key); err == nil {
			t.Errorf("%s key is taken", name)
		}
	}
	if _, err := conformance.LoadAuthority(nil, keyPEM); err == nil {
		t.Error("no certificate is taken")
	}
}

// TestUsage holds which configurations are refused, and with which error.
func TestUsage(t *testing.T) {
	for name, cfg := range map[string]conformance.Config{
		"no target":            {},
		"target is no SIP":     {Target: "http://192.0.2.1"},
		"trigger is no SIP":    {Target: "sip:127.0.0.1", Trigger: "tel:1"},
		"trigger is encrypted": {Target: "sip:127.0.0.1", Trigger: "sip:127.0.0.1;transport=tls"},
	} {
		if _, err := conformance.New(t.Context(), cfg); !errors.Is(err, conformance.ErrUsage) {
			t.Errorf("%s: %v, want wrong usage", name, err)
		}
	}
	if _, err := conformance.New(t.Context(), conformance.Config{Target: "sip:127.0.0.1", Transport: sipaddr.SCTP}); err == nil {
		t.Error("a transport without cases is taken")
	}
}

// TestSetup holds that what a target needs is said.
func TestSetup(t *testing.T) {
	cfg := conformance.Config{Target: "sip:127.0.0.1", Domain: "example.com", Listen: netip.MustParseAddr("192.0.2.7"), Second: netip.MustParseAddr("2001:db8::7")}
	p, err := conformance.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ca.pem", "example.com", "192.0.2.7\ta.check.test", "2001:db8::7\tfar.check.test", "--dns"} {
		if !strings.Contains(p.Setup("ca.pem"), want) {
			t.Errorf("nothing is said of %q:\n%s", want, p.Setup("ca.pem"))
		}
	}
	if !strings.Contains(p.Zone(), "far.check.test.\t5\tIN\tAAAA\t2001:db8::7\n") {
		t.Errorf("the zone is\n%s", p.Zone())
	}
	if p.Domain() != "example.com" {
		t.Errorf("the domain is %q", p.Domain())
	}
}

// TestNobodyThere probes an address where nobody listens.
func TestNobodyThere(t *testing.T) {
	p, err := conformance.New(t.Context(), conformance.Config{Target: "sip:127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "takes no connection") {
		t.Errorf("error is %v", err)
	}
}

// TestCommand has a command make the target send, one that fails, and one that does nothing.
func TestCommand(t *testing.T) {
	a, err := conformance.NewAuthority("Authority")
	if err != nil {
		t.Fatal(err)
	}
	e := newElement(t, a, netip.MustParseAddrPort("127.0.0.1:9"), sins{})
	failed := errors.New("no such program")
	for name, result := range map[string]error{"fails": failed, "does nothing": nil} {
		var asked string
		p, err := conformance.New(t.Context(), conformance.Config{Target: "sip:" + e.ip.String(), Domain: homeDomain, Authority: a, Wait: quick, Idle: quick,
			Command: func(_ context.Context, uri string) error { asked = uri; return result }})
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(asked, "sip:") || !strings.HasSuffix(asked, ";transport=tls") {
			t.Errorf("%s: the command was given %q", name, asked)
		}
		if r.Facts.Forwards || r.Facts.WhyNot == "" || r.Failed > 0 {
			t.Errorf("%s: the facts are %+v, and %d cases failed", name, r.Facts, r.Failed)
		}
	}
}
