package transaction

import (
	"crypto/rand"
	"encoding/base32"
)

// lowercase is how branches are written: they are compared without regard to case, and some elements look for words such
// as "CSeq" in a message as a whole, which must not come up by chance.
var lowercase = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewBranch returns a branch for the Via of a new request: the magic cookie and 128 random bits that
// nobody can guess (RFC 3261, Section 8.1.1.7), so that nobody can answer what he has not seen.
func NewBranch() string {
	var text [len(cookie) + 26]byte
	return string(AppendBranch(text[:0]))
}

// AppendBranch appends what NewBranch returns.
func AppendBranch(dst []byte) []byte {
	var random [16]byte
	rand.Read(random[:]) // never fails
	return lowercase.AppendEncode(append(dst, cookie...), random[:])
}
