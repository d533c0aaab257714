package sctp

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// takeInit answers a wish for an association with a cookie, and keeps nothing: RFC 9260, Section 5.1. It does
// the same when an association stands on the path (RFC 9260, Section 5.2.2): only a cookie that comes back
// tells whether the peer has begun anew.
func (s *stack) takeInit(p packet, on path, from netip.AddrPort, standing *association, l *Listener) {
	peer, ok := readInitiation(p.first().value())
	if p.tag() != 0 || !p.single() || !ok || peer.tag == 0 {
		s.malformed.Add(1)
		return
	}
	if !peer.valid() {
		s.malformed.Add(1)
		s.write(control(on, peer.tag, chunkAbort, 0, cause(causeInvalidParameter, nil)), from)
		return
	}
	params := readParameters(p.first().value())
	if l == nil || params.hostName {
		s.outOfTheBlue.Add(1)
		s.write(control(on, peer.tag, chunkAbort, 0, nil), from)
		return
	}
	if standing != nil && !standing.restartable(from) {
		s.wrongTag.Add(1)
		s.write(control(on, peer.tag, chunkAbort, 0, cause(causeNewPort, nil)), from)
		return
	}
	s.inits.Add(1)
	s.mu.RLock()
	st := state{made: time.Now(), path: on, local: s.initiation(s.freeTag()), peer: peer, alternates: params.alternates}
	s.mu.RUnlock()
	if standing != nil {
		st.tieLocal, st.tiePeer = standing.local.tag, standing.peerTag()
	}
	value := st.local.append(make([]byte, 0, 256))
	value = appendParameter(value, paramCookie, s.secret.sign(&st))
	value = append(value, params.unrecognized...)
	s.write(control(on, peer.tag, chunkInitAck, 0, value), from)
}

// restartable tells whether who sends from an address may begin the association anew: only from the UDP port
// that it is known at. Otherwise all who share one address with a peer could end its associations.
func (a *association) restartable(from netip.AddrPort) bool { return a.target() == from }

// takeCookie makes an association of a cookie that came back: RFC 9260, Section 5.1.5 and RFC 9260, Section 5.2.4.
func (s *stack) takeCookie(p packet, on path, from netip.AddrPort, standing *association, l *Listener) {
	st, ok := s.secret.open(p.first().value())
	if !ok || st.path != on || p.tag() != st.local.tag {
		s.badCookies.Add(1)
		return
	}
	if age := time.Since(st.made); age > cookieLife || age < 0 {
		s.badCookies.Add(1)
		staleness := binary.BigEndian.AppendUint32(nil, uint32(min(age-cookieLife, time.Hour).Microseconds()))
		s.write(control(on, st.peer.tag, chunkError, 0, cause(causeStaleCookie, staleness)), from)
		return
	}
	if standing != nil {
		// The peer began anew when it has not forgotten nothing but chosen other tags, while what stood then
		// still stands. Everything else is an old packet.
		if !standing.restartable(from) || st.tieLocal != standing.local.tag || st.tiePeer != standing.peerTag() || st.peer.tag == st.tiePeer {
			s.badCookies.Add(1)
			return
		}
		standing.end(ErrRestarted)
	}
	a := newAssociation(s, on, from, st.local)
	if !s.admit(a, l) {
		s.refused.Add(1)
		s.write(control(on, st.peer.tag, chunkAbort, 0, cause(causeNoResource, nil)), from)
		return
	}
	a.establish(st.peer, st.alternates)
	s.write(control(on, st.peer.tag, chunkCookieAck, 0, nil), from)
	if !p.single() {
		a.take(p, from) // data may come with the cookie
	}
	if !s.hand(a, l) {
		s.refused.Add(1)
		a.Abort("nobody takes it")
		return
	}
	s.accepted.Add(1)
}

// admit puts an association into the tables, if there is room there and in the listener's queue.
func (s *stack) admit(a *association, l *Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || l == nil || len(l.waiting) == cap(l.waiting) || len(s.byTag) >= s.cfg.MaxAssociations ||
		s.byPath[a.path] != nil || s.byTag[a.local.tag] != nil {
		return false
	}
	s.byPath[a.path], s.byTag[a.local.tag] = a, a
	return true
}

// hand queues an association at its listener. The lock keeps that from being closed meanwhile.
func (s *stack) hand(a *association, l *Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listeners[a.path.local] == l && l.offer(a)
}
