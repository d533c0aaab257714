package siptest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/tandem-sip/tandem/sipaddr"
)

// Conn is one connection of a Peer, or a UDP socket with a far address.
type Conn struct {
	p         *Peer
	number    int // in the log
	transport sipaddr.Transport
	accepted  bool
	local     netip.AddrPort
	remote    netip.AddrPort
	raw       socket        // nil over UDP
	stream    net.Conn      // raw, or TLS over it
	socket    *net.UDPConn  // nil but over UDP
	turn      *sync.Cond    // of mu; told when stalled or parked change, and when reading is over
	ended     chan struct{} // closed when reading is over

	mu      sync.Mutex // guards the fields below
	stalled bool       // reading waits for Resume
	parked  bool       // it does
	err     error      // why reading is over
	heard   int        // bytes
}

// socket is what a connection runs over: TCP or SCTP.
type socket interface {
	net.Conn
	CloseWrite() error
}

// stream makes a Conn over TCP or SCTP.
func (p *Peer) stream(tr sipaddr.Transport, socket socket, accepted bool) *Conn {
	c := &Conn{p: p, transport: tr, accepted: accepted, raw: socket, stream: socket,
		ended:  make(chan struct{}),
		local:  socket.LocalAddr().(*net.TCPAddr).AddrPort(),
		remote: socket.RemoteAddr().(*net.TCPAddr).AddrPort()}
	c.turn = sync.NewCond(&c.mu)
	return c
}

// datagrams finds or makes the Conn for a far address of a UDP socket. Callers hold p.mu.
func (p *Peer) datagrams(socket *net.UDPConn, at, to netip.AddrPort) *Conn {
	for _, c := range p.conns {
		if c.socket == socket && c.remote == to {
			return c
		}
	}
	c := &Conn{p: p, number: len(p.conns) + 1, transport: sipaddr.UDP, socket: socket, local: at, remote: to, ended: make(chan struct{})}
	p.conns = append(p.conns, c)
	return c
}

// use puts TLS over the socket.
func (c *Conn) use(secure *tls.Conn) { c.stream = secure }

// start takes a connection into the peer and begins to read.
func (p *Peer) start(c *Conn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.raw.Close()
		return net.ErrClosed
	}
	c.number = len(p.conns) + 1
	p.conns = append(p.conns, c)
	if c.accepted {
		p.accepted = append(p.accepted, c)
	}
	p.changed()
	p.wire.add("%s %s", c, map[bool]string{false: "dialed", true: "accepted"}[c.accepted])
	p.run.Add(1)
	// Ends when the connection does, by Close at the latest, which waits.
	go func() {
		defer p.run.Done()
		c.read()
	}()
	return nil
}

// String names the connection in the log: peer, number, transport, addresses.
func (c *Conn) String() string {
	return fmt.Sprintf("%s#%d %v %v<->%v", c.p.cfg.Name, c.number, c.transport, c.local, c.remote)
}

// Transport is what the connection runs over.
func (c *Conn) Transport() sipaddr.Transport { return c.transport }

// Local is this side's address.
func (c *Conn) Local() netip.AddrPort { return c.local }

// Remote is the other side's address.
func (c *Conn) Remote() netip.AddrPort { return c.remote }

// Accepted tells whether the other side dialed.
func (c *Conn) Accepted() bool { return c.accepted }

// TLS gives the state of TLS; without TLS it is the zero value.
func (c *Conn) TLS() tls.ConnectionState {
	if secure, ok := c.stream.(*tls.Conn); ok {
		return secure.ConnectionState()
	}
	return tls.ConnectionState{}
}

// read reads messages until the connection ends.
func (c *Conn) read() {
	var buf []byte
	chunk := make([]byte, 64<<10)
	for {
		c.park()
		n, err := c.stream.Read(chunk)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil // Stall has ended this read
		}
		buf = append(buf, chunk[:n]...)
		for {
			raw, rest, ok := cutMessage(buf)
			if !ok {
				break
			}
			buf = rest
			c.p.received(c, raw)
		}
		c.mu.Lock()
		c.heard += n
		if err != nil {
			c.err = err
			c.turn.Broadcast()
		}
		c.mu.Unlock()
		if err != nil {
			break
		}
	}
	if len(buf) > 0 {
		c.p.wire.add("%s <- (no whole message)\n%q", c, buf)
	}
	c.p.wire.add("%s ended: %v", c, c.err)
	close(c.ended)
	c.p.mu.Lock()
	c.p.changed()
	c.p.mu.Unlock()
}

