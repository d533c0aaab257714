package sctp

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"time"
)

// Dial implements Provider. It is the handshake of RFC 9260, Section 5.1 from the side that begins.
func (s *stack) Dial(ctx context.Context, peer netip.AddrPort, udpPort uint16) (Association, error) {
	if udpPort == 0 {
		udpPort = uint16(s.cfg.PeerUDPPort)
	}
	if s.cfg.Kind == Raw {
		udpPort = 0
	}
	peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	if !peer.IsValid() || peer.Port() == 0 {
		return nil, fmt.Errorf("sctp: dial %v: no address to dial", peer)
	}
	a, err := s.reserve(peer, netip.AddrPortFrom(peer.Addr(), udpPort))
	if err != nil {
		return nil, fmt.Errorf("sctp: dial %v: %w", peer, err)
	}
	defer s.dialing.Add(-1)
	if err := a.shake(ctx); err != nil {
		a.end(err)
		return nil, fmt.Errorf("sctp: dial %v: %w", peer, err)
	}
	s.dialed.Add(1)
	return a, nil
}

// reserve makes an association from a free port.
func (s *stack) reserve(peer, to netip.AddrPort) (*association, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, net.ErrClosed
	}
	if len(s.byTag) >= s.cfg.MaxAssociations {
		return nil, ErrFull
	}
	on := path{peer: peer.Addr(), remote: peer.Port()}
	begin := mathrand.N(freePorts)
	for i := range freePorts {
		on.local = uint16(firstFreePort + (begin+i)%freePorts)
		if s.byPath[on] == nil && s.listeners[on.local] == nil {
			a := newAssociation(s, on, to, s.initiation(s.freeTag()))
			s.byPath[on], s.byTag[a.local.tag] = a, a
			s.dialing.Add(1)
			return a, nil
		}
	}
	return nil, ErrFull
}

// shake sends INIT, and then the cookie, until each is answered.
func (a *association) shake(ctx context.Context) error {
	wait := a.stack.cfg.RTOInitial
	timer := time.NewTimer(wait)
	defer timer.Stop()
	sent := cookieWait
	for attempt := 0; ; {
		a.mu.Lock()
		now, tag, cookie, to := a.phase, a.peer.tag, a.cookie, a.to
		a.mu.Unlock()
		if now != sent {
			sent, attempt, wait = now, 0, a.stack.cfg.RTOInitial
		}
		switch now {
		case established:
			return nil
		case cookieWait:
			a.stack.write(control(a.path, 0, chunkInit, 0, a.local.append(nil)), to)
		case cookieEchoed:
			a.stack.write(control(a.path, tag, chunkCookieEcho, 0, cookie), to)
		}
		timer.Reset(wait)
		select {
		case <-a.progress:
		case <-timer.C:
			wait = min(2*wait, a.stack.cfg.RTOMax)
			if attempt++; attempt > a.stack.cfg.InitAttempts {
				return ErrLost
			}
		case <-a.done:
			return a.Err()
		case <-ctx.Done():
			a.abort(ctx.Err(), causeUserAbort, "")
			return ctx.Err()
		}
	}
}

// takeHandshake handles a packet of an association that is being dialed. It tells whether that is established
// now, and so the rest of the packet may be handled.
func (a *association) takeHandshake(p packet) bool {
	a.mu.Lock()
	now, peer, alternates := a.phase, a.peer, a.alternates
	a.mu.Unlock()
	first := p.first()
	switch {
	case first.kind() == chunkAbort:
		a.end(ErrRefused)
		return false
	case first.kind() == chunkInitAck && now == cookieWait && p.single():
		peer, ok := readInitiation(first.value())
		if !ok || !peer.valid() {
			a.stack.malformed.Add(1)
			return false
		}
		params := readParameters(first.value())
		if params.cookie == nil || params.hostName {
			a.stack.malformed.Add(1)
			return false
		}
		a.mu.Lock()
		a.peer, a.alternates, a.phase = peer, params.alternates, cookieEchoed
		a.cookie = append([]byte(nil), params.cookie...)
		a.mu.Unlock()
	case first.kind() == chunkCookieAck && now == cookieEchoed:
		a.establish(peer, alternates)
	default:
		return false
	}
	select {
	case a.progress <- struct{}{}:
	default:
	}
	return first.kind() == chunkCookieAck
}
