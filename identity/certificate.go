package identity

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Extensions of a certificate: RFC 5280, Section 4.2.1; RFC 7633 for the last.
var (
	oidKeyUsage    = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidAltName     = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidExtKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidTLSFeature  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}
)

// The two kinds of subjectAltName in which a SIP domain identity may stand, by their tags:
// RFC 5280, Section 4.2.1.6.
var (
	tagDNS = cbasn1.Tag(2).ContextSpecific()
	tagURI = cbasn1.Tag(6).ContextSpecific()
)

// altNames is what the subjectAltName of a certificate says, read from its bytes: what crypto/x509
// makes of a URI is no longer what was signed.
type altNames struct {
	present bool // the extension is there, be it empty
	uris    []string
	dns     []string
	count   int // of all kinds
}

var (
	errAltNames     = errors.New("its subjectAltName cannot be read")
	errAltNameTwice = errors.New("it has more than one subjectAltName extension")
	errTooManyNames = errors.New("it has too many names")
)

// readAltNames reads the subjectAltName of c. With more than most names (0: no limit) it stops at
// once and returns errTooManyNames: a certificate is taken with all its names or not at all.
func readAltNames(c *x509.Certificate, most int) (altNames, error) {
	var a altNames
	for _, ext := range c.Extensions {
		if !ext.Id.Equal(oidAltName) {
			continue
		}
		if a.present {
			return altNames{}, errAltNameTwice // RFC 5280, Section 4.2
		}
		a.present = true
		der := cryptobyte.String(ext.Value)
		var seq cryptobyte.String
		if !der.ReadASN1(&seq, cbasn1.SEQUENCE) || !der.Empty() {
			return altNames{}, errAltNames
		}
		for !seq.Empty() {
			var value cryptobyte.String
			var tag cbasn1.Tag
			if !seq.ReadAnyASN1(&value, &tag) {
				return altNames{}, errAltNames
			}
			if a.count++; most > 0 && a.count > most {
				return altNames{}, errTooManyNames
			}
			switch tag {
			case tagURI:
				a.uris = append(a.uris, string(value))
			case tagDNS:
				a.dns = append(a.dns, string(value))
			}
		}
	}
	return a, nil
}

// FromCertificate returns the SIP domain identities that leaf claims, by RFC 5922, Section 7.1.
// It does not look at whether the certificate is valid; that is what a Verifier does. cnFallback
// takes the CN of a certificate that has no subjectAltName at all.
func FromCertificate(leaf *x509.Certificate, cnFallback bool) Set {
	a, err := readAltNames(leaf, 0)
	if err != nil {
		return Set{}
	}
	set, _ := a.identities(leaf, cnFallback, nil)
	return set
}

// identities finds the identities among the names. Those for which allow, unless it is nil,
// returns false are left out, and dropped tells one of them; a URI that was left out still keeps
// the DNS names from being taken.
func (a altNames) identities(leaf *x509.Certificate, cnFallback bool, allow func(name string) bool) (set Set, dropped string) {
	if allow == nil {
		allow = func(string) bool { return true }
	}
	var names []string
	take := func(name string) {
		if allow(name) {
			names = append(names, name)
		} else {
			dropped = name
		}
	}
	found := false
	for _, uri := range a.uris {
		if host, ok := uriHost(uri); ok {
			found = true
			take(host)
		}
	}
	if !found {
		// The DNS names count only where no URI did: RFC 5922, Section 7.1.
		for _, dns := range a.dns {
			if name, ok := normalSAN(dns); ok {
				take(name)
			}
		}
	}
	if !a.present && cnFallback && isASCII(leaf.Subject.CommonName) {
		if name, ok := Normalize(leaf.Subject.CommonName); ok {
			take(name)
		}
	}
	return newSet(names), dropped
}

// has reports whether c has the extension id, be it empty.
func has(c *x509.Certificate, id asn1.ObjectIdentifier) bool {
	for _, ext := range c.Extensions {
		if ext.Id.Equal(id) {
			return true
		}
	}
	return false
}
