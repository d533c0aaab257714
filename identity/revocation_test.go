package identity

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// crlOf makes a CRL of h over those certificates.
func (h *holder) crlOf(revoked []*holder, change ...func(*x509.RevocationList)) *x509.RevocationList {
	h.t.Helper()
	template := &x509.RevocationList{
		Number:     big.NewInt(10),
		ThisUpdate: testNow.Add(-time.Hour),
		NextUpdate: testNow.Add(time.Hour),
	}
	for _, r := range revoked {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: r.cert.SerialNumber, RevocationTime: testBegin,
		})
	}
	for _, f := range change {
		f(template)
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, h.cert, h.key)
	if err != nil {
		h.t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}

func crlTime(this, next time.Duration) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = testNow.Add(this), testNow.Add(next) }
}

func crlExtension(id asn1.ObjectIdentifier, value ...byte) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: id, Critical: true, Value: value})
	}
}

// crlDelta makes a list a delta to the list with that number.
func crlDelta(base byte, number int64) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		l.Number = big.NewInt(number)
		crlExtension(oidDelta, 2, 1, base)(l)
	}
}

func crlReason(code int) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		for i := range l.RevokedCertificateEntries {
			l.RevokedCertificateEntries[i].ReasonCode = code
		}
	}
}

// TestRevocation is RFC 5280, Section 6.3 with hard failure.
func TestRevocation(t *testing.T) {
	root := newRoot(t)
	ca := root.ca("issuer")
	leaf := ca.leaf(uriNames("sip:example.com"))
	impostor := newRoot(t).ca("issuer") // the name, and another key
	// The same CA with a certificate that does not allow it to sign lists.
	mute := issueFor(t, ca.key, root, asCA("issuer"), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign })
	pointed := ca.leaf(uriNames("sip:example.com"), func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"http://a.example/1"} })
	me, none := []*holder{leaf}, []*holder(nil)
	userOnly := crlExtension(oidDistribution, 0x30, 3, 0x81, 1, 0xff)
	caOnly := crlExtension(oidDistribution, 0x30, 3, 0x82, 1, 0xff)
	for _, c := range []struct {
		name string
		crls []*x509.RevocationList
		want Reason
	}{
		{"no list", nil, ReasonNone},
		{"list of someone else", []*x509.RevocationList{root.ca("other").crlOf(me)}, ReasonNone},
		{"not on it", []*x509.RevocationList{ca.crlOf([]*holder{ca})}, ReasonNone},
		{"revoked", []*x509.RevocationList{ca.crlOf(me)}, ReasonRevoked},
		{"on hold", []*x509.RevocationList{ca.crlOf(me, crlReason(6))}, ReasonRevoked},
		{"issuer revoked", []*x509.RevocationList{root.crlOf([]*holder{ca})}, ReasonRevoked},
		{"the number on the list of another issuer", []*x509.RevocationList{root.crlOf(me), ca.crlOf(none)}, ReasonNone},
		{"stale", []*x509.RevocationList{ca.crlOf(none, crlTime(-2*time.Hour, 0))}, ReasonRevocation},
		{"stale at the root", []*x509.RevocationList{root.crlOf(none, crlTime(-2*time.Hour, 0)), ca.crlOf(none)}, ReasonRevocation},
		{"of tomorrow", []*x509.RevocationList{ca.crlOf(none, crlTime(time.Hour, 2*time.Hour))}, ReasonRevocation},
		{"forged", []*x509.RevocationList{impostor.crlOf(none)}, ReasonRevocation},
		{"forged, revoking", []*x509.RevocationList{impostor.crlOf(me)}, ReasonRevocation},
		{"beside one of another key", []*x509.RevocationList{impostor.crlOf(me), ca.crlOf(none)}, ReasonNone},
		{"a newer one without", []*x509.RevocationList{ca.crlOf(none), ca.crlOf(me, crlTime(-3*time.Hour, time.Hour))}, ReasonNone},
		{"a newer one without, read later", []*x509.RevocationList{ca.crlOf(me, crlTime(-3*time.Hour, time.Hour)), ca.crlOf(none)}, ReasonNone},
		{"a newer one with", []*x509.RevocationList{ca.crlOf(me), ca.crlOf(none, crlTime(-3*time.Hour, time.Hour))}, ReasonRevoked},
		{"an old stale one", []*x509.RevocationList{ca.crlOf(none), ca.crlOf(none, crlTime(-3*time.Hour, -time.Hour))}, ReasonNone},
		{"two of one age", []*x509.RevocationList{ca.crlOf(none), ca.crlOf(me)}, ReasonRevoked},
		{"users only", []*x509.RevocationList{ca.crlOf(none, userOnly)}, ReasonNone},
		{"users only, revoked", []*x509.RevocationList{ca.crlOf(me, userOnly)}, ReasonRevoked},
		{"CAs only", []*x509.RevocationList{ca.crlOf(none, caOnly)}, ReasonRevocation},
		{"CAs only and users only", []*x509.RevocationList{ca.crlOf(none, caOnly), ca.crlOf(none, userOnly)}, ReasonNone},
		{"users only, of the root", []*x509.RevocationList{root.crlOf(none, userOnly)}, ReasonRevocation},
		{"delta alone", []*x509.RevocationList{ca.crlOf(none, crlDelta(10, 11))}, ReasonRevocation},
		{"delta", []*x509.RevocationList{ca.crlOf(none), ca.crlOf(none, crlDelta(10, 11))}, ReasonNone},
		{"delta, revoked", []*x509.RevocationList{ca.crlOf(none), ca.crlOf(me, crlDelta(10, 11))}, ReasonRevoked},
		{"delta takes back", []*x509.RevocationList{ca.crlOf(me, crlReason(6)), ca.crlOf(me, crlDelta(10, 11), crlReason(removeFromCRL))}, ReasonNone},
		{"delta without, revoked before", []*x509.RevocationList{ca.crlOf(me), ca.crlOf(none, crlDelta(10, 11))}, ReasonRevoked},
		{"delta stale", []*x509.RevocationList{ca.crlOf(none, crlTime(-3*time.Hour, time.Hour)), ca.crlOf(none, crlDelta(10, 11), crlTime(-2*time.Hour, -time.Hour))}, ReasonRevocation},
		{"delta to a newer list", []*x509.RevocationList{ca.crlOf(none), ca.crlOf(none, crlDelta(11, 12))}, ReasonRevocation},
		{"delta older than the list", []*x509.RevocationList{ca.crlOf(none), ca.crlOf(me, crlDelta(8, 9), crlTime(-2*time.Hour, time.Hour))}, ReasonNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := policyOf(root)
			p.CRLs = c.crls
			v := mustVerifier(t, p)
			for range 2 { // the second time with what the first remembered
				wantReason(t, v, leaf.chain(), Server, c.want)
			}
		})
	}
	p := policyOf(root)
	p.CRLs = []*x509.RevocationList{ca.crlOf(nil)}
	wantReason(t, mustVerifier(t, p), []*x509.Certificate{leaf.cert, mute.cert}, Server, ReasonRevocation)

	point := func(uri string) func(*x509.RevocationList) {
		names, n := append([]byte{0x86, byte(len(uri))}, uri...), byte(len(uri)+2)
		return crlExtension(oidDistribution, append([]byte{0x30, n + 4, 0xa0, n + 2, 0xa0, n}, names...)...)
	}
	p.CRLs = []*x509.RevocationList{ca.crlOf([]*holder{pointed}, point("http://a.example/1")), ca.crlOf(nil, point("http://a.example/2"))}
	wantReason(t, mustVerifier(t, p), pointed.chain(), Server, ReasonRevoked)
	wantReason(t, mustVerifier(t, p), leaf.chain(), Server, ReasonRevocation) // no list for it
	p.CRLs = []*x509.RevocationList{ca.crlOf(nil, point("http://a.example/1"))}
	wantReason(t, mustVerifier(t, p), pointed.chain(), Server, ReasonNone)
	p.CRLs = []*x509.RevocationList{ca.crlOf(nil, point("http://a.example/2"))}
	wantReason(t, mustVerifier(t, p), pointed.chain(), Server, ReasonRevocation)
}