// readDatagrams reads a UDP socket until it is closed.
func (p *Peer) readDatagrams(socket *net.UDPConn, at netip.AddrPort) {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := socket.ReadFromUDPAddrPort(buf)
		if err != nil {
			if n == 0 && isClosed(err) {
				return
			}
			continue // such as an ICMP error for what was sent before
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		p.mu.Lock()
		c := p.datagrams(socket, at, from)
		p.mu.Unlock()
		c.mu.Lock()
		c.heard += n
		c.mu.Unlock()
		p.received(c, string(buf[:n]))
	}
}

// write sends bytes as they are.
func (c *Conn) write(b []byte) error {
	if c.socket != nil {
		_, err := c.socket.WriteToUDPAddrPort(b, c.remote)
		return err
	}
	_ = c.raw.SetWriteDeadline(time.Now().Add(c.p.cfg.Wait))
	_, err := c.stream.Write(b)
	return err
}

// TrySend sends bytes as they are; it may be called at once.
func (c *Conn) TrySend(text string) error {
	c.p.wire.add("%s ->\n%s", c, text)
	return c.write([]byte(text))
}

// Send sends bytes as they are.
func (c *Conn) Send(text string) {
	c.p.t.Helper()
	if err := c.TrySend(text); err != nil {
		c.p.fatalf("%s sends: %v", c, err)
	}
}

// SendPieces sends text in pieces, each in a write of its own (and so in a TLS record of its own), cut at
// the given offsets. There is no telling whether the other side reads them one by one.
func (c *Conn) SendPieces(text string, at ...int) {
	c.p.t.Helper()
	c.p.wire.add("%s -> (in %d pieces)\n%s", c, len(at)+1, text)
	begin := 0
	for _, end := range append(at, len(text)) {
		if err := c.write([]byte(text[begin:end])); err != nil {
			c.p.fatalf("%s sends: %v", c, err)
		}
		begin = end
	}
}

// SendBytewise sends each byte in a write of its own.
func (c *Conn) SendBytewise(text string) {
	c.p.t.Helper()
	at := make([]int, 0, len(text))
	for i := 1; i < len(text); i++ {
		at = append(at, i)
	}
	c.SendPieces(text, at...)
}

// CloseWrite says that nothing more is to come (FIN, over TLS after a close_notify alert), and goes on
// reading.
func (c *Conn) CloseWrite() {
	if secure, ok := c.stream.(*tls.Conn); ok {
		_ = secure.CloseWrite()
	}
	_ = c.raw.CloseWrite()
	c.p.wire.add("%s says that nothing more is to come", c)
}

// Close closes the connection. A UDP socket stays open.
func (c *Conn) Close() {
	if c.raw != nil {
		c.Resume()
		_ = c.raw.SetWriteDeadline(time.Now().Add(time.Second)) // for the close_notify alert
		_ = c.stream.Close()
	}
}

// Cut closes the connection under TLS without a word of TLS.
func (c *Conn) Cut() {
	c.Resume()
	_ = c.raw.Close()
}

// Reset closes the connection with a TCP reset, or an ABORT of SCTP.
func (c *Conn) Reset() {
	switch raw := c.raw.(type) {
	case *net.TCPConn:
		_ = raw.SetLinger(0)
	case interface{ abort() }:
		raw.abort()
	}
	c.Cut()
}

// Stall stops reading, so that the other side's sending jams, until Resume. When it returns nothing more is read; over SCTP
// the read that is going on may still take a message.
func (c *Conn) Stall() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stalled = true
	tcp, ok := c.raw.(*net.TCPConn)
	if !ok {
		return
	}
	_ = tcp.SetReadBuffer(4096)
	_ = tcp.SetReadDeadline(time.Unix(1, 0))
	for c.stalled && !c.parked && c.err == nil {
		c.turn.Wait()
	}
}

// Resume reads again after Stall.
func (c *Conn) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stalled {
		c.stalled = false
		_ = c.raw.SetReadDeadline(time.Time{})
		c.turn.Broadcast()
	}
}

// park waits between Stall and Resume.
func (c *Conn) park() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.stalled {
		c.parked = true
		c.turn.Broadcast()
		c.turn.Wait()
	}
	c.parked = false
}

// Heard counts the bytes that came.
func (c *Conn) Heard() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard
}

// ExpectClosed waits until the other side has ended the connection and gives the error that reading ended
// with: io.EOF for an orderly end.
func (c *Conn) ExpectClosed() error {
	c.p.t.Helper()
	timer := time.NewTimer(c.p.cfg.Wait)
	defer timer.Stop()
	select {
	case <-c.ended:
	case <-timer.C:
		c.p.fatalf("%s is still open", c)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Closed tells whether reading is over.
func (c *Conn) Closed() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}
