package transaction

import (
	"crypto/rand"

	"github.com/tandem-sip/tandem/sip"
)

// NewBranch returns a branch for the Via of a new request: the magic cookie and 128 random bits that
// nobody can guess (RFC 3261, Section 8.1.1.7), so that nobody can answer what he has not seen.
func NewBranch() string {
	var text [len(cookie) + sip.TokenLen]byte
	return string(AppendBranch(text[:0]))
}

// AppendBranch appends what NewBranch returns.
func AppendBranch(dst []byte) []byte {
	var random [16]byte
	rand.Read(random[:]) // never fails
	return sip.AppendToken(append(dst, cookie...), &random)
}
