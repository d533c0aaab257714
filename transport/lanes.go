package transport

// TLS on several streams of one association: RFC 3436, Section 8. The side that opened the association opens all of them
// before the connection carries anything, the first by a full handshake and the others by resuming its session.
// Requests and responses of a transaction are sent over one of them, which its branch decides (RFC 4168, Section 5.1),
// and what comes is taken from any.

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"hash/maphash"
	"io"
	"os"
	"sync"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/framing"
	"github.com/tandem-sip/tandem/sctp"
)

// errStream is why an association ends one of whose streams has another peer than the first.
var errStream = errors.New("transport: a stream's peer is not that of the first")

// lane is TLS on a further stream of an association.
type lane struct {
	stream *stream
	tls    *tls.Conn

	// owned by the goroutine that reads
	in      *buffer
	decoder framing.Decoder
	waits   bool // for the rest of something: there is a deadline
}

// lanes are the further streams of a connection. The zero value has none.
type lanes struct {
	done sync.WaitGroup // those who read them, and who accepts them

	// mu guards the fields below.
	mu    sync.Mutex
	list  []*lane
	fixed bool // something was sent: what comes later is for the peer's messages only
	// shaking counts the handshakes under way that the peer began, and idle is told when it becomes 0.
	shaking int
	idle    *sync.Cond

	// handling is held while a message is handled: they come on several streams at once.
	handling sync.Mutex
}

// openLanes opens the further streams of an association that was dialed, whose first stream has its handshake behind
// it. It waits for the session to resume, which comes after the handshake, and so until the peer has finished that.
func (x *dialer) openLanes(ctx context.Context, c *Conn) error {
	n := x.t.cfg.TLSStreams
	if n <= 1 || c.tls == nil || c.assoc == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, x.t.cfg.HandshakeTimeout)
	defer cancel()
	c.in = awaitSession(c.stream, c.tls)
	for id := uint16(1); int(id) < n; id++ {
		s, err := c.assoc.OpenStream(id)
		if errors.Is(err, sctp.ErrStream) {
			return nil // the peer wants no more of them
		}
		if err != nil {
			return dialError(x.key.to, err)
		}
		over := x.t.streamOver(bidirectional{s, c.assoc})
		tc, peer, err := x.t.greet(ctx, over, x.creds, x.key.to, x.key.reference)
		if err != nil {
			return err
		}
		if peer.Fingerprint != c.peer.Fingerprint {
			x.t.count.authFailed.Add(1)
			return &AuthError{To: x.key.to, Reference: x.key.reference, Names: peer.Identities.Names(), Err: errStream}
		}
		l := newLane(x.t, over, tc)
		l.in = awaitSession(over, tc)
		c.further.list = append(c.further.list, l)
	}
	return nil
}

// sessionPatience is how long a session is waited for that the peer need not give.
const sessionPatience = 200 * time.Millisecond

// awaitSession reads until TLS has got a session to resume. No message comes before the first request; what comes all the
// same is kept in the buffer that it returns.
func awaitSession(s *stream, tc *tls.Conn) *buffer {
	if tc.ConnectionState().Version < tls.VersionTLS13 {
		return nil // it came with the handshake
	}
	_ = s.SetReadDeadline(time.Now().Add(sessionPatience))
	defer func() { _ = s.SetReadDeadline(time.Time{}) }()
	if s.wait() != nil {
		return nil
	}
	in := getBuffer()
	if n, _ := tc.Read(in.b[:1]); n > 0 { // an error shows again when it is read
		in.b = in.b[:n]
		return in
	}
	putBuffer(in)
	return nil
}

func newLane(t *Transport, s *stream, tc *tls.Conn) *lane {
	return &lane{stream: s, tls: tc, decoder: framing.Decoder{Limits: t.cfg.Limits}}
}

// startLanes begins to read the further streams, and to accept them on an association that the peer has opened.
func (c *Conn) startLanes() {
	if c.assoc == nil || c.tls == nil {
		return
	}
	c.further.idle = sync.NewCond(&c.further.mu)
	if c.direction == alias.Accepted {
		ctx, cancel := context.WithCancel(context.Background())
		// Ends with the association.
		c.further.done.Go(func() {
			defer cancel()
			c.acceptLanes(ctx)
		})
		return
	}
	for _, l := range c.further.list {
		// Ends with the association, or with TLS on this stream.
		c.further.done.Go(func() { c.readLane(l) })
	}
}

// acceptLanes does the handshake on each further stream that the peer opens. It ends with the association.
func (c *Conn) acceptLanes(ctx context.Context) {
	for {
		s, err := c.assoc.AcceptStream(ctx)
		if err != nil {
			return
		}
		c.further.mu.Lock()
		c.further.shaking++
		c.further.mu.Unlock()
		// The same.
		c.further.done.Go(func() {
			l, err := c.acceptLane(s)
			c.further.joined(l)
			if err != nil {
				c.t.logFailed(&c.t.refusedClients, "handshake on a further stream failed", c.remote, err)
				c.abort(err)
				return
			}
			c.readLane(l)
		})
	}
}

// joined notes the end of a handshake that the peer began; l is nil when it failed.
func (f *lanes) joined(l *lane) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l != nil && !f.fixed {
		f.list = append(f.list, l)
	}
	if f.shaking--; f.shaking == 0 {
		f.idle.Broadcast()
	}
}

