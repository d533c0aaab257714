package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"time"

	"github.com/tandem-sip/tandem/framing"
	"github.com/tandem-sip/tandem/sip"
)

// pongsPerSecond bounds how many pings a connection gets answered in one second, so that a flood
// of them costs the sender more than it costs us.
const pongsPerSecond = 10

// errFraming ends the read loop after what cannot be framed; what the handler answered is still
// written.
var errFraming = errors.New("transport: stream is out of step")

// readLoop reads messages until the connection ends. It returns nil after an orderly end and after
// the end that this side has asked for.
func (c *Conn) readLoop() error {
	if c.whole() {
		return c.readMessages()
	}
	// What came together with the end of the handshake is with TLS already.
	fresh := c.tls != nil
	for {
		var err error
		if !fresh {
			err = c.stream.wait()
		}
		fresh = false
		if err == nil {
			err = c.readHeld()
		} else if errors.Is(err, io.EOF) {
			c.stream.eof = true
			err = c.readHeld() // TLS decides whether the end may come here
		}
		switch {
		case err == nil:
			if err = c.setDeadline(); err == nil {
				continue
			}
			return err
		case c.State() == Closing:
			return nil // RFC 5923, Section 8.3: whatever came was discarded
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			if c.tls != nil && c.stream.eof {
				// The FIN came before a closure alert. That is common, and says that something was
				// cut off, maybe by somebody who is not the peer.
				c.t.count.truncated.Add(1)
				c.domain.forgetSession(c)
			}
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return errTruncated
			}
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.t.count.slow.Add(1)
			return errSlow
		case errors.Is(err, errFraming):
			c.advance(Draining)
			c.t.forget(c)
			c.tellEnded()
			c.beginClosing()
			return c.discard()
		}
		return err
	}
}

// readHeld reads all that the stream holds and handles every whole message in it.
func (c *Conn) readHeld() error {
	now := time.Now().UnixNano()
	c.lastUsed.Store(now)
	c.lastHeard.Store(now)
	err := take(c.plain, &c.in, c.handle)
	switch {
	case errors.Is(err, errNoData):
		return nil
	case errors.Is(err, io.EOF) && c.in != nil && c.decoder.InMessage():
		return io.ErrUnexpectedEOF // the part of a message is never handed on
	}
	return err
}

// take reads all that r holds into *in, and has it handled. What is left of it stays in *in, which is nil when that is
// nothing. It returns the error of handle, or else why there is no more to read: nil, errNoData, or the error of r.
func take(r net.Conn, in **buffer, handle func() error) error {
	for {
		if *in == nil {
			*in = getBuffer()
		}
		b := *in
		b.grow(1 << 10)
		n, err := r.Read(b.b[len(b.b):cap(b.b)])
		b.b = b.b[:len(b.b)+n]
		if n > 0 {
			if err := handle(); err != nil {
				return err
			}
		}
		if err != nil || n == 0 {
			if len(b.b) == 0 {
				putBuffer(b)
				*in = nil
			}
			return err
		}
	}
}

// handle gives every whole message in c.in to the handler and keeps the rest.
func (c *Conn) handle() error {
	rest := c.in.b
	ping := false
	var err error
	for err == nil && len(rest) > 0 {
		state := c.State()
		if state >= Closing {
			rest = nil // RFC 5923, Section 8.3: discard
			break
		}
		var kind framing.Kind
		var n int
		kind, n, err = c.decoder.Next(rest)
		if err != nil {
			c.framingError(err)
			rest, err = nil, errFraming
			break
		}
		if kind == framing.More {
			break
		}
		unit := rest[:n]
		rest = rest[n:]
		if c.suspected.Load() {
			c.alive.Store(true)
		}
		switch kind {
		case framing.Ping:
			if c.pingSent.Swap(0) != 0 {
				// Two pongs with no message between them look like one ping and a pong.
				c.hasPonged.Store(true)
				continue
			}
			ping = true
			c.t.count.pings.Add(1)
			if c.guessed {
				c.hasPonged.Store(false) // it was the first half of this
			}
			c.guessed = false
		case framing.Pong:
			c.pingSent.Store(0)
			c.guessed = !c.hasPonged.Swap(true)
		case framing.Message:
			c.guessed = false
			c.messages++
			if c.unanswered.Load() != 0 {
				c.unanswered.Store(0)
			}
			c.t.count.messagesIn.Add(1)
			if state == Draining && c.holdBack(unit) {
				continue
			}
			c.deliver(unit)
		}
	}
	c.in.b = c.in.b[:copy(c.in.b, rest)]
	if ping {
		c.pong()
	}
	return err
}

