package load

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
)

// Digest authentication: RFC 3261, Section 22 with the hashes of RFC 8760.

// digestHash is what a challenge has hashed with.
type digestHash uint8

const (
	digestMD5 digestHash = iota
	digestSHA256
)

var digestNames = [...]string{"MD5", "SHA-256"}

// appendHex writes the hash of a text in hexadecimal digits.
func (d digestHash) appendHex(dst, text []byte) []byte {
	if d == digestSHA256 {
		sum := sha256.Sum256(text)
		return hex.AppendEncode(dst, sum[:])
	}
	sum := md5.Sum(text)
	return hex.AppendEncode(dst, sum[:])
}

// challenge is what a server or a proxy wants credentials for. Texts are as they stand between the quotation marks.
type challenge struct {
	proxy  bool // it wants Proxy-Authorization
	realm  string
	nonce  string
	opaque string // with opaqued
	hash   digestHash
	named  bool // the hash was
	qop    bool // auth was offered
	stale  bool

	opaqued bool
	count   uint32 // requests that had the nonce
	try     uint8  // of the request under way, that answered it; 0: none
}

// The fields of challenges and of credentials: RFC 3261, Section 22.2 and RFC 3261, Section 22.3.
const (
	fieldChallenge      = "WWW-Authenticate"
	fieldProxyChallenge = "Proxy-Authenticate"
	fieldAnswer         = "Authorization: Digest "
	fieldProxyAnswer    = "Proxy-Authorization: Digest "
)

// What keeps a challenge from being answered.
var (
	errChallenge   = errors.New("it is not understood")
	errUnsupported = errors.New("neither MD5 nor SHA-256 of Digest, without qop or with auth")
)

// readChallenge reads the value of a challenge: RFC 3261, Section 25.1. The error is errChallenge or errUnsupported.
func readChallenge(value string) (challenge, error) {
	var c challenge
	scheme, rest, _ := strings.Cut(unfold.Replace(value), " ")
	if !strings.EqualFold(scheme, "Digest") {
		return c, errUnsupported
	}
	supported, realm, nonce := true, false, false
	for rest = strings.TrimLeft(rest, " ,"); rest != ""; rest = strings.TrimLeft(rest, " ,") {
		name, text, left, ok := readParameter(rest)
		if !ok {
			return c, errChallenge
		}
		rest = left
		switch strings.ToLower(name) {
		case "realm":
			c.realm, realm = text, true
		case "nonce":
			c.nonce, nonce = text, true
		case "opaque":
			c.opaque, c.opaqued = text, true
		case "stale":
			c.stale = strings.EqualFold(text, "true")
		case "algorithm":
			c.named = true
			switch {
			case strings.EqualFold(text, digestNames[digestMD5]):
				c.hash = digestMD5
			case strings.EqualFold(text, digestNames[digestSHA256]):
				c.hash = digestSHA256
			default:
				supported = false
			}
		case "qop":
			for option := range strings.SplitSeq(text, ",") {
				c.qop = c.qop || strings.EqualFold(strings.TrimSpace(option), "auth")
			}
			supported = supported && c.qop
		}
	}
	switch {
	case !realm || !nonce:
		return c, errChallenge
	case !supported:
		return c, errUnsupported
	}
	return c, nil
}

// unfold has the line ends and tabulators of a folded field read as spaces.
var unfold = strings.NewReplacer("\r", " ", "\n", " ", "\t", " ")

// readParameter reads a name, and a value that is a token or a quoted string, of which it returns the inside.
func readParameter(s string) (name, value, rest string, ok bool) {
	name, s, ok = strings.Cut(s, "=")
	name, s = strings.TrimRight(name, " "), strings.TrimLeft(s, " ")
	if !ok || name == "" || strings.ContainsAny(name, `", `) {
		return "", "", "", false
	}
	end := strings.IndexByte(s, ',')
	if end < 0 {
		end = len(s)
	}
	if strings.HasPrefix(s, `"`) {
		s = s[1:]
		for end = 0; end < len(s) && s[end] != '"'; end++ {
			if s[end] == '\\' {
				end++
			}
		}
		if end >= len(s) {
			return "", "", "", false
		}
		value, s = s[:end], strings.TrimLeft(s[end+1:], " ")
		return name, value, s, s == "" || s[0] == ','
	}
	value = strings.TrimRight(s[:end], " ")
	return name, value, s[end:], value != "" && !strings.ContainsAny(value, `" `)
}

// appendCredentials writes the line that answers the challenge in one more request: RFC 7616, Section 3.4. cnonce is of
// use only with qop.
func (c *challenge) appendCredentials(dst []byte, user, password, method, uri string, cnonce []byte) []byte {
	c.count++
	var texts [512]byte
	var digits [8]byte
	nc := digits[:0]
	for shift := 28; shift >= 0; shift -= 4 {
		nc = append(nc, "0123456789abcdef"[c.count>>shift&15])
	}
	text := append(append(append(append(append(texts[:0], user...), ':'), c.realm...), ':'), password...)
	var hashes [2 * 2 * sha256.Size]byte
	first := c.hash.appendHex(hashes[:0], text)
	text = append(append(append(text[:0], method...), ':'), uri...)
	both := c.hash.appendHex(first, text)
	second := both[len(first):]
	text = append(append(append(append(text[:0], first...), ':'), c.nonce...), ':')
	if c.qop {
		text = append(append(append(append(append(text, nc...), ':'), cnonce...), ':'), "auth:"...)
	}
	text = append(text, second...)

	line := fieldAnswer
	if c.proxy {
		line = fieldProxyAnswer
	}
	dst = append(dst, line...)
	dst = append(append(append(dst, `username="`...), user...), '"')
	dst = append(append(append(dst, `, realm="`...), c.realm...), '"')
	dst = append(append(append(dst, `, nonce="`...), c.nonce...), '"')
	dst = append(append(append(dst, `, uri="`...), uri...), '"')
	dst = append(c.hash.appendHex(append(dst, `, response="`...), text), '"')
	if c.named {
		dst = append(append(dst, ", algorithm="...), digestNames[c.hash]...)
	}
	if c.opaqued {
		dst = append(append(append(dst, `, opaque="`...), c.opaque...), '"')
	}
	if c.qop {
		dst = append(append(dst, ", qop=auth, nc="...), nc...)
		dst = append(append(append(dst, `, cnonce="`...), cnonce...), '"')
	}
	return append(dst, "\r\n"...)
}
