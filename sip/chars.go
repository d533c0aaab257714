package sip

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// Classes of characters of RFC 3261, Section 25.1, one bit each.
const (
	charToken  uint16 = 1 << iota // token
	charWord                      // word, as in Call-ID
	charUser                      // unreserved and user-unreserved; "%" apart
	charPass                      // what a password may hold; "%" apart
	charParam                     // paramchar; "%" apart
	charHeader                    // hname and hvalue; "%" apart
	charHost                      // letters, digits, "-", "." and, for names in use, "_"
	charScheme                    // letters, digits, "+", "-", "."
	charHex                       // hexadecimal digits
	charValue                     // what an unquoted parameter value may hold here
	charURI                       // what the URI of an unknown scheme may hold here
	charName                      // what an unquoted display name may hold here
	charList                      // what may end a value of a list, or hold a comma that does not
)

var charClass = makeCharClass()

func makeCharClass() (t [256]uint16) {
	set := func(class uint16, chars string) {
		for i := 0; i < len(chars); i++ {
			t[chars[i]] |= class
		}
	}
	const digits = "0123456789"
	const alphanum = digits + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	const mark = "-_.!~*'()"
	set(charToken, alphanum+"-.!%*_+`'~")
	set(charWord, alphanum+"-.!%*_+`'~()<>:\\\"/[]?{}")
	set(charUser, alphanum+mark+"&=+$,;?/")
	set(charPass, alphanum+mark+"&=+$,")
	set(charParam, alphanum+mark+"[]/:&+$")
	set(charHeader, alphanum+mark+"[]/?:+$")
	set(charHost, alphanum+"-._")
	set(charScheme, alphanum+"+-.")
	set(charHex, digits+"ABCDEFabcdef")
	for c := 0x21; c < 0x100; c++ {
		if c == 0x7f {
			continue
		}
		t[c] |= charValue | charURI
	}
	for _, c := range []byte(";,\"<>") {
		t[c] &^= charValue
	}
	for _, c := range []byte("\"<>") {
		t[c] &^= charURI
	}
	set(charList, ",\"<(")
	set(charName, alphanum+"-.!%*_+`'~ \t\r\n")
	for c := 0x80; c < 0x100; c++ {
		t[c] |= charName // not in the grammar, but display names in UTF-8 without quotes are common
	}
	return t
}

func is(c byte, class uint16) bool { return charClass[c]&class != 0 }

// all says whether s is not empty and every byte of it is of the class.
func all(s string, class uint16) bool {
	for i := 0; i < len(s); i++ {
		if charClass[s[i]]&class == 0 {
			return false
		}
	}
	return len(s) > 0
}

// allEscaped is like all, but lets an empty string and "%" with two hexadecimal digits pass.
func allEscaped(s string, class uint16) bool { return escapedEnd(s, 0, class) == len(s) }

// escapedEnd returns the position of the first byte from i on that is neither of the class nor part of "%" with two
// hexadecimal digits.
func escapedEnd(s string, i int, class uint16) int {
	for i < len(s) {
		if charClass[s[i]]&class != 0 {
			i++
			continue
		}
		if s[i] != '%' || i+2 >= len(s) || !is(s[i+1], charHex) || !is(s[i+2], charHex) {
			break
		}
		i += 3
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// skipSpace returns the first position from i on that is no linear white space. Inside a header
// field value that was indexed by Parse, CR and LF stand only in folding.
func skipSpace(s string, i int) int {
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	return i
}

func trim(s string) string {
	i, j := 0, len(s)
	for i < j && isSpace(s[i]) {
		i++
	}
	for j > i && isSpace(s[j-1]) {
		j--
	}
	return s[i:j]
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// equalFold compares without regard to the case of ASCII letters. Other bytes must be the same:
// unlike strings.EqualFold it takes no letter outside ASCII for one inside.
func equalFold(a, b string) bool {
	if a == b {
		return true // what most write as the RFC does
	}
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// nextControl returns the position of the first control character (below 0x20, or DEL) from i on,
// or len(s). It looks at eight bytes at once.
func nextControl(s string, i int) int {
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		d := w ^ 0x7f*ones
		// A borrow can only spoil bytes above the lowest hit, and only the lowest is read.
		if m := ((w-0x20*ones)&^w | (d-ones)&^d) & highs; m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for ; i < len(b); i++ {
		if b[i] < 0x20 || b[i] == 0x7f {
			return i
		}
	}
	return len(b)
}

// number reads decimal digits and nothing else. ok is false for anything else and for values above limit.
func number(s string, limit uint64) (n uint64, ok bool) {
	if s == "" {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		if n = n*10 + uint64(c); n > limit {
			return 0, false
		}
	}
	return n, true
}
