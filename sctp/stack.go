package sctp

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Ports that are given to dials and to listeners that name none: RFC 6335, Section 6.
const (
	firstFreePort = 49152
	freePorts     = 65536 - firstFreePort
)

// path is which peer and ports an association is between. There is one association to a path.
type path struct {
	peer          netip.Addr // the peer's first address
	local, remote uint16     // SCTP ports
}

// stack is SCTP in userland: one socket, with its associations and listeners.
type stack struct {
	cfg    Config
	socket socket
	secret *secret
	counters
	closed chan struct{}
	wg     sync.WaitGroup // the two goroutines

	// mu guards the fields below.
	mu        sync.RWMutex
	byPath    map[path]*association
	byTag     map[uint32]*association // by the verification tag that the peer is to use
	listeners map[uint16]*Listener
	ended     bool
}

// openStack opens the socket of a provider and begins to read it.
func openStack(c Config) (Provider, error) {
	if c.PeerUDPPort == 0 {
		c.PeerUDPPort = udpPort
	}
	sock, err := openSocket(&c)
	if err != nil {
		return nil, err
	}
	return newStack(c, sock), nil
}

// newStack begins to read a socket.
func newStack(c Config, sock socket) *stack {
	s := &stack{
		cfg: c, socket: sock, secret: newSecret(), closed: make(chan struct{}),
		byPath: make(map[path]*association), byTag: make(map[uint32]*association), listeners: make(map[uint16]*Listener),
	}
	s.wg.Add(2)
	// Ends when the socket is closed.
	go s.run()
	// Ends when the provider is closed.
	go s.watch()
	return s
}

// Kind is UDP or Raw.
func (s *stack) Kind() Kind { return s.cfg.Kind }

// Stats implements Provider.
func (s *stack) Stats() Stats {
	s.mu.RLock()
	n := len(s.byPath)
	s.mu.RUnlock()
	return s.stats(n - int(s.dialing.Load()))
}

// Listen implements Provider.
func (s *stack) Listen(port uint16) (*Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, fmt.Errorf("sctp: listen: %w", net.ErrClosed)
	}
	for i := 0; port == 0 && i < freePorts; i++ {
		if p := uint16(firstFreePort + mathrand.N(freePorts)); s.listeners[p] == nil {
			port = p
		}
	}
	if s.listeners[port] != nil || port == 0 {
		return nil, fmt.Errorf("sctp: port %d is in use", port)
	}
	l := newListener(netip.AddrPortFrom(s.socket.local().Addr(), port), s.cfg.Backlog, func() {
		s.mu.Lock()
		delete(s.listeners, port)
		s.mu.Unlock()
	})
	s.listeners[port] = l
	return l, nil
}

// Close implements Provider.
func (s *stack) Close() error {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return nil
	}
	s.ended = true
	var left []*association
	for _, a := range s.byTag {
		left = append(left, a)
	}
	var listeners []*Listener
	for _, l := range s.listeners {
		listeners = append(listeners, l)
	}
	s.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close() // it never fails
	}
	for _, a := range left {
		a.Abort("closed")
	}
	close(s.closed)
	err := s.socket.close()
	s.wg.Wait()
	return err
}

// run reads the socket.
func (s *stack) run() {
	defer s.wg.Done()
	buf := make([]byte, maxPacket)
	for {
		n, from, err := s.socket.read(buf)
		switch {
		case err == nil:
			s.take(buf[:n], from)
		case errors.Is(err, net.ErrClosed):
			return
		default: // what the system reports of other packets; not so often that it would keep us busy
			select {
			case <-s.closed:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}
}

// write sends a packet. One that the system does not send is as good as lost on the way.
func (s *stack) write(p packet, to netip.AddrPort) {
	if err := s.socket.write(p, to); err != nil {
		s.writeFailures.Add(1)
	}
}

// take sorts a packet that came: RFC 9260, Section 8.5. The buffer is the caller's again when it returns.
func (s *stack) take(b []byte, from netip.AddrPort) {
	p, err := parse(b)
	if err != nil {
		s.malformed.Add(1)
		return
	}
	on := path{from.Addr(), p.destinationPort(), p.sourcePort()}
	first := p.first()
	s.mu.RLock()
	byTag, byPath, l := s.byTag[p.tag()], s.byPath[on], s.listeners[on.local]
	s.mu.RUnlock()
	reflected := (first.kind() == chunkAbort || first.kind() == chunkShutdownComplete) && first.flags()&flagTag != 0
	switch {
	case first.kind() == chunkInit:
		s.takeInit(p, on, from, byPath, l)
	case reflected && byPath != nil:
		if byPath.peerTag() != p.tag() {
			s.wrongTag.Add(1)
			return
		}
		byPath.take(p, from)
	case p.tag() != 0 && !reflected && byTag != nil && byTag.covers(on):
		if byTag != byPath {
			s.otherAddress.Add(1)
		}
		byTag.take(p, from)
	case first.kind() == chunkCookieEcho:
		s.takeCookie(p, on, from, byPath, l)
	case byPath != nil:
		s.wrongTag.Add(1)
	default:
		s.takeBlue(p, on, from)
	}
}

// takeBlue answers a packet of no association: RFC 9260, Section 8.4. No answer is longer than what it answers.
func (s *stack) takeBlue(p packet, on path, from netip.AddrPort) {
	s.outOfTheBlue.Add(1)
	for _, c := range p.chunks() {
		switch c.kind() {
		case chunkAbort, chunkShutdownComplete, chunkCookieAck, chunkInitAck:
			return
		case chunkError:
			return
		}
	}
	if p.first().kind() == chunkShutdownAck {
		s.write(control(on, p.tag(), chunkShutdownComplete, flagTag, nil), from)
		return
	}
	s.write(control(on, p.tag(), chunkAbort, flagTag, nil), from)
}

// freeTag is a verification tag that nobody uses; mu is held.
func (s *stack) freeTag() uint32 {
	for {
		var b [4]byte
		_, _ = rand.Read(b[:]) // it never fails: Go ends the process first
		if tag := binary.BigEndian.Uint32(b[:]); tag != 0 && s.byTag[tag] == nil {
			return tag
		}
	}
}

// initiation is what this side says of itself, with a tag and a sequence number of this association's own.
func (s *stack) initiation(tag uint32) initiation {
	return initiation{
		tag: tag, tsn: mathrand.Uint32(), window: uint32(s.cfg.ReceiveBuffer),
		streamsOut: uint16(s.cfg.Streams), streamsIn: uint16(s.cfg.Streams),
	}
}

// forget takes an association out of the tables.
func (s *stack) forget(a *association) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byPath[a.path] == a {
		delete(s.byPath, a.path)
	}
	if s.byTag[a.local.tag] == a {
		delete(s.byTag, a.local.tag)
	}
}