// acceptLane does one handshake. Its peer has to be that of the first stream, in the same domain.
func (c *Conn) acceptLane(s *sctp.Stream) (*lane, error) {
	over := c.t.streamOver(bidirectional{s, c.assoc})
	sh, tc, err := c.t.shake(over)
	if err != nil {
		return nil, err
	}
	if sh.domain != c.domain || (sh.peer == nil) != (c.peer == nil) || sh.peer != nil && sh.peer.Fingerprint != c.peer.Fingerprint {
		return nil, errStream
	}
	return newLane(c.t, over, tc), nil
}

// readLane takes what comes over a further stream, until the association ends or the peer has closed TLS there. The
// closure alert on the first stream is the one that closes the connection.
func (c *Conn) readLane(l *lane) {
	if err := c.readLaneLoop(l); err != nil && c.State() < Closing {
		c.abort(err)
	}
	l.stream.release()
	if l.in != nil {
		putBuffer(l.in)
		l.in = nil
	}
}

// readLaneLoop returns nil when the first stream says how it ends.
func (c *Conn) readLaneLoop(l *lane) error {
	for fresh := true; ; fresh = false {
		if !fresh { // what came together with the end of the handshake is with TLS already
			switch err := l.stream.wait(); {
			case errors.Is(err, os.ErrDeadlineExceeded):
				c.t.count.slow.Add(1)
				return errSlow
			case err != nil:
				return nil // the association has ended
			}
		}
		if ended, err := c.takeLane(l); ended || err != nil {
			return err
		}
		c.setLaneDeadline(l)
	}
}

// takeLane handles all that has come on a further stream. It reports whether TLS has ended there.
func (c *Conn) takeLane(l *lane) (ended bool, err error) {
	now := time.Now().UnixNano()
	c.lastUsed.Store(now)
	c.lastHeard.Store(now)
	err = take(l.tls, &l.in, func() error { return c.handleLane(l) })
	switch {
	case err == nil, errors.Is(err, errNoData):
		return false, nil
	case errors.Is(err, io.EOF):
		return true, nil
	}
	return false, err
}

// handleLane gives every whole message that has come on a further stream to the handler.
func (c *Conn) handleLane(l *lane) error {
	rest := l.in.b
	for len(rest) > 0 && c.State() < Closing {
		kind, n, err := l.decoder.Next(rest)
		if err != nil {
			return err
		}
		if kind == framing.More {
			break
		}
		unit := rest[:n]
		rest = rest[n:]
		if c.suspected.Load() {
			c.alive.Store(true)
		}
		if kind == framing.Message { // pings go over the first stream
			c.unanswered.Store(0)
			c.t.count.messagesIn.Add(1)
			c.deliver(unit)
		}
	}
	l.in.b = l.in.b[:copy(l.in.b, rest)]
	return nil
}

// setLaneDeadline bounds the time for what has begun to come on a further stream.
func (c *Conn) setLaneDeadline(l *lane) {
	partial := l.in != nil && l.decoder.InMessage() || l.stream.records.partial()
	if partial == l.waits {
		return
	}
	l.waits = partial
	due := time.Time{}
	if partial {
		due = time.Now().Add(c.t.cfg.HeaderTimeout + c.t.cfg.BodyTimeout)
	}
	_ = l.stream.SetReadDeadline(due)
}

// spread returns the further streams that messages are sent over, the same ones from the first time on. It waits for the
// handshakes that the peer has begun by then: it has ended them all before its first request.
func (c *Conn) spread() []*lane {
	c.further.mu.Lock()
	defer c.further.mu.Unlock()
	for !c.further.fixed && c.further.shaking > 0 {
		c.further.idle.Wait()
	}
	c.further.fixed = true
	return c.further.list
}

// writeLanes writes each message of out to its stream, those that follow each other on one stream at once.
func (c *Conn) writeLanes(out *buffer, now time.Time, all []*lane) error {
	from, at, last := 0, 0, -1
	flush := func(to int) error {
		if to == from {
			return nil
		}
		w := c.tls
		if last > 0 {
			w = all[last-1].tls
		}
		n, err := w.Write(out.b[from:to])
		c.bytesOut.Add(uint64(n))
		from = to
		return err
	}
	c.lastUsed.Store(now.UnixNano())
	for _, end := range out.ends {
		lane := laneOf(out.b[at:end], len(all)+1)
		if lane != last {
			if err := flush(at); err != nil {
				return stalled(c, err)
			}
			last = lane
		}
		at = end
	}
	return stalled(c, flush(at))
}

// stalled tells a peer that takes nothing from other failures.
func stalled(c *Conn, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.count.stalled.Add(1)
		return errStalled
	}
	return err
}

// laneSeed makes the choice of a stream nobody else's.
var laneSeed = maphash.MakeSeed()

// laneOf returns which of n streams a message goes over: that of its transaction, by the branch of its topmost Via. What
// has none, such as a ping, goes over the first.
func laneOf(b []byte, n int) int {
	_, rest, ok := bytes.Cut(b, []byte("branch="))
	if !ok {
		return 0
	}
	if end := bytes.IndexAny(rest, ";,\r\n "); end >= 0 {
		rest = rest[:end]
	}
	return int(maphash.Bytes(laneSeed, rest) % uint64(n))
}
