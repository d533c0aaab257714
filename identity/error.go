package identity

// Reason says why a certificate was refused. The list is closed: a new reason is a new constant,
// a new line in reasons, and a new word in the documentation.
type Reason uint8

// The reasons.
const (
	ReasonNone          Reason = iota // not refused
	ReasonNoCertificate               // the peer presented none (RFC 5922, Section 7.4)
	ReasonTooLarge                    // more certificates or bytes than the policy takes
	ReasonTooManyNames                // more names than the policy takes
	ReasonMalformed                   // an extension cannot be read, stands twice or is unknown and critical
	ReasonWeakKey                     // a key in the chain is too short, too long or of a kind that TLS has no use for
	ReasonWeakSignature               // a signature in the chain is made with MD5 or SHA-1
	ReasonKeyUsage                    // the key may not sign handshakes, or that of a CA not certificates
	ReasonExtKeyUsage                 // extended key usage in the chain forbids this role (RFC 5924, Section 5)
	ReasonUntrusted                   // no path leads to a trust anchor
	ReasonChain                       // a CA of the chain may not have issued this
	ReasonExpired                     // a certificate of the chain has ended
	ReasonNotYetValid                 // a certificate of the chain has not begun
	ReasonConstraint                  // name constraints of a CA forbid a name (RFC 5280, Section 4.2.1.10)
	ReasonRevoked                     // by a CRL or a stapled OCSP response
	ReasonRevocation                  // there should be a current CRL of the issuer, and there is none that holds
	ReasonNoStaple                    // the certificate demands a stapled OCSP response, and none that is good came
	ReasonNoIdentity                  // valid, and names no SIP domain (RFC 5922, Section 7.3)
	ReasonMismatch                    // valid, and names other domains (RFC 5922, Section 7.3)
)

var reasons = [...]string{
	ReasonNone:          "none",
	ReasonNoCertificate: "no_certificate",
	ReasonTooLarge:      "too_large",
	ReasonTooManyNames:  "too_many_names",
	ReasonMalformed:     "malformed",
	ReasonWeakKey:       "weak_key",
	ReasonWeakSignature: "weak_signature",
	ReasonKeyUsage:      "key_usage",
	ReasonExtKeyUsage:   "extended_key_usage",
	ReasonUntrusted:     "untrusted",
	ReasonChain:         "bad_chain",
	ReasonExpired:       "expired",
	ReasonNotYetValid:   "not_yet_valid",
	ReasonConstraint:    "name_constraint",
	ReasonRevoked:       "revoked",
	ReasonRevocation:    "revocation_unknown",
	ReasonNoStaple:      "no_staple",
	ReasonNoIdentity:    "no_identity",
	ReasonMismatch:      "identity_mismatch",
}

// String returns the word for r that counters and JSON use, such as "expired".
func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r]
	}
	return "unknown"
}

// VerifyError is the error of a Verifier: this certificate does not authenticate its holder.
type VerifyError struct {
	Reason Reason
	Text   string // why, in words for an operator; whatever the peer wrote is escaped and cut
	Err    error  // what crypto/x509 said, or nil
}

// Error returns the text with the name of this room in front.
func (e *VerifyError) Error() string { return "identity: " + e.Text }

// Unwrap returns what crypto/x509 said, or nil.
func (e *VerifyError) Unwrap() error { return e.Err }
