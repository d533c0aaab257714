package sctp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"
)

// cookieLife is how long a cookie is good for: RFC 9260, Section 15 suggests a minute.
const cookieLife = time.Minute

const (
	cookieMAC  = 16                                 // bytes of the signature that are kept
	cookieBody = 8 + 4 + 16 + 2*initSize + 2*4 + 1  // without alternates
	cookieMax  = cookieBody + maxAlternates*16 + 16 // with them and the signature
)

// state is all that there is to know of an association that a peer has asked for. It travels to the peer and
// back as the cookie, so that nothing needs to be kept meanwhile: RFC 9260, Section 5.1.3.
type state struct {
	made       time.Time
	path       path
	local      initiation // ours
	peer       initiation
	tieLocal   uint32 // tags of the association that stood on this path when INIT came, or zeros
	tiePeer    uint32
	alternates []netip.Addr
}

// secret signs cookies. Each Provider makes its own.
type secret [32]byte

// newSecret makes a secret from the system's randomness.
func newSecret() *secret {
	s := new(secret)
	_, _ = rand.Read(s[:]) // it never fails: Go ends the process first
	return s
}

// sign writes a state as a cookie.
func (s *secret) sign(st *state) []byte {
	b := make([]byte, 0, cookieMax)
	b = binary.BigEndian.AppendUint64(b, uint64(st.made.UnixNano()))
	b = binary.BigEndian.AppendUint16(b, st.path.local)
	b = binary.BigEndian.AppendUint16(b, st.path.remote)
	b = appendAddr(b, st.path.peer)
	b = st.local.append(b)
	b = st.peer.append(b)
	b = binary.BigEndian.AppendUint32(b, st.tieLocal)
	b = binary.BigEndian.AppendUint32(b, st.tiePeer)
	b = append(b, byte(len(st.alternates)))
	for _, a := range st.alternates {
		b = appendAddr(b, a)
	}
	return append(b, s.mac(b)...)
}

// open reads a cookie, and tells whether it is one of ours.
func (s *secret) open(b []byte) (*state, bool) {
	if len(b) < cookieBody+cookieMAC || len(b) > cookieMax {
		return nil, false
	}
	body, mac := b[:len(b)-cookieMAC], b[len(b)-cookieMAC:]
	if !hmac.Equal(mac, s.mac(body)) {
		return nil, false
	}
	st := &state{made: time.Unix(0, int64(binary.BigEndian.Uint64(body)))}
	st.path = path{
		local:  binary.BigEndian.Uint16(body[8:]),
		remote: binary.BigEndian.Uint16(body[10:]),
		peer:   readAddr(body[12:]),
	}
	st.local, _ = readInitiation(body[28:])
	st.peer, _ = readInitiation(body[28+initSize:])
	rest := body[28+2*initSize:]
	st.tieLocal, st.tiePeer = binary.BigEndian.Uint32(rest), binary.BigEndian.Uint32(rest[4:])
	for rest = rest[9:]; len(rest) >= 16; rest = rest[16:] {
		st.alternates = append(st.alternates, readAddr(rest))
	}
	return st, true
}

// mac is the signature of a cookie.
func (s *secret) mac(body []byte) []byte {
	h := hmac.New(sha256.New, s[:])
	h.Write(body)
	return h.Sum(nil)[:cookieMAC]
}

func appendAddr(b []byte, a netip.Addr) []byte {
	bytes := a.As16()
	return append(b, bytes[:]...)
}

func readAddr(b []byte) netip.Addr { return netip.AddrFrom16([16]byte(b[:16])).Unmap() }
