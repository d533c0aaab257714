package node_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// TestCertificateMatrixVariants has the policies of the table that can be configured, and those of ours.
func TestCertificateMatrixVariants(t *testing.T) {
	cases := make(map[string]matrixCase)
	for _, c := range matrixCases(t) {
		cases[c.ID] = c
	}
	lenient := "peers: [{name: carrier, identities: [example.com], client_certificate: serverauth}]"
	asIs := func(c matrixCase) (map[string]bool, matrixServer) { return c.Client, c.Server }
	nobody := func(c matrixCase) (map[string]bool, matrixServer) {
		return none(c.Client), matrixServer{Reuse: none(c.Server.Reuse)}
	}
	for _, v := range []struct {
		name, trust, rest string
		ids               []string
		want              func(matrixCase) (map[string]bool, matrixServer)
	}{
		{"san-cap", ", max_names: 100", "", []string{"id-50-5000-sans"}, nobody},
		{"cn-fallback-off", ", cn_fallback: false", "", []string{"id-51-cn-only"}, nobody},
		{"eku-strict", ", eku: strict", "", []string{"eku-01-none", "eku-05-client-only", "eku-06-any", "eku-07-codesign", "eku-09-ca-serverauth", "eku-10-ca-email", "id-01-uri-sip"}, nobody},
		{"eku-strict-satisfied", ", eku: strict", "", []string{"eku-02-sipdomain", "eku-08-email+sipdomain"}, asIs},
		{"must-staple", ", must_staple: true", "", []string{"rv-06-must-staple"}, func(c matrixCase) (map[string]bool, matrixServer) {
			return none(c.Client), c.Server
		}},
		{"serverauth-client", "", lenient, []string{"eku-09-ca-serverauth"}, func(c matrixCase) (map[string]bool, matrixServer) {
			return c.Client, matrixServer{Authenticated: true, Identities: []string{"example.com"}, Alias: true, Reuse: map[string]bool{"sip:example.com": true}}
		}},
		{"serverauth-client-changes-nothing-else", "", lenient, []string{"id-01-uri-sip", "eku-05-client-only", "eku-07-codesign", "eku-10-ca-email", "va-01-expired"}, asIs},
	} {
		for _, id := range v.ids {
			c, pair := cases[id], matrixPair(t, id)
			client, server := v.want(c)
			t.Run(v.name+"/"+id+"/server", func(t *testing.T) {
				t.Parallel()
				asServer(t, pair, client, matrixTrust(t, v.trust), v.rest)
			})
			t.Run(v.name+"/"+id+"/client", func(t *testing.T) {
				t.Parallel()
				found := asClient(t, pair, server, matrixTrust(t, v.trust), v.rest)
				if found != nil && found.Peer.ServerAuthOnly != (v.name == "serverauth-client") {
					t.Errorf("let in on a certificate for servers: %t", found.Peer.ServerAuthOnly)
				}
			})
		}
	}
}

// none says no to each URI.
func none(m map[string]bool) map[string]bool {
	out := make(map[string]bool)
	for uri := range m {
		out[uri] = false
	}
	return out
}

