package proxy

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"strconv"
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
	tokenBytes     = 16   // of the HMAC that are kept
)

// signer makes and checks dialog tokens. It is safe for concurrent use.
type signer struct{ pool sync.Pool }

func newSigner(key []byte) *signer {
	k := append([]byte(nil), key...)
	return &signer{pool: sync.Pool{New: func() any { return &mac{h: hmac.New(sha256.New, k)} }}}
}

type mac struct {
	h   hash.Hash
	in  []byte
	out []byte
}

// keyring has the keys that tokens are good by. It never changes.
type keyring struct {
	key    []byte
	now    *signer
	before *signer // of the key that was in force before; nil: there was none
}

// turn returns the keyring with another key in force, if that is one. k may be nil for the first.
func (k *keyring) turn(key []byte) *keyring {
	switch {
	case k == nil:
		return &keyring{key: bytes.Clone(key), now: newSigner(key)}
	case len(key) == 0 || bytes.Equal(key, k.key):
		return k
	}
	return &keyring{key: bytes.Clone(key), now: newSigner(key), before: k.now}
}

// valid reports whether a claim is one of ours and allows a request with that Call-ID to go to a next hop.
func (k *keyring) valid(cl claim, callID string, to *sip.URI) bool {
	return k.now.valid(cl, callID, to) || k.before != nil && k.before.valid(cl, callID, to)
}

// claim is what one of our own Route values says about where the request may go.
type claim struct{ token, reference, domain, special string }

// token returns the signature over a Call-ID, the host and port of a next hop, and what else a claim says.
func (s *signer) token(callID string, to *sip.URI, cl claim) string {
	m := s.pool.Get().(*mac)
	m.in = append(m.in[:0], callID...)
	m.in = append(m.in, 0)
	m.in = append(m.in, hopHost(to)...)
	m.in = append(m.in, ':')
	m.in = strconv.AppendUint(m.in, uint64(to.Port), 10)
	m.in = append(m.in, 0)
	m.in = append(m.in, cl.reference...)
	m.in = append(m.in, 0)
	m.in = append(m.in, cl.domain...)
	m.in = append(m.in, 0)
	m.in = append(m.in, cl.special...)
	m.h.Reset()
	m.h.Write(m.in)
	m.out = m.h.Sum(m.out[:0])
	t := base64.RawURLEncoding.EncodeToString(m.out[:tokenBytes])
	s.pool.Put(m)
	return t
}

// valid reports whether a claim is signed by the key of s.
func (s *signer) valid(cl claim, callID string, to *sip.URI) bool {
	return subtle.ConstantTimeCompare([]byte(cl.token), []byte(s.token(callID, to, cl))) == 1
}

// claimOf returns what a Record-Route value of ours says, without its signature.
func claimOf(u *sip.URI) (cl claim, ok bool) {
	if cl.token, ok = u.Param(tokenParam); ok {
		cl.reference, _ = u.Param(referenceParam)
		cl.domain, _ = u.Param(domainParam)
		cl.special, _ = u.Param(specialParam)
	}
	return cl, ok
}

// params returns the URI parameters for a Record-Route value of ours, "" when there is nothing to sign.
func (s *signer) params(callID string, to *sip.URI, cl claim) string {
	if to == nil || !to.IsSIP() {
		return ""
	}
	if !plainIdentity(cl.reference) {
		cl.reference = ""
	}
	text := ";" + tokenParam + "=" + s.token(callID, to, cl)
	if cl.reference != "" {
		text += ";" + referenceParam + "=" + cl.reference
	}
	if cl.domain != "" {
		text += ";" + domainParam + "=" + cl.domain
	}
	if cl.special != "" {
		text += ";" + specialParam + "=" + cl.special
	}
	return text
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
