package load

import (
	"errors"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/ipv4"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// socket is a UDP socket of one side.
type socket struct {
	g    *Generator
	conn *net.UDPConn
	at   place
	addr netip.AddrPort
}

// Datagrams are read several at once, each into a buffer of the largest size that there is.
const (
	datagramsAtOnce = 32
	datagramRoom    = 64 << 10
	socketBuffer    = 4 << 20
)

// listenUDP opens a socket.
func (g *Generator) listenUDP(s side, at netip.AddrPort) (*socket, error) {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	_ = c.SetReadBuffer(socketBuffer) // as much as the system gives; what is lost is sent again
	_ = c.SetWriteBuffer(socketBuffer)
	addr := c.LocalAddr().(*net.UDPAddr).AddrPort()
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	return &socket{g: g, conn: c, at: newPlace(s, sipaddr.UDP, addr), addr: addr}, nil
}

// put sends a datagram, and says whether the system took it.
func (s *socket) put(msg []byte, to netip.AddrPort) bool {
	_, err := s.conn.WriteToUDPAddrPort(msg, to)
	return err == nil
}

// read takes datagrams until the socket is closed.
func (s *socket) read() {
	batch := make([]ipv4.Message, datagramsAtOnce)
	for i := range batch {
		batch[i].Buffers = [][]byte{make([]byte, datagramRoom)}
	}
	in := newInbox(s.g, &s.at)
	conn := ipv4.NewPacketConn(s.conn) // it reads IPv6 just as well
	for {
		n, err := conn.ReadBatch(batch, 0)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error for something that was sent
		}
		for i := range batch[:n] {
			from := batch[i].Addr.(*net.UDPAddr).AddrPort()
			from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
			in.take(batch[i].Buffers[0][:batch[i].N], path{socket: s, to: from})
		}
		in.handle()
	}
}

// inbox is what one read brought.
type inbox struct {
	g        *Generator
	at       *place
	messages []incoming
	out      outbox
}

type incoming struct {
	message *sip.Message
	from    path
}

func newInbox(g *Generator, at *place) *inbox { return &inbox{g: g, at: at} }

// take puts in the bytes of one message, which stay the caller's.
func (in *inbox) take(raw []byte, from path) {
	text := string(raw)
	m, err := sip.Parse(text)
	if err == nil {
		err = m.Validate()
	}
	if err != nil {
		if strings.Trim(text, "\r\n\x00") != "" { // else a keepalive
			in.g.malformed(text, err)
		}
		return
	}
	in.messages = append(in.messages, incoming{m, from})
}

// handle carries what was taken through the calls, and sends what comes of it.
func (in *inbox) handle() {
	if len(in.messages) == 0 {
		return
	}
	e := in.g.engine
	now := in.g.now()
	e.enter(&in.out)
	for i := range in.messages {
		e.receive(in.messages[i].message, in.at, in.messages[i].from, now)
	}
	e.leave()
	clear(in.messages)
	in.messages = in.messages[:0]
	in.g.send(&in.out)
}

// malformed notes what is no SIP message.
func (g *Generator) malformed(text string, err error) {
	g.engine.mu.Lock()
	defer g.engine.mu.Unlock()
	g.engine.counters.Malformed++
	g.engine.failures.note("not a SIP message", func() string { return ": " + err.Error() + quotedText(text) })
}

// send sends what an outbox holds, without any lock.
func (g *Generator) send(o *outbox) {
	if n := o.flush(); n > 0 {
		g.unsent.Add(int64(n))
	}
}