// TestUnusableCRL: lists that would be believed too much are refused when they are loaded.
func TestUnusableCRL(t *testing.T) {
	root := newRoot(t)
	p := policyOf(root)
	entry := func(id asn1.ObjectIdentifier, critical bool) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{{Id: id, Critical: critical, Value: []byte{5, 0}}}
		}
	}
	for name, list := range map[string]*x509.RevocationList{
		"unknown critical extension":    root.crlOf(nil, crlExtension(asn1.ObjectIdentifier{1, 2, 3}, 5, 0)),
		"indirect":                      root.crlOf(nil, crlExtension(oidDistribution, 0x30, 3, 0x84, 1, 0xff)),
		"some reasons":                  root.crlOf(nil, crlExtension(oidDistribution, 0x30, 4, 0x83, 2, 6, 0x40)),
		"attribute certificates":        root.crlOf(nil, crlExtension(oidDistribution, 0x30, 3, 0x85, 1, 0xff)),
		"a point without a URI":         root.crlOf(nil, crlExtension(oidDistribution, 0x30, 2, 0xa0, 0)),
		"a point relative to a name":    root.crlOf(nil, crlExtension(oidDistribution, 0x30, 4, 0xa0, 2, 0xa1, 0)),
		"unreadable distribution point": root.crlOf(nil, crlExtension(oidDistribution, 0x30, 9)),
		"unreadable delta":              root.crlOf(nil, crlExtension(oidDelta, 5, 0)),
		"entry of another issuer":       root.crlOf([]*holder{root}, entry(oidCertIssuer, true)),
		"unknown critical in an entry":  root.crlOf([]*holder{root}, entry(asn1.ObjectIdentifier{1, 2, 3}, true)),
	} {
		p.CRLs = []*x509.RevocationList{list}
		if _, err := NewVerifier(p); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	weak := *root.crlOf(nil)
	weak.SignatureAlgorithm = x509.ECDSAWithSHA1
	p.CRLs = []*x509.RevocationList{&weak}
	if _, err := NewVerifier(p); err == nil {
		t.Error("a CRL with SHA-1: accepted")
	}
}

