package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// This file holds paths against CRLs by RFC 5280, Section 6.3, with hard failure: an issuer that is
// named by any configured list must be covered by a list that holds.

// Extensions of a CRL: RFC 5280, Section 5.2.
var (
	oidCRLNumber    = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidDelta        = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidDistribution = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidAuthorityKey = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidReasonCode   = asn1.ObjectIdentifier{2, 5, 29, 21}
	oidCertIssuer   = asn1.ObjectIdentifier{2, 5, 29, 29}
)

// removeFromCRL is the reason code with which a delta CRL takes a hold back:
// RFC 5280, Section 5.3.1.
const removeFromCRL = 8

// revocations are the configured CRLs, by the raw name of their issuer.
type revocations struct {
	byIssuer map[string][]*crl
}

// crl is one list, made ready to be asked.
type crl struct {
	list    *x509.RevocationList
	revoked map[string]int // serial number -> reason code
	base    *big.Int       // the list that a delta adds to; nil: a complete list
	users   bool           // it is about end entities only
	cas     bool           // it is about CAs only
	points  []string       // it is about certificates only that name one of these distribution points; nil: about all

	mu       sync.Mutex            // guards the field below
	verified map[[32]byte]struct{} // the issuers whose key is known to have signed it
}

// newRevocations makes the lists ready. The error is for one whose critical extensions are not
// known here, or which is limited in a way that it cannot be used.
func newRevocations(lists []*x509.RevocationList) (revocations, error) {
	r := revocations{byIssuer: make(map[string][]*crl)}
	for _, list := range lists {
		c, err := newCRL(list)
		if err != nil {
			return revocations{}, fmt.Errorf("identity: the CRL of %s cannot be used: %w", describeName(list.Issuer), err)
		}
		r.byIssuer[string(list.RawIssuer)] = append(r.byIssuer[string(list.RawIssuer)], c)
	}
	return r, nil
}

func newCRL(list *x509.RevocationList) (*crl, error) {
	c := &crl{
		list:     list,
		revoked:  make(map[string]int, len(list.RevokedCertificateEntries)),
		verified: make(map[[32]byte]struct{}),
	}
	if forgeable(list.SignatureAlgorithm) {
		return nil, fmt.Errorf("it is signed with %s, which can be forged", list.SignatureAlgorithm)
	}
	for _, ext := range list.Extensions {
		switch {
		case ext.Id.Equal(oidDelta):
			c.base = new(big.Int)
			der := cryptobyte.String(ext.Value)
			if !der.ReadASN1Integer(c.base) || list.Number == nil {
				return nil, errors.New("its delta indicator or number cannot be read")
			}
		case ext.Id.Equal(oidDistribution):
			if err := c.readDistribution(ext.Value); err != nil {
				return nil, err
			}
		case ext.Critical && !ext.Id.Equal(oidCRLNumber) && !ext.Id.Equal(oidAuthorityKey):
			return nil, fmt.Errorf("its critical extension %s is not known here", ext.Id)
		}
	}
	for _, entry := range list.RevokedCertificateEntries {
		for _, ext := range entry.Extensions {
			if ext.Id.Equal(oidCertIssuer) || ext.Critical && !ext.Id.Equal(oidReasonCode) {
				return nil, fmt.Errorf("its entry for serial number %s has a critical extension that is not known here", cut(entry.SerialNumber.Text(16), 64))
			}
		}
		c.revoked[string(entry.SerialNumber.Bytes())] = entry.ReasonCode
	}
	return c, nil
}

// readDistribution reads an issuingDistributionPoint: RFC 5280, Section 5.2.5. A list of some
// reasons only, or of other issuers' certificates, says nothing of a certificate that is not on it.
func (c *crl) readDistribution(value []byte) error {
	der := cryptobyte.String(value)
	var seq cryptobyte.String
	if !der.ReadASN1(&seq, cbasn1.SEQUENCE) {
		return errors.New("its distribution point cannot be read")
	}
	for !seq.Empty() {
		var field cryptobyte.String
		var tag cbasn1.Tag
		if !seq.ReadAnyASN1(&field, &tag) {
			return errors.New("its distribution point cannot be read")
		}
		set := len(field) == 1 && field[0] != 0
		switch tag {
		case cbasn1.Tag(1).ContextSpecific():
			c.users = set
		case cbasn1.Tag(2).ContextSpecific():
			c.cas = set
		case cbasn1.Tag(0).ContextSpecific().Constructed():
			if c.points = readPoint(field); c.points == nil {
				return errors.New("its distribution point is not a URI")
			}
		default:
			return errors.New("it covers some reasons, attribute certificates or other issuers only")
		}
	}
	return nil
}

// readPoint returns the URIs of a DistributionPointName that is a full name.
func readPoint(name cryptobyte.String) []string {
	var points []string
	var full cryptobyte.String
	if !name.ReadASN1(&full, cbasn1.Tag(0).ContextSpecific().Constructed()) {
		return nil
	}
	for !full.Empty() {
		var value cryptobyte.String
		var tag cbasn1.Tag
		if !full.ReadAnyASN1(&value, &tag) {
			return nil
		}
		if tag == tagURI {
			points = append(points, string(value))
		}
	}
	return points
}

