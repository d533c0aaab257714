package load

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/tandem-sip/tandem/framing"
	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sipaddr"
)

// conn is a connection over TCP, with or without TLS. One goroutine reads it, another writes all that was put
// into its queue meanwhile at once.
type conn struct {
	conn net.Conn
	wake chan struct{} // has one place
	done chan struct{} // closed when reading is over

	mu     sync.Mutex // mu guards the fields below
	queue  []byte
	spare  []byte
	closed bool
}

// queueRoom is how many bytes a connection that is not read holds back before the rest is lost.
const queueRoom = 8 << 20

func newConn(c net.Conn) *conn {
	return &conn{conn: c, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// put queues a message, and says whether there was room. It is written once the writer is roused.
func (c *conn) put(msg []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.queue)+len(msg) > queueRoom {
		return false
	}
	c.queue = append(c.queue, msg...)
	return true
}

// rouse has what is queued written.
func (c *conn) rouse() {
	select {
	case c.wake <- struct{}{}:
	default: // it is to be woken already
	}
}

// write writes what is queued until the connection ends.
func (c *conn) write() {
	for {
		select {
		case <-c.wake:
		case <-c.done:
			return
		}
		c.mu.Lock()
		out := c.queue
		c.queue, c.spare = c.spare[:0], nil
		c.mu.Unlock()
		if len(out) > 0 {
			if _, err := c.conn.Write(out); err != nil {
				_ = c.conn.Close() // reading then ends as well
				return
			}
		}
		c.mu.Lock()
		c.spare = out[:0]
		c.mu.Unlock()
	}
}

// end closes the connection.
func (c *conn) end() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	_ = c.conn.Close()
}

// carry reads the connection until it ends, and has it written meanwhile.
func (g *Generator) carry(c *conn, at *place) {
	var writer sync.WaitGroup
	// Ends when the connection does.
	writer.Go(c.write)
	defer writer.Wait()
	defer close(c.done)
	defer c.end()
	var decoder framing.Decoder
	in := newInbox(g, at)
	buf := make([]byte, 0, 32<<10)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := c.conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		used := 0
		for {
			kind, size, bad := decoder.Next(buf[used:])
			if bad != nil {
				g.malformed(string(buf[used:]), bad)
				return
			}
			if kind == framing.More {
				break
			}
			switch kind {
			case framing.Message:
				in.take(buf[used:used+size], path{conn: c})
			case framing.Ping:
				c.put([]byte("\r\n")) // RFC 5626, Section 3.5.1
				c.rouse()
			}
			used += size
		}
		in.handle()
		buf = buf[:copy(buf, buf[used:])]
		if err != nil {
			return
		}
	}
}

// How long a dial with its handshake may take, how long to wait before the next, and how many are under way at once
// before load is offered.
const (
	dialTimeout = 20 * time.Second
	redialAfter = 500 * time.Millisecond
	dialsAtOnce = 32
)

// dial opens a connection to the target; number says which certificate is shown.
func (g *Generator) dial(ctx context.Context, number int) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(g.bind.Addr(), 0)), Control: dialControl}
	c, err := d.DialContext(ctx, "tcp", g.cfg.Target.Addr.String())
	if err != nil {
		return nil, err
	}
	if g.cfg.Target.Transport != sipaddr.TLS {
		return newConn(c), nil
	}
	t := tls.Client(c, g.clientTLS(number))
	if err := t.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return newConn(t), nil
}

// clientTLS is how the target is spoken to over the connection of that number.
func (g *Generator) clientTLS(number int) *tls.Config {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, // RFC 9325, Section 3.1.1
		ServerName: g.cfg.ServerName,
		// VerifyConnection below does what this leaves out: crypto/tls knows no SIP identities.
		InsecureSkipVerify: true,
	}
	if n := len(g.cfg.Certificates); n > 0 {
		cfg.Certificates = g.cfg.Certificates[number%n : number%n+1]
	}
	if !g.cfg.Insecure {
		cfg.VerifyConnection = func(cs tls.ConnectionState) error {
			_, err := g.verifier.VerifyConnection(cs, identity.Server, g.cfg.ServerName)
			return err
		}
	}
	return cfg
}

// serverTLS is how those who dial are answered.
func (g *Generator) serverTLS() *tls.Config {
	cfg := &tls.Config{
		MinVersion:   tls.VersionTLS12, // RFC 9325, Section 3.1.1
		Certificates: g.cfg.Certificates[:1],
		ClientAuth:   tls.RequestClientCert,
	}
	if !g.cfg.Insecure {
		cfg.ClientAuth = tls.RequireAnyClientCert
		cfg.VerifyConnection = func(cs tls.ConnectionState) error {
			_, err := g.verifier.VerifyConnection(cs, identity.Client, "")
			return err
		}
	}
	return cfg
}

// newVerifier returns what judges certificates; nil when any is taken.
func newVerifier(roots []*x509.Certificate, insecure bool) (*identity.Verifier, error) {
	if insecure || len(roots) == 0 {
		return nil, nil
	}
	return identity.NewVerifier(identity.Policy{Roots: roots})
}
