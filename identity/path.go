package identity

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// This file validates paths by RFC 5280, Section 6, with crypto/x509 for the most part, as
// RFC 5922, Section 7.1 demands. It goes from what costs nothing to what costs signatures.

// checkSize holds how much the peer presented against the limits.
func (v *Verifier) checkSize(chain []*x509.Certificate) *fault {
	if len(chain) > v.policy.MaxChain {
		return &fault{reason: ReasonTooLarge, text: fmt.Sprintf("%d certificates were presented, more than %d", len(chain), v.policy.MaxChain)}
	}
	size := 0
	for _, c := range chain {
		size += len(c.Raw)
	}
	if size > v.policy.MaxChainBytes {
		return &fault{reason: ReasonTooLarge, text: fmt.Sprintf("%d bytes of certificates were presented, more than %d", size, v.policy.MaxChainBytes)}
	}
	return nil
}

// inspect looks at the peer's own certificate, and reads its names.
func (v *Verifier) inspect(leaf *x509.Certificate) (altNames, *fault) {
	names, err := readAltNames(leaf, v.policy.MaxNames)
	switch {
	case errors.Is(err, errTooManyNames):
		return altNames{}, &fault{reason: ReasonTooManyNames, text: fmt.Sprintf("it has more than %d names", v.policy.MaxNames)}
	case err != nil:
		return altNames{}, &fault{reason: ReasonMalformed, text: err.Error()}
	}
	return names, checkKey(leaf)
}

// paths returns the paths from the peer's certificate to a trust anchor.
func (v *Verifier) paths(chain []*x509.Certificate, now time.Time) ([][]*x509.Certificate, *fault) {
	if f := checkSignature(chain[0]); f != nil && !slices.ContainsFunc(v.policy.Roots, chain[0].Equal) {
		return nil, f
	}
	leaf := withoutOpaqueURIs(chain[0])
	whole := map[*x509.Certificate]*x509.Certificate{leaf: chain[0]}
	pool := x509.NewCertPool()
	var weak *fault
	for _, c := range chain[1:] {
		f := checkKey(c)
		if f == nil {
			f = checkSignature(c)
		}
		if f != nil {
			weak = f // of no use for a path, and not worth its arithmetic
			continue
		}
		bare := withoutOpaqueURIs(c)
		whole[bare] = c
		pool.AddCert(bare)
	}
	paths, err := leaf.Verify(x509.VerifyOptions{
		Roots:         v.roots,
		Intermediates: pool,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, // checkExtKeyUsage knows more
	})
	if err != nil {
		f := explain(err, chain[0], now)
		if f.reason == ReasonUntrusted && weak != nil {
			return nil, weak
		}
		return nil, f
	}
	for _, path := range paths {
		for i, c := range path {
			if w, found := whole[c]; found {
				path[i] = w
			}
		}
	}
	return paths, nil
}

// withoutOpaqueURIs returns a copy of c without those names that crypto/x509 cannot hold against
// name constraints, and because of which it would refuse every SIP-URI. The method constraints.checkURIs
// makes good for it.
func withoutOpaqueURIs(c *x509.Certificate) *x509.Certificate {
	if !slices.ContainsFunc(c.URIs, isOpaque) {
		return c
	}
	bare := *c
	bare.URIs = slices.DeleteFunc(slices.Clone(c.URIs), isOpaque)
	return &bare
}

func isOpaque(u *url.URL) bool { return u.Host == "" }

// explain puts an error of crypto/x509 into one of our reasons.
func explain(err error, leaf *x509.Certificate, now time.Time) *fault {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		whose := "it"
		if !invalid.Cert.Equal(leaf) {
			whose = "the CA certificate " + describe(invalid.Cert)
		}
		switch invalid.Reason {
		case x509.Expired:
			if now.Before(invalid.Cert.NotBefore) {
				return &fault{ReasonNotYetValid, fmt.Sprintf("%s is not valid before %s", whose, day(invalid.Cert.NotBefore)), err}
			}
			return &fault{ReasonExpired, fmt.Sprintf("%s ended on %s", whose, day(invalid.Cert.NotAfter)), err}
		case x509.CANotAuthorizedForThisName, x509.NameConstraintsWithoutSANs, x509.UnconstrainedName:
			return &fault{ReasonConstraint, fmt.Sprintf("a name constraint of a CA forbids it (%s)", cut(invalid.Detail, 200)), err}
		case x509.TooManyConstraints:
			return &fault{ReasonTooLarge, "its CA has too many name constraints", err}
		case x509.NotAuthorizedToSign:
			return &fault{ReasonChain, fmt.Sprintf("%s may not issue certificates", whose), err}
		case x509.TooManyIntermediates:
			return &fault{ReasonChain, "there are more CAs above it than one of them allows", err}
		}
		return &fault{ReasonChain, cut(invalid.Error(), 200), err}
	}
	var critical x509.UnhandledCriticalExtension
	if errors.As(err, &critical) {
		return &fault{ReasonMalformed, "a critical extension in its chain is not known here", err}
	}
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return &fault{ReasonUntrusted, fmt.Sprintf("its issuer %s leads to no trusted CA", describeName(leaf.Issuer)), err}
	}
	return &fault{ReasonChain, cut(err.Error(), 200), err}
}

