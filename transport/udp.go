package transport

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// maxDatagram is what a UDP datagram can carry over IPv4: RFC 3261, Section 18.1.1.
const maxDatagram = 65535 - 20 - 8

// udpSocket is the socket of a UDP listener, or one of several with the same address: with several event loops each reads
// one of its own. Datagrams are sent from the goroutine that has something to send, or by the loop at the end of its turn.
type udpSocket struct {
	t     *Transport
	index int // in Config.Listen
	place int // in group
	conn  *net.UDPConn
	own   descriptor // the socket, while a loop carries it
	out   *outgoing  // datagrams that a loop is about to send; nil without one
	gone  chan struct{}
	ep    *endpoint
	group []*udpSocket // all sockets of the listener; the first stands for them in a Flow

	generation atomic.Uint64 // raised by Update: judgements made before are old

	// The fields below are owned by the goroutine that reads.
	gather *gathering
	recent [256]*Source // of source addresses seen lately, by hash
	seen   uint64       // the generation of recent
}

func (t *Transport) listenUDPLocked(i int, l Listen) error {
	network := "udp4"
	if l.Addr.Addr().Is6() && !l.Addr.Addr().Is4In6() {
		network = "udp6"
	}
	conns, err := t.listenUDP(l, network)
	if err != nil {
		return err
	}
	local := conns[0].LocalAddr().(*net.UDPAddr).AddrPort()
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	ep := plainEndpoint(sipaddr.UDP, local, t.plainHost(local))
	t.addEndpointLocked(ep)
	group := make([]*udpSocket, len(conns))
	for k, conn := range conns {
		// The system may give less; that costs datagrams under load and nothing else.
		_ = conn.SetReadBuffer(t.cfg.SocketBuffer)
		_ = conn.SetWriteBuffer(t.cfg.SocketBuffer)
		if raw, err := conn.SyscallConn(); err == nil {
			_ = noBroadcast(raw)
		}
		group[k] = &udpSocket{t: t, index: i, place: k, conn: conn, gone: make(chan struct{}), ep: ep, group: group}
	}
	t.sockets = append(t.sockets, group...)
	return nil
}

// readLoop reads datagrams until the socket is closed.
func (s *udpSocket) readLoop() {
	defer s.t.wg.Done()
	if s.carry() {
		return
	}
	buf := make([]byte, 64<<10)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) && !s.t.waitPaused() {
				return
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				s.t.count.datagramErrs.Add(1) // an ICMP error for something that was sent
			}
			continue
		}
		s.datagram(buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
	}
}

// datagram handles one datagram. It is all that a reader which reads several at once would call.
func (s *udpSocket) datagram(b []byte, from netip.AddrPort) {
	t := s.t
	t.count.datagramsIn.Add(1)
	if isKeepAlive(b) {
		return // not for UDP, and not answered: RFC 5626, Section 4.4.1
	}
	if !sendable(from) {
		t.count.malformed.Add(1) // nobody could be answered
		return
	}
	src := s.source(from)
	m, err := sip.ParseBytes(b)
	if m != nil && m.IsRequest() {
		m.SetReceived(from.Addr(), from.Port())
	}
	if err != nil {
		t.malformed(m, err, src)
		return
	}
	if divert := t.divert.Load(); divert != nil && (*divert)(Packet{Bytes: b, From: from, Local: s.ep.listen, Message: m, Source: src}) {
		m.Release()
		return
	}
	s.message(m, src)
}

// message gives a message to the handler.
func (s *udpSocket) message(m *sip.Message, src *Source) {
	t := s.t
	if !m.IsRequest() && !t.expected(m, s.ep) {
		m.Release()
		return
	}
	t.count.messagesIn.Add(1)
	t.protect(func() { t.cfg.Handler.Message(m, src) })
}

// source returns the Source of an address. It is made anew only when another one with the same
// hash came in between.
func (s *udpSocket) source(from netip.AddrPort) *Source {
	if g := s.generation.Load(); g != s.seen {
		s.seen = g
		clear(s.recent[:])
	}
	slot := &s.recent[hashOf(from)%uint32(len(s.recent))]
	if src := *slot; src != nil && src.Remote == from {
		return src
	}
	src := s.newSource(from)
	*slot = src
	return src
}

// hashOf returns a number of an address, whose lowest bits differ from those of others.
func hashOf(a netip.AddrPort) uint32 {
	h := uint32(a.Port())
	for _, x := range a.Addr().As16() {
		h = h*31 + uint32(x)
	}
	return h ^ h>>8 ^ h>>16
}

// newSource makes the Source of an address.
func (s *udpSocket) newSource(from netip.AddrPort) *Source {
	src := &Source{
		Flow:      Flow{sock: s.group[0], to: from},
		Remote:    from,
		Local:     s.ep.listen,
		Transport: sipaddr.UDP,
	}
	if s.t.cfg.Judge != nil {
		src.User = s.t.cfg.Judge(ConnInfo{Transport: sipaddr.UDP, Remote: from, Local: s.ep.listen})
	}
	return src
}

// send sends one datagram.
func (s *udpSocket) send(b []byte, to netip.AddrPort) error {
	switch {
	case len(b) > maxDatagram:
		return ErrTooLarge
	case !sendable(to):
		return ErrBadAddress
	}
	err := s.write(b, to)
	switch {
	case errors.Is(err, net.ErrClosed):
		return ErrClosed
	case errors.Is(err, syscall.EMSGSIZE):
		return ErrTooLarge
	}
	return err
}

// writeBlocking sends one datagram by Go's own means, when no loop carries the socket.
func (s *udpSocket) writeBlocking(b []byte, to netip.AddrPort) error {
	_, err := s.conn.WriteToUDPAddrPort(b, to)
	if err != nil {
		s.t.count.datagramErrs.Add(1)
		return err
	}
	s.t.count.datagramsOut.Add(1)
	return nil
}

// close sends what waits and closes the socket, whoever waits for it.
func (s *udpSocket) close() {
	s.flush()
	s.own.quit() // what another process has too, a loop would else be told of for ever
	if !s.own.close() {
		_ = s.conn.Close()
	}
}

// isKeepAlive reports whether b is nothing but line ends and zeros, as some send to keep a NAT open.
func isKeepAlive(b []byte) bool {
	return len(b) < 64 && strings.Trim(string(b), "\r\n\x00") == ""
}

// sendable reports whether a can be somebody's: not unspecified, broadcast or multicast.
func sendable(a netip.AddrPort) bool {
	ip := a.Addr()
	return ip.IsValid() && a.Port() != 0 && !ip.IsUnspecified() && !ip.IsMulticast() &&
		ip != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
