package sip

import "encoding/binary"

// TokenLen is the length of what AppendToken appends.
const TokenLen = 26

// AppendToken appends 128 bits as a token (RFC 3261, Section 25.1) of small letters and digits, for branches, tags and
// parameters of URIs. Those are compared without regard to case (RFC 3261, Section 7.3.1), and words that some elements
// look for in a message as a whole, such as "CSeq", must not come up by chance.
func AppendToken(dst []byte, bits *[16]byte) []byte {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	high, low := binary.BigEndian.Uint64(bits[:]), binary.BigEndian.Uint64(bits[8:])
	var text [TokenLen]byte
	for i := range text {
		text[i] = letters[high>>59]
		high, low = high<<5|low>>59, low<<5
	}
	return append(dst, text[:]...)
}
