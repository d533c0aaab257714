package proxy

import (
	"bytes"
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"strconv"
	"strings"
	"sync"

	"github.com/tandem-sip/tandem/sip"
)

// A dialog token is our signature in our own Record-Route value: whoever shows it, in a request with the same
// Call-ID, may send through us to the one host and port that was signed, on behalf of the one domain. So the far side of a dialog can come
// back without a table of dialogs here. RFC 3261, Section 16.6 allows such parameters.

const (
	tokenParam     = "td" // dialog token
	referenceParam = "ti" // identity under which the signed next hop can be authenticated
	domainParam    = "tl" // local domain on whose behalf the request goes there, when several are served
	specialParam   = "ts" // which special addresses it may be at: "any", or one address
)

// signer makes and checks dialog tokens. It is safe for concurrent use.
type signer struct {
	mac  *cmac
	pool sync.Pool // of *tokenText
}

// tokenText is where a signature is worked out.
type tokenText struct {
	in  []byte
	tag [aes.BlockSize]byte
}

// newSigner derives the key of the signatures from a secret of any length.
func newSigner(key []byte) *signer {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("tandem dialog token, AES-CMAC"))
	return &signer{mac: newCMAC([16]byte(h.Sum(nil))), pool: sync.Pool{New: func() any { return new(tokenText) }}}
}

// keyring has the keys that tokens are good by. It never changes.
type keyring struct {
	key    []byte
	now    *signer
	before *signer // of the key that was in force before; nil: there was none

	keyBefore []byte // what before is made of
}

// turn returns the keyring with another key in force, if that is one. k may be nil for the first.
func (k *keyring) turn(key []byte) *keyring {
	switch {
	case k == nil:
		return &keyring{key: bytes.Clone(key), now: newSigner(key)}
	case len(key) == 0 || bytes.Equal(key, k.key):
		return k
	}
	return &keyring{key: bytes.Clone(key), now: newSigner(key), before: k.now, keyBefore: k.key}
}

// valid reports whether a claim is one of ours and allows a request with that Call-ID to go to a next hop.
func (k *keyring) valid(cl claim, callID string, to *sip.URI) bool {
	return k.now.valid(cl, callID, to) || k.before != nil && k.before.valid(cl, callID, to)
}

// claim is what one of our own Route values says about where the request may go.
type claim struct{ token, reference, domain, special string }

// appendToken appends the signature over a Call-ID, the host and port of a next hop, and what else a claim says.
func (s *signer) appendToken(dst []byte, callID string, to *sip.URI, cl claim) []byte {
	t := s.pool.Get().(*tokenText)
	in := t.in[:0]
	in = append(in, callID...)
	in = append(in, 0)
	in = append(in, hopHost(to)...)
	in = append(in, ':')
	in = strconv.AppendUint(in, uint64(to.Port), 10)
	in = append(in, 0)
	in = append(in, cl.reference...)
	in = append(in, 0)
	in = append(in, cl.domain...)
	in = append(in, 0)
	in = append(in, cl.special...)
	t.in = in
	s.mac.sum(&t.tag, in)
	dst = sip.AppendToken(dst, &t.tag)
	s.pool.Put(t)
	return dst
}

// valid reports whether a claim is signed by the key of s.
func (s *signer) valid(cl claim, callID string, to *sip.URI) bool {
	if len(cl.token) != sip.TokenLen {
		return false
	}
	var given, made [sip.TokenLen]byte
	copy(given[:], cl.token)
	s.appendToken(made[:0], callID, to, cl)
	return subtle.ConstantTimeCompare(given[:], made[:]) == 1
}

// claimOf returns what a Record-Route value of ours says, and whether it has a token.
func claimOf(u *sip.URI) (cl claim, ok bool) {
	if strings.IndexByte(u.Params, '%') >= 0 { // names may be escaped
		if cl.token, ok = u.Param(tokenParam); ok {
			cl.reference, _ = u.Param(referenceParam)
			cl.domain, _ = u.Param(domainParam)
			cl.special, _ = u.Param(specialParam)
		}
		return cl, ok
	}
	// All in one go: each name has two letters, and of two with one name the first counts.
	var seen [4]bool
	parts := [4]*string{&cl.token, &cl.reference, &cl.domain, &cl.special}
	for rest := u.Params; rest != ""; {
		part := rest[1:]
		if i := strings.IndexByte(part, ';'); i >= 0 {
			part, rest = part[:i], part[i:]
		} else {
			rest = ""
		}
		if len(part) < 2 || len(part) > 2 && part[2] != '=' || part[0]|0x20 != tokenParam[0] {
			continue
		}
		i := strings.IndexByte(claimLetters, part[1]|0x20)
		if i < 0 || seen[i] {
			continue
		}
		if seen[i] = true; len(part) > 2 {
			*parts[i] = part[3:]
		}
	}
	if !seen[0] {
		return claim{}, false
	}
	return cl, true
}

// claimLetters are the second letters of the parameters, whose first ones are the same.
const claimLetters = "dils"

// appendParams appends the URI parameters for a Record-Route value of ours, none when there is nothing to sign.
func (s *signer) appendParams(dst []byte, callID string, to *sip.URI, cl claim) []byte {
	if to == nil || !to.IsSIP() {
		return dst
	}
	if !plainIdentity(cl.reference) {
		cl.reference = ""
	}
	dst = append(dst, ";"+tokenParam+"="...)
	dst = s.appendToken(dst, callID, to, cl)
	if cl.reference != "" {
		dst = append(append(dst, ";"+referenceParam+"="...), cl.reference...)
	}
	if cl.domain != "" {
		dst = append(append(dst, ";"+domainParam+"="...), cl.domain...)
	}
	if cl.special != "" {
		dst = append(append(dst, ";"+specialParam+"="...), cl.special...)
	}
	return dst
}

// hopHost returns the host that a request for a URI really goes to: its maddr, if there is one.
func hopHost(u *sip.URI) string {
	if maddr, ok := u.Param("maddr"); ok && maddr != "" {
		return normalHost(maddr)
	}
	return normalHost(u.Host)
}

// plainIdentity reports whether an identity can stand in a URI parameter as it is.
func plainIdentity(s string) bool {
	if len(s) > 255 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '.' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return s != ""
}
