package identity

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"
)

// statusRequest is the TLS extension status_request as a TLS feature: RFC 7633, Section 4.2.3.
const statusRequest = 5

// checkStaple looks at the OCSP response that a server sent along (RFC 6066, Section 8). One that
// says revoked refuses the certificate. One that is expired, is about another certificate or is
// not signed by someone who may, counts as none: its sender gains nothing that it would not have by
// sending none. A policy of MustStaple refuses a certificate that promises a good one (RFC 7633).
// It returns until when a response that counted is valid, or the zero time.
func (v *Verifier) checkStaple(path []*x509.Certificate, role Role, staple []byte, now time.Time) (until time.Time, f *fault) {
	good := false
	if len(staple) > 0 && len(path) > 1 {
		if resp := stapled(path[0], path[1], staple, now); resp != nil {
			if resp.Status == ocsp.Revoked {
				return time.Time{}, &fault{reason: ReasonRevoked, text: "its issuer has revoked it (stapled OCSP response)"}
			}
			good = resp.Status == ocsp.Good
			until = resp.NextUpdate
		}
	}
	if v.policy.MustStaple && role == Server && !good && mustStaple(path[0]) {
		return time.Time{}, &fault{reason: ReasonNoStaple, text: fmt.Sprintf("it promises a stapled OCSP response, and %s came", noneOf(staple))}
	}
	return until, nil
}

func noneOf(staple []byte) string {
	if len(staple) == 0 {
		return "none"
	}
	return "none that is good"
}

// stapled returns the response in staple about cert, or nil if it cannot be believed at this time.
func stapled(cert, issuer *x509.Certificate, staple []byte, now time.Time) *ocsp.Response {
	resp, err := ocsp.ParseResponseForCert(staple, cert, issuer)
	if err != nil {
		return nil
	}
	if now.Before(resp.ThisUpdate) || !now.Before(resp.NextUpdate) {
		return nil
	}
	if forgeable(resp.SignatureAlgorithm) || !mayRespond(resp.Certificate, issuer, now) {
		return nil
	}
	return resp
}

// mayRespond reports whether the signer of a response may speak for issuer: it is the issuer
// itself, or the issuer has certified it for OCSP (RFC 6960, Section 4.2.2.2). The OCSP package
// has checked the signatures, and nothing else; without this every holder of a certificate of the
// issuer could declare any other revoked, or good.
func mayRespond(signer, issuer *x509.Certificate, now time.Time) bool {
	if signer == nil || signer.Equal(issuer) {
		return true
	}
	return slices.Contains(signer.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) &&
		!now.Before(signer.NotBefore) && !now.After(signer.NotAfter) &&
		checkKey(signer) == nil && checkSignature(signer) == nil
}

// mustStaple reports whether the certificate has the TLS feature status_request.
func mustStaple(c *x509.Certificate) bool {
	for _, ext := range c.Extensions {
		if !ext.Id.Equal(oidTLSFeature) {
			continue
		}
		der := cryptobyte.String(ext.Value)
		var seq cryptobyte.String
		if !der.ReadASN1(&seq, cbasn1.SEQUENCE) {
			return false
		}
		for !seq.Empty() {
			var feature int
			if !seq.ReadASN1Integer(&feature) {
				return false
			}
			if feature == statusRequest {
				return true
			}
		}
	}
	return false
}