// TestStaples has a server send OCSP responses along. Those of the matrix cannot be had, for they go out of date.
func TestStaples(t *testing.T) {
	ca := siptest.NewCA(t)
	ca = ca.Intermediate(t, siptest.Spec{})
	feature := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 3, 2, 1, 5}} // RFC 7633
	promises := ca.Issue(t, siptest.Spec{URIs: []string{"sip:example.com"}, Extensions: []pkix.Extension{feature}})
	plain := ca.Domain(t, "example.com")
	other := ca.Domain(t, "example.org")
	day := 24 * time.Hour
	for _, c := range []struct {
		name       string
		cert       *siptest.Cert
		about      *siptest.Cert // nil: no staple
		status     int
		signer     *siptest.Cert // nil: the authority
		begin, end time.Duration // from now
		must       bool
		want       bool
	}{
		{name: "good", cert: plain, about: plain, status: ocsp.Good, begin: -day, end: day, want: true},
		{name: "revoked", cert: plain, about: plain, status: ocsp.Revoked, begin: -day, end: day},
		{name: "expired counts as none", cert: plain, about: plain, status: ocsp.Good, begin: -2 * day, end: -day, want: true},
		{name: "expired and revoked counts as none", cert: plain, about: plain, status: ocsp.Revoked, begin: -2 * day, end: -day, want: true},
		{name: "of another certificate", cert: plain, about: other, status: ocsp.Revoked, begin: -day, end: day, want: true},
		{name: "by somebody who may not", cert: plain, about: plain, status: ocsp.Revoked, signer: other, begin: -day, end: day, want: true},
		{name: "promised and not there", cert: promises, want: true},
		{name: "must: promised and not there", cert: promises, must: true},
		{name: "must: promised and good", cert: promises, about: promises, status: ocsp.Good, begin: -day, end: day, must: true, want: true},
		{name: "must: promised and expired", cert: promises, about: promises, status: ocsp.Good, begin: -2 * day, end: -day, must: true},
		{name: "must: promised and revoked", cert: promises, about: promises, status: ocsp.Revoked, begin: -day, end: day, must: true},
		{name: "must: promised and by somebody who may not", cert: promises, about: promises, status: ocsp.Good, signer: other, begin: -day, end: day, must: true},
		{name: "must: not promised", cert: plain, must: true, want: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pair := c.cert.TLS()
			if c.about != nil {
				signer, key, template := ca.Cert, ca.Key, ocsp.Response{
					Status: c.status, SerialNumber: c.about.Leaf.SerialNumber, RevokedAt: time.Now().Add(-3 * day),
					ThisUpdate: time.Now().Add(c.begin), NextUpdate: time.Now().Add(c.end),
				}
				if c.signer != nil {
					signer, key, template.Certificate = c.signer.Leaf, c.signer.Key, c.signer.Leaf
				}
				staple, err := ocsp.CreateResponse(ca.Cert, signer, template, key)
				if err != nil {
					t.Fatal(err)
				}
				pair.OCSPStaple = staple
			}
			trust := fmt.Sprintf("{ca: [%s], must_staple: %t}", ca.WriteFile(t), c.must)
			asServer(t, pair, map[string]bool{"sip:example.com": c.want}, trust, "")
		})
	}
}

// TestAddressInCertificate: the very address of the server in its certificate is no SIP identity
// (RFC 5922, Section 7.1), and no name can be authenticated for it, so that nothing is even dialed.
func TestAddressInCertificate(t *testing.T) {
	ca, addr := siptest.NewCA(t), siptest.Loopback(t)
	for name, spec := range map[string]siptest.Spec{
		"address":          {IPs: []netip.Addr{addr}},
		"address-as-dns":   {DNSNames: []string{addr.String()}},
		"address-as-uri":   {URIs: []string{"sip:" + addr.String()}},
		"address-and-name": {URIs: []string{"sip:example.com"}, IPs: []netip.Addr{addr}},
	} {
		t.Run(name, func(t *testing.T) {
			far := siptest.NewPeer(t, siptest.PeerConfig{Name: "far", Addr: addr, Cert: ca.Issue(t, spec), Handle: siptest.AnswerAll})
			far.Listen(sipaddr.TLS, 5061)
			uri := "sip:" + addr.String()
			m := newMatrix(t, addr, []string{uri}, fmt.Sprintf("{ca: [%s]}", ca.WriteFile(t)), "")
			if _, final := m.ask(uri); final.StatusCode() != 503 || warning(final) == "" {
				t.Errorf("answered %d (%s), want 503", final.StatusCode(), warning(final))
			}
			if n := len(far.Conns()); n != 0 {
				t.Errorf("%d connections were made", n)
			}
		})
	}
}
