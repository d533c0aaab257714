package load

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/tandem-sip/tandem/framing"
	"github.com/tandem-sip/tandem/sctp"
)

// conn is a connection over TCP, with or without TLS, or an association of SCTP. One goroutine reads it, another writes
// all that was put into its queue meanwhile at once.
type conn struct {
	conn     net.Conn         // nil: messages are read and written, and no bytes
	messages sctp.Association // without TLS
	wake     chan struct{}    // has one place
	done     chan struct{}    // closed when reading is over

	mu     sync.Mutex // mu guards the fields below, and the connection while it is not carried yet
	queue  []byte
	ends   []int // of the messages in the queue
	spare  []byte
	spared []int
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
	c.ends = append(c.ends, len(c.queue))
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
		out, ends := c.queue, c.ends
		c.queue, c.ends, c.spare, c.spared = c.spare[:0], c.spared[:0], nil, nil
		c.mu.Unlock()
		if len(out) > 0 {
			if err := c.send(out, ends); err != nil {
				c.end() // reading then ends as well
				return
			}
		}
		c.mu.Lock()
		c.spare, c.spared = out[:0], ends[:0]
		c.mu.Unlock()
	}
}

// send writes messages, which end where ends says.
func (c *conn) send(out []byte, ends []int) error {
	if c.conn == nil {
		return sendMessages(c.messages, out, ends)
	}
	_, err := c.conn.Write(out)
	return err
}

// end closes the connection.
func (c *conn) end() {
	c.mu.Lock()
	c.closed = true
	over, messages := c.conn, c.messages
	c.mu.Unlock()
	switch {
	case over != nil:
		_ = over.Close()
	case messages != nil:
		_ = shutDown(messages) // it has ended, one way or another
	}
}

// carry reads the connection until it ends, and has it written meanwhile.
func (g *Generator) carry(c *conn, at *place) {
	var writer sync.WaitGroup
	// Ends when the connection does.
	writer.Go(c.write)
	defer writer.Wait()
	defer close(c.done)
	defer c.end()
	in := newInbox(g, at)
	if c.conn == nil {
		c.carryMessages(in)
		return
	}
	var decoder framing.Decoder
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
				c.put([]byte(pong))
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
	c, err := g.dialPlain(ctx)
	if err != nil || !g.cfg.Target.Transport.Secure() {
		return c, err
	}
	t := tls.Client(c.conn, g.clientTLS(number))
	if err := t.HandshakeContext(ctx); err != nil {
		c.end()
		return nil, err
	}
	c.conn = t
	return c, nil
}

// dialPlain opens a connection to the target without TLS.
func (g *Generator) dialPlain(ctx context.Context) (*conn, error) {
	if g.cfg.Target.Transport.OverSCTP() {
		return g.dialAssociation(ctx)
	}
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(g.bind.Addr(), 0)), Control: dialControl}
	c, err := d.DialContext(ctx, "tcp", g.cfg.Target.Addr.String())
	if err != nil {
		return nil, err
	}
	return newConn(c), nil
}