// stapleOf makes an OCSP response about h, signed by signer in the name of issuer.
func (h *holder) stapleOf(status int, issuer, signer *holder, this, next time.Duration) []byte {
	h.t.Helper()
	template := ocsp.Response{
		Status: status, SerialNumber: h.cert.SerialNumber, RevokedAt: testBegin, IssuerHash: crypto.SHA256,
		ThisUpdate: testNow.Add(this), NextUpdate: testNow.Add(next),
	}
	if signer != issuer {
		template.Certificate = signer.cert
	}
	der, err := ocsp.CreateResponse(issuer.cert, signer.cert, template, signer.key)
	if err != nil {
		h.t.Fatal(err)
	}
	return der
}

func TestStaple(t *testing.T) {
	root := newRoot(t)
	ca := root.ca("issuer")
	must := func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oidTLSFeature, Value: []byte{0x30, 3, 2, 1, statusRequest}})
	}
	leaf := ca.leaf(uriNames("sip:example.com"), must)
	other := ca.leaf(uriNames("sip:example.net"))
	responder := ca.leaf(nil, ekus(x509.ExtKeyUsageOCSPSigning))
	late := ca.leaf(nil, ekus(x509.ExtKeyUsageOCSPSigning), func(c *x509.Certificate) { c.NotAfter = testNow.Add(-time.Minute) })
	stranger := newRoot(t).ca("issuer")
	const good, revoked, unknown = ocsp.Good, ocsp.Revoked, ocsp.Unknown
	for _, c := range []struct {
		name      string
		staple    []byte
		want      Reason
		mustWants Reason // where must-staple is honoured
	}{
		{"none", nil, ReasonNone, ReasonNoStaple},
		{"garbage", []byte("garbage"), ReasonNone, ReasonNoStaple},
		{"good", leaf.stapleOf(good, ca, ca, -time.Hour, time.Hour), ReasonNone, ReasonNone},
		{"revoked", leaf.stapleOf(revoked, ca, ca, -time.Hour, time.Hour), ReasonRevoked, ReasonRevoked},
		{"unknown", leaf.stapleOf(unknown, ca, ca, -time.Hour, time.Hour), ReasonNone, ReasonNoStaple},
		{"good, expired", leaf.stapleOf(good, ca, ca, -2*time.Hour, 0), ReasonNone, ReasonNoStaple},
		{"revoked, expired", leaf.stapleOf(revoked, ca, ca, -2*time.Hour, 0), ReasonNone, ReasonNoStaple},
		{"good, of tomorrow", leaf.stapleOf(good, ca, ca, time.Hour, 2*time.Hour), ReasonNone, ReasonNoStaple},
		{"good, of a responder", leaf.stapleOf(good, ca, responder, -time.Hour, time.Hour), ReasonNone, ReasonNone},
		{"revoked, of a responder", leaf.stapleOf(revoked, ca, responder, -time.Hour, time.Hour), ReasonRevoked, ReasonRevoked},
		{"good, of a responder that has ended", leaf.stapleOf(good, ca, late, -time.Hour, time.Hour), ReasonNone, ReasonNoStaple},
		{"good, by another peer", leaf.stapleOf(good, ca, other, -time.Hour, time.Hour), ReasonNone, ReasonNoStaple},
		{"revoked, by another peer", leaf.stapleOf(revoked, ca, other, -time.Hour, time.Hour), ReasonNone, ReasonNoStaple},
		{"good, by itself", leaf.stapleOf(good, ca, leaf, -time.Hour, time.Hour), ReasonNone, ReasonNoStaple},
		{"good, by another CA", leaf.stapleOf(good, stranger, stranger, -time.Hour, time.Hour), ReasonNone, ReasonNoStaple},
		{"revoked, of another certificate", other.stapleOf(revoked, ca, ca, -time.Hour, time.Hour), ReasonNone, ReasonNoStaple},
		{"good, of another certificate", other.stapleOf(good, ca, ca, -time.Hour, time.Hour), ReasonNone, ReasonNoStaple},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := policyOf(root)
			for range 2 {
				v := mustVerifier(t, p)
				for range 2 {
					if _, err := v.Verify(leaf.chain(), Server, c.staple); reasonOf(t, err) != c.want {
						t.Errorf("%v, want %v", err, c.want)
					}
				}
				p.MustStaple, c.want = true, c.mustWants
			}
			p.MustStaple = true
			if _, err := mustVerifier(t, p).Verify(other.chain(), Server, nil); err != nil {
				t.Errorf("a certificate that promises no staple: %v", err)
			}
		})
	}
}