// day is how the texts write a date.
func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

// checkKeys holds each key of path against checkKey.
func checkKeys(path []*x509.Certificate) *fault {
	for i, c := range path {
		if f := checkKey(c); f != nil {
			if i > 0 {
				f.text = fmt.Sprintf("its CA %s: %s", describe(c), f.text)
			}
			return f
		}
	}
	return nil
}

// checkKey refuses keys that prove nothing any more, and those that cost too much to use.
func checkKey(c *x509.Certificate) *fault {
	weak := func(format string, args ...any) *fault {
		return &fault{reason: ReasonWeakKey, text: fmt.Sprintf(format, args...)}
	}
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < 2048 || n > 8192 {
			return weak("its RSA key has %d bits, where 2048 to 8192 are accepted", n)
		}
	case *ecdsa.PublicKey:
		if n := key.Curve.Params().BitSize; n < 256 {
			return weak("its elliptic curve has %d bits, where 256 are the least", n)
		}
	case ed25519.PublicKey:
	default:
		return weak("its key is of a kind (%s) that TLS has no use for", c.PublicKeyAlgorithm)
	}
	return nil
}

// checkSignature refuses signatures with a digest that can be forged.
func checkSignature(c *x509.Certificate) *fault {
	if forgeable(c.SignatureAlgorithm) {
		return &fault{reason: ReasonWeakSignature, text: fmt.Sprintf("it is signed with %s, which can be forged", c.SignatureAlgorithm)}
	}
	return nil
}

// forgeable reports whether signatures by a are made with MD5 or SHA-1, or with DSA. crypto/x509
// refuses them in certificates, but not in CRLs and OCSP responses.
func forgeable(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1, x509.DSAWithSHA256:
		return true
	}
	return false
}

// checkKeyUsage demands digitalSignature of the peer's certificate, where it says anything of its
// usage, because its key signs the handshake (RFC 8446, Section 4.4.2.2), and keyCertSign of the
// others (RFC 5280, Section 6.1.4).
func checkKeyUsage(path []*x509.Certificate) *fault {
	for i, c := range path {
		if !has(c, oidKeyUsage) {
			continue
		}
		if i == 0 && c.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
			return &fault{reason: ReasonKeyUsage, text: "its key usage lacks digitalSignature, which TLS needs"}
		}
		if i > 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
			return &fault{reason: ReasonKeyUsage, text: fmt.Sprintf("the key usage of its CA %s lacks keyCertSign", describe(c))}
		}
	}
	return nil
}

// oidSIPDomain is id-kp-sipDomain: RFC 5924, Section 4.1.
var oidSIPDomain = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 20}

// checkExtKeyUsage holds the extended key usage of the whole path against role: a CA that is
// limited passes its limits on. Without strict, each certificate must have none of it, or
// id-kp-sipDomain, or anyExtendedKeyUsage, or what TLS demands of that role, which is the local
// policy that RFC 5924, Section 5 leaves room for by way of RFC 5922, Section 7.1. With strict the
// peer's certificate must have id-kp-sipDomain and what TLS demands is not enough for the CAs.
func checkExtKeyUsage(path []*x509.Certificate, role Role, strict bool) *fault {
	want := x509.ExtKeyUsageServerAuth
	if role == Client {
		want = x509.ExtKeyUsageClientAuth
	}
	for i, c := range path {
		whose := "its extended key usage"
		if i > 0 {
			whose = fmt.Sprintf("the extended key usage of its CA %s", describe(c))
		}
		sip := slices.ContainsFunc(c.UnknownExtKeyUsage, oidSIPDomain.Equal)
		if strict && i == 0 && !sip {
			return &fault{reason: ReasonExtKeyUsage, text: whose + " lacks id-kp-sipDomain, which is demanded here"}
		}
		if sip || !has(c, oidExtKeyUsage) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) {
			continue
		}
		if strict || !slices.Contains(c.ExtKeyUsage, want) {
			return &fault{reason: ReasonExtKeyUsage, text: fmt.Sprintf("%s does not allow it to act as a %s", whose, role)}
		}
	}
	return nil
}
