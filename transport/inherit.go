package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// Sockets that were open before this process began: a service manager has made them, or the process before this one
// listens on them and hands them over.

// listenTCP opens the socket of a stream listener, or takes the one that is there.
func (t *Transport) listenTCP(l Listen, network string) (*net.TCPListener, error) {
	f := t.inherited(l)
	if f == nil {
		return net.ListenTCP(network, net.TCPAddrFromAddrPort(l.Addr))
	}
	defer f.Close()
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		_ = ln.Close()
		return nil, fmt.Errorf("inherited socket is no TCP listener but %T", ln)
	}
	return tcp, nil
}

// listenUDP opens the sockets of a UDP listener, one for each event loop, or takes those that are there: all of them,
// however many loops there are, for what comes to one that nobody reads is lost. It adds none to them, because whatever
// comes to one of this process alone would be lost if another one had to go on in its place.
func (t *Transport) listenUDP(l Listen, network string) (conns []*net.UDPConn, err error) {
	for f := t.inherited(l); f != nil; f = t.inherited(l) {
		c, err := takeUDP(f)
		if err != nil {
			for _, c := range conns {
				_ = c.Close()
			}
			return nil, err
		}
		if conns = append(conns, c); l.Addr.Port() == 0 {
			break // another one may be another listener's
		}
	}
	if len(conns) > 0 {
		return conns, nil
	}
	// The first is bound as the only one with its address: a second process is refused.
	c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(l.Addr))
	if err != nil {
		return nil, err
	}
	if conns = append(conns, c); l.Addr.Port() == 0 {
		return conns, nil // it would be handed over as another listener's
	}
	return append(conns, t.alongside(c, network)...), nil
}

// takeUDP makes a socket of an inherited descriptor.
func takeUDP(f *os.File) (*net.UDPConn, error) {
	defer f.Close()
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil, err
	}
	udp, ok := c.(*net.UDPConn)
	if !ok {
		_ = c.Close()
		return nil, fmt.Errorf("inherited socket is no UDP socket but %T", c)
	}
	return udp, nil
}

func (t *Transport) inherited(l Listen) *os.File {
	if t.cfg.Inherit == nil {
		return nil
	}
	return t.cfg.Inherit(l)
}

// Socket is a listening socket as another process may inherit it.
type Socket struct {
	Listen Listen // as Config.Listen has it
	FD     int    // a duplicate, which is not inherited by itself; whoever asked for it closes it
}

// ErrNotInherited says that a listener cannot be handed over: the associations of SCTP live in the process that made
// them, and so does the socket that their packets come to.
var ErrNotInherited = errors.New("transport: a listener for SCTP cannot be handed over to another process")

// past is a deadline that ends whatever waits.
var past = time.Unix(1, 0)

// pause is how the listeners stand still, and go on.
type pause struct {
	over chan struct{} // closed when they go on
}

// Pause stops accepting connections and reading datagrams: what comes from now on waits in the system, for this
// process or for another that has the sockets too. All else goes on, and datagrams are sent as before. Resume ends it.
func (t *Transport) Pause() {
	p := &pause{over: make(chan struct{})}
	if !t.paused.CompareAndSwap(nil, p) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.listeners {
		if l.tcp != nil {
			_ = l.tcp.SetDeadline(past)
		}
	}
	for _, s := range t.sockets {
		s.pause()
	}
}

// Resume accepts connections and reads datagrams again.
func (t *Transport) Resume() {
	p := t.paused.Load()
	if p == nil || !t.paused.CompareAndSwap(p, nil) {
		return
	}
	t.mu.Lock()
	for _, l := range t.listeners {
		if l.tcp != nil {
			_ = l.tcp.SetDeadline(time.Time{})
		}
	}
	for _, s := range t.sockets {
		s.resume()
	}
	t.mu.Unlock()
	close(p.over)
}

// waitPaused waits while the listeners stand still. It reports false when the transport was closed meanwhile.
func (t *Transport) waitPaused() bool {
	p := t.paused.Load()
	if p == nil {
		return true
	}
	select {
	case <-p.over:
		return true
	case <-t.quit:
		return false
	}
}

// Divert has f asked about each datagram that holds a message, from now on; when it returns true the datagram is
// its own. f must not block, may keep neither of the slices, and is called from the goroutine of the socket. Nil: nobody is asked.
func (t *Transport) Divert(f func(d Packet) bool) {
	if f == nil {
		t.divert.Store(nil)
		return
	}
	t.divert.Store(&f)
}

// Inject handles a datagram as though it had just been read, without asking whom Divert named. It reports false when
// there is no socket with its local address.
func (t *Transport) Inject(d Packet) bool {
	t.mu.Lock()
	sockets := t.sockets
	t.mu.Unlock()
	for _, s := range sockets {
		if s.ep.listen == d.Local {
			s.inject(d)
			return true
		}
	}
	return false
}

// Packet is a datagram that was read, and came to the socket with the local address.
type Packet struct {
	Bytes       []byte // not to be kept
	From, Local netip.AddrPort
	// Message is what is in Bytes, and Source where it came from. Inject makes its own.
	Message *sip.Message
	Source  *Source
}

// HandOver says that another process has the listeners from now on, and begins to close the accepted connections, as
// BeginClose does. It returns when none is left, or ctx is done. A connection that is being closed then holds back, for short
// times, new requests of peers that know connection reuse, so that there comes a moment in which nothing is
// outstanding on it. What is held back when it closes was not begun, and the peer sends it again over the next connection:
// RFC 5923, Section 8.3.
func (t *Transport) HandOver(ctx context.Context) error {
	t.handing.Store(true)
	return t.drainThose(ctx, true)
}

// inject handles a datagram that was read elsewhere. The caller reads nothing from s itself.
func (s *udpSocket) inject(d Packet) {
	src := s.newSource(d.From)
	m, err := sip.Parse(string(d.Bytes))
	if err != nil {
		return // whoever read it could parse it
	}
	if m.IsRequest() {
		m.SetReceived(d.From.Addr(), d.From.Port())
	}
	s.message(m, src)
}