// deliver parses one message and gives it to the handler.
func (c *Conn) deliver(unit []byte) {
	if c.assoc != nil {
		c.further.handling.Lock() // several streams are read at once
		defer c.further.handling.Unlock()
	}
	src := c.settled()
	m, err := sip.ParseBytes(unit)
	if err != nil {
		c.t.malformed(m, err, src)
		return
	}
	if m.IsRequest() {
		m.SetReceived(c.remote.Addr(), c.remote.Port())
	}
	c.dispatch(m, src)
}

// dispatch gives a message to the handler, when the connection has learnt from it what there is to learn.
func (c *Conn) dispatch(m *sip.Message, src *Source) {
	if m.IsRequest() {
		c.recommend(m)
		c.learn(m)
	} else {
		if !c.t.expected(m, c.ep) {
			m.Release()
			return
		}
		c.agree(m)
	}
	// A panic of the handler ends this connection and no other.
	if !c.t.protect(func() { c.t.cfg.Handler.Message(m, src) }) {
		c.abort(errPanic)
	}
}

// framingError lets the handler answer what cannot be framed, as far as it was understood.
func (c *Conn) framingError(err error) {
	var m *sip.Message
	var fe *framing.Error
	if errors.As(err, &fe) && len(fe.Head) > 0 {
		m, _ = sip.Parse(string(fe.Head))
		if m != nil && m.IsRequest() {
			m.SetReceived(c.remote.Addr(), c.remote.Port())
		}
	}
	c.blame(err)
	c.t.malformed(m, err, c.settled())
}

// pong answers the pings of one read with a single pong: RFC 5626, Section 3.5.1.
func (c *Conn) pong() {
	if now := time.Now().Unix(); now != c.pongSecond {
		c.pongSecond, c.pongs = now, 0
	}
	if c.pongs++; c.pongs > pongsPerSecond {
		c.t.count.pingsUnanswered.Add(1)
		return
	}
	_ = c.send([]byte("\r\n"))
}

// setDeadline sets the read deadline when a message, or a record of TLS, has begun and not ended:
// one for all of it, however many bytes come in the meantime. It costs nothing while messages come
// whole.
func (c *Conn) setDeadline() error {
	if !c.noteDeadline() {
		return nil
	}
	return c.putDeadline()
}

// noteDeadline decides what the read deadline is, and reports whether it is another one than
// before.
func (c *Conn) noteDeadline() bool {
	inMessage, inBody := c.decoder.InMessage() && c.in != nil, false
	count, timeout := c.messages, c.t.cfg.HeaderTimeout
	switch {
	case inMessage:
		if inBody = c.decoder.InBody(); inBody {
			timeout = c.t.cfg.BodyTimeout
		}
	case c.stream.records != nil && c.stream.records.partial():
		count = c.stream.records.count<<1 | 1<<63
	default:
		had := !c.due.IsZero()
		c.due = time.Time{}
		return had
	}
	if !c.due.IsZero() && c.dueCount == count && c.dueBody == inBody {
		return false
	}
	c.due, c.dueCount, c.dueBody = time.Now().Add(timeout), count, inBody
	return true
}

// putDeadline puts c.due into force, unless closing c has set a deadline of its own.
func (c *Conn) putDeadline() error {
	err := c.stream.SetReadDeadline(c.due)
	if c.State() >= Closing {
		err = c.stream.SetReadDeadline(time.Now().Add(c.t.cfg.CloseTimeout))
	}
	return err
}

// discard reads and throws away what comes until the peer ends the connection or the time for it
// is over, so that what was written still arrives.
func (c *Conn) discard() error {
	for {
		c.stream.release()
		if err := c.stream.wait(); err != nil {
			return nil
		}
	}
}

// malformed gives the handler what cannot be used.
func (t *Transport) malformed(m *sip.Message, err error, src *Source) {
	t.count.malformed.Add(1)
	t.protect(func() { t.cfg.Handler.Malformed(m, err, src) })
}

// expected reports whether a response has the Via of a request that this side has sent.
// RFC 3261, Section 18.1.2 drops the others.
func (t *Transport) expected(m *sip.Message, ep *endpoint) bool {
	via, err := m.TopVia()
	if err == nil {
		if ep.matches(via.Host, via.Port) {
			return true
		}
		for _, ep := range *t.endpoints.Load() {
			if ep.matches(via.Host, via.Port) {
				return true
			}
		}
	}
	t.count.stray.Add(1)
	return false
}

// protect calls f and reports whether it returned; a panic is counted and logged.
func (t *Transport) protect(f func()) (ok bool) {
	defer func() {
		if ok {
			return
		}
		t.count.panics.Add(1)
		t.cfg.Logger.Error("handler panicked", "err", fmt.Sprintf("%v\n%s", recover(), debug.Stack()))
	}()
	f()
	return true
}
