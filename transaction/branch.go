package transaction

import (
	"crypto/rand"
	"encoding/base64"
)

// NewBranch returns a branch for the Via of a new request: the magic cookie and 128 random bits that
// nobody can guess (RFC 3261, Section 8.1.1.7), so that nobody can answer what he has not seen.
func NewBranch() string {
	var random [16]byte
	rand.Read(random[:]) // never fails
	var text [len(cookie) + 22]byte
	copy(text[:], cookie)
	base64.RawURLEncoding.Encode(text[len(cookie):], random[:]) // letters, digits, "-" and "_": a token
	return string(text[:])
}