// covers reports whether the list would have cert on it, had it been revoked.
func (c *crl) covers(cert *x509.Certificate) bool {
	if cert.IsCA && c.users || !cert.IsCA && c.cas {
		return false
	}
	return c.points == nil || slices.ContainsFunc(cert.CRLDistributionPoints, func(p string) bool { return slices.Contains(c.points, p) })
}

// check holds each certificate of path but the trust anchor against the lists of its issuer. It
// returns when the first list that was asked ends, or the zero time if none was.
func (r revocations) check(path []*x509.Certificate, now time.Time) (until time.Time, f *fault) {
	for i, cert := range path[:len(path)-1] {
		issuer := path[i+1]
		lists := r.byIssuer[string(issuer.RawSubject)]
		if len(lists) == 0 {
			continue
		}
		asked, f := checkRevoked(cert, issuer, lists, now)
		if f != nil {
			if i > 0 {
				f.text = fmt.Sprintf("its CA %s: %s", describe(cert), f.text)
			}
			return time.Time{}, f
		}
		for _, c := range asked {
			until = earlier(until, c.list.NextUpdate)
		}
	}
	return until, nil
}

// earlier returns the earlier of two times, of which the zero one is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// checkRevoked holds cert against the lists that bear the name of its issuer. Only those count that
// the issuer's key has signed, since another CA may have the same name; of these the newest complete
// list decides, with the newest delta to it. Lists of the same age all count. It returns the lists
// that decided.
func checkRevoked(cert, issuer *x509.Certificate, lists []*crl, now time.Time) (asked []*crl, f *fault) {
	unknown := func(format string, args ...any) ([]*crl, *fault) {
		text := fmt.Sprintf("whether its issuer %s has revoked it is not known: ", describe(issuer)) + fmt.Sprintf(format, args...)
		return nil, &fault{reason: ReasonRevocation, text: text}
	}
	revoked := func() ([]*crl, *fault) {
		return nil, &fault{reason: ReasonRevoked, text: fmt.Sprintf("its issuer %s has revoked it (CRL)", describe(issuer))}
	}
	signed := slices.DeleteFunc(slices.Clone(lists), func(c *crl) bool { return !c.signedBy(issuer) })
	if len(signed) == 0 {
		return unknown("no configured CRL of that name is signed by its key")
	}
	covering := slices.DeleteFunc(signed, func(c *crl) bool { return !c.covers(cert) })
	base := newest(covering, func(c *crl) bool { return c.base == nil })
	if len(base) == 0 {
		return unknown("no complete CRL for such certificates is configured")
	}
	delta := newest(covering, func(c *crl) bool {
		return c.base != nil && !c.list.ThisUpdate.Before(base[0].list.ThisUpdate)
	})
	asked = slices.Concat(base, delta)
	for _, c := range asked {
		switch {
		case now.Before(c.list.ThisUpdate):
			return unknown("the CRL is not valid before %s", day(c.list.ThisUpdate))
		case !now.Before(c.list.NextUpdate):
			return unknown("the CRL ended on %s and a newer one is needed", day(c.list.NextUpdate))
		}
	}
	serial := cert.SerialNumber.Bytes()
	for _, c := range delta {
		if number := base[0].list.Number; number == nil || number.Cmp(c.base) < 0 {
			return unknown("the delta CRL builds on a newer list than the one that is configured")
		}
	}
	for _, c := range delta {
		switch code, found := c.revoked[string(serial)]; {
		case found && code != removeFromCRL:
			return revoked()
		case found:
			return asked, nil
		}
	}
	for _, c := range base {
		if _, found := c.revoked[string(serial)]; found {
			return revoked()
		}
	}
	return asked, nil
}

// newest returns those of lists that are of the kind wanted and that were issued last.
func newest(lists []*crl, kind func(*crl) bool) []*crl {
	var found []*crl
	for _, c := range lists {
		if !kind(c) {
			continue
		}
		if len(found) > 0 {
			switch age := c.list.ThisUpdate.Compare(found[0].list.ThisUpdate); {
			case age < 0:
				continue
			case age > 0:
				found = nil
			}
		}
		found = append(found, c)
	}
	return found
}

// signedBy reports whether the key of issuer has signed the list, and issuer may sign lists. It
// remembers for which issuers that is so, because a list may be long.
func (c *crl) signedBy(issuer *x509.Certificate) bool {
	const most = 64
	id := sha256.Sum256(issuer.Raw)
	c.mu.Lock()
	_, known := c.verified[id]
	c.mu.Unlock()
	if known {
		return true
	}
	if c.list.CheckSignatureFrom(issuer) != nil {
		return false
	}
	c.mu.Lock()
	if len(c.verified) < most {
		c.verified[id] = struct{}{}
	}
	c.mu.Unlock()
	return true
}
