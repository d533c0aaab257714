package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/tandem-sip/tandem/sctp"
	"github.com/tandem-sip/tandem/sipaddr"
)

// listener takes connections of one side: over TCP, or over SCTP.
type listener struct {
	at   place
	tcp  net.Listener
	sctp *sctp.Listener
}

// listen opens one place of a side. Callers over TCP, SCTP and TLS listen as well, for requests that come to them over a
// connection of their own; without a certificate nobody can dial them.
func (g *Generator) listen(s side, at Endpoint) error {
	if at.Transport == sipaddr.UDP {
		u, err := g.listenUDP(s, at.Addr)
		if err == nil {
			g.sockets = append(g.sockets, u)
		}
		return err
	}
	l, addr, err := g.openListener(at)
	if err != nil {
		return err
	}
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if s == callerSide {
		g.bind = addr
	}
	l.at = newPlace(s, at.Transport, addr)
	g.listeners = append(g.listeners, l)
	return nil
}

// openListener opens a listener, and returns its address.
func (g *Generator) openListener(at Endpoint) (*listener, netip.AddrPort, error) {
	if at.Transport.OverSCTP() {
		p, err := g.speaks(at.Addr.Addr())
		if err != nil {
			return nil, netip.AddrPort{}, err
		}
		l, err := p.Listen(at.Addr.Port())
		if err != nil {
			return nil, netip.AddrPort{}, err
		}
		return &listener{sctp: l}, netip.AddrPortFrom(at.Addr.Addr(), l.Addr().Port()), nil
	}
	l, err := net.Listen("tcp", at.Addr.String())
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	return &listener{tcp: l}, l.Addr().(*net.TCPAddr).AddrPort(), nil
}

// take waits for a connection, and returns where it comes from.
func (l *listener) take() (*conn, netip.AddrPort, error) {
	if l.sctp != nil {
		a, err := l.sctp.Accept(context.Background())
		if err != nil {
			return nil, netip.AddrPort{}, err
		}
		c := newConn(nil)
		c.messages = a
		return c, a.RemoteAddr(), nil
	}
	nc, err := l.tcp.Accept()
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	return newConn(nc), nc.RemoteAddr().(*net.TCPAddr).AddrPort(), nil
}

func (l *listener) close() {
	if l.sctp != nil {
		_ = l.sctp.Close()
		return
	}
	_ = l.tcp.Close()
}

// accept takes connections until the listener is closed.
func (g *Generator) accept(l *listener) {
	for {
		c, from, err := l.take()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // such as too many open files
			continue
		}
		if !g.keep(c) {
			return
		}
		g.count(func(n *Counters) { n.ConnectionsTaken++ })
		// Ends when the connection does.
		g.running.Go(func() {
			defer g.drop(c)
			if l.at.transport.Secure() && len(g.cfg.Certificates) > 0 {
				if err := g.shake(c); err != nil {
					c.end()
					g.noConnection(fmt.Errorf("accepted from %v: %w", from, err))
					return
				}
			}
			g.carry(c, &l.at)
		})
	}
}

// shake takes the handshake of TLS of who has dialed. Over SCTP that side chooses the stream: RFC 3436, Section 5.
func (g *Generator) shake(c *conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	over := c.conn
	if over == nil {
		s, err := c.messages.AcceptStream(ctx)
		if err != nil {
			return err
		}
		over = associated{s, c.messages}
	}
	t := tls.Server(over, g.serverTLS())
	c.mu.Lock()
	c.conn = t
	ended := c.closed
	c.mu.Unlock()
	if ended {
		return net.ErrClosed
	}
	return t.HandshakeContext(ctx)
}
