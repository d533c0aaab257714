package transport

// SIP over SCTP (RFC 4168) and TLS over SCTP (RFC 3436). A connection over SCTP is an association. Without TLS each
// message is a message of SCTP; with TLS a stream of the association is to TLS what a TCP connection is.

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/tandem-sip/tandem/sctp"
)

// association is the SCTP association of a connection.
type association struct {
	sctp.Association
	kind    sctp.Kind     // who speaks SCTP
	longest int           // bytes of a message
	grace   time.Duration // how long the peer has to agree to the end
	once    sync.Once
}

// close shuts the association down, and waits until the peer has agreed or its time is over.
func (a *association) close() {
	a.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), a.grace)
		defer cancel()
		_ = a.Shutdown(ctx) // the association has ended, one way or another
	})
}

// gone reports whether nothing can be carried any more.
func (a *association) gone() bool { return a.Err() != nil }

// medium is what a stream runs over when that is not TCP.
type medium interface {
	net.Conn
	association() *association
	// CloseWrite says that nothing more will be written, as far as SCTP has words for it.
	CloseWrite() error
}

// whole is the medium of a connection without TLS. Whole messages are read by Conn.readMessages and written by
// Conn.writeMessages, so nothing goes through it but the end.
type whole struct{ a *association }

func (w whole) association() *association        { return w.a }
func (w whole) Read([]byte) (int, error)         { return 0, errNoData }
func (w whole) Write([]byte) (int, error)        { return 0, ErrClosed }
func (w whole) LocalAddr() net.Addr              { return net.TCPAddrFromAddrPort(w.a.LocalAddr()) }
func (w whole) RemoteAddr() net.Addr             { return net.TCPAddrFromAddrPort(w.a.RemoteAddr()) }
func (w whole) SetDeadline(time.Time) error      { return nil }
func (w whole) SetReadDeadline(time.Time) error  { return nil }
func (w whole) SetWriteDeadline(time.Time) error { return nil }

// Close shuts the association down.
func (w whole) Close() error {
	w.a.close()
	return nil
}

// CloseWrite shuts the association down, which ends both directions: RFC 9260, Section 9.2.
func (w whole) CloseWrite() error { return w.Close() }

// bidirectional is the medium of TLS: one stream in each direction, RFC 3436, Section 5.
type bidirectional struct {
	*sctp.Stream
	a *association
}

func (b bidirectional) association() *association { return b.a }

// CloseWrite leaves it at the closure alert: a stream of SCTP has no end of its own, and after the shutdown of the
// association the peer's closure alert could not come.
func (b bidirectional) CloseWrite() error { return nil }

// Close shuts the whole association down.
func (b bidirectional) Close() error {
	b.a.close()
	return nil
}

// newAssociation makes an association ready for a connection.
func (t *Transport) newAssociation(a sctp.Association, kind sctp.Kind) *association {
	return &association{Association: a, kind: kind, longest: t.cfg.SCTP.MaxMessage, grace: t.cfg.CloseTimeout}
}

// streamOver makes a stream over SCTP.
func (t *Transport) streamOver(m medium) *stream {
	return &stream{over: m, writeTimeout: t.cfg.WriteTimeout}
}

// below returns what the stream runs over.
func (s *stream) below() net.Conn {
	if s.over != nil {
		return s.over
	}
	return s.TCPConn
}

// LocalAddr returns the local address.
func (s *stream) LocalAddr() net.Addr { return s.below().LocalAddr() }

// RemoteAddr returns the address at the far end.
func (s *stream) RemoteAddr() net.Addr { return s.below().RemoteAddr() }

// SetDeadline sets both deadlines.
func (s *stream) SetDeadline(t time.Time) error { return s.below().SetDeadline(t) }

// SetWriteDeadline sets until when writing waits.
func (s *stream) SetWriteDeadline(t time.Time) error { return s.below().SetWriteDeadline(t) }

// CloseWrite says that nothing more will be written.
func (s *stream) CloseWrite() error {
	if s.over != nil {
		return s.over.CloseWrite()
	}
	return s.TCPConn.CloseWrite()
}

// cut ends the stream without waiting for anybody.
func (s *stream) cut() {
	if s.over != nil {
		s.over.association().Abort("")
		return
	}
	_ = s.Close()
}

// finished reports whether the stream ended in a way that lets nothing go out either: over TCP a peer may end its side alone.
func (s *stream) finished() bool { return s.over != nil && s.over.association().gone() }

// fill waits for bytes and takes them.
func (s *stream) fill() (int, error) {
	if s.over == nil {
		return s.sys.fill(s)
	}
	buf := getBuffer()
	n, err := s.over.Read(buf.b[:cap(buf.b)])
	if n == 0 {
		putBuffer(buf)
		return 0, err
	}
	buf.b = buf.b[:n]
	s.held, s.off = buf, 0
	return n, nil
}

// readMessages hands out what comes over an association without TLS, until that has ended: on any stream
// (RFC 4168, Section 5.1).
func (c *Conn) readMessages() error {
	err := c.assoc.Serve(func(b []byte, _ uint16) { c.takeMessage(b) })
	switch {
	case c.State() == Closing, errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return nil
	}
	return err
}

// writeMessages sends each message of out as one of SCTP, on stream zero, unordered, with the payload protocol
// identifier 0: RFC 4168, Section 5.1.
func (c *Conn) writeMessages(out *buffer, now time.Time) error {
	c.lastUsed.Store(now.UnixNano())
	at := 0
	for at < len(out.ends) {
		n, err := c.writeSome(out, at)
		if at = n; err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				c.t.count.stalled.Add(1)
				return errStalled
			}
			return err
		}
	}
	return nil
}

// writeSome sends the messages of out from a place on, as many as half of WriteTimeout has room for, each of them within
// WriteTimeout. It returns the place of the first that is left.
func (c *Conn) writeSome(out *buffer, at int) (int, error) {
	begun := time.Now()
	ctx, cancel := context.WithDeadline(context.Background(), begun.Add(c.t.cfg.WriteTimeout))
	defer cancel()
	for ; at < len(out.ends) && time.Since(begun) < c.t.cfg.WriteTimeout/2; at++ {
		from := 0
		if at > 0 {
			from = out.ends[at-1]
		}
		if err := c.assoc.Send(ctx, out.b[from:out.ends[at]], 0, true); err != nil {
			return at, err
		}
		c.bytesOut.Add(uint64(out.ends[at] - from))
	}
	return at, nil
}
