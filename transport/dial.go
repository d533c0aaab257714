package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sctp"
	"github.com/tandem-sip/tandem/sipaddr"
)

// dialKey tells which requests share a dial. The local domain is that of the domain whose dial it
// is.
type dialKey struct {
	to        sipaddr.Resolved
	reference string // "" without TLS
}

// dial is a connection in the making. domain.mu guards its fields.
type dial struct {
	key     dialKey
	launch  *dialer            // set when it is made, and never changed
	cancel  context.CancelFunc // nil until it was launched
	waiters []waiter
}

// waiter is a request that waits for a dial.
type waiter struct {
	hop      Hop
	decision alias.Decision
	done     func(Flow, alias.Decision, error)
}

// dialer is what one dial needs to know, found before its goroutine starts.
type dialer struct {
	t        *Transport
	d        *domain
	dl       *dial
	key      dialKey
	creds    *credentials   // as they were when the dial began; nil without a served domain
	listen   netip.AddrPort // whose IP address is dialed from
	provider sctp.Provider  // dials over SCTP
	ep       *endpoint
}

// run makes the connection, and tells those who wait for it. It ends when the dial and the
// handshake are done, or their time is over.
func (x *dialer) run(ctx context.Context) {
	t := x.t
	defer t.wg.Done()
	c, err := x.connect(ctx)
	if err == nil && !c.start() {
		err = ErrClosed
	}
	if err == nil {
		t.count.dialed.Add(1)
		if err = c.turnedDown(); err != nil {
			c = nil
		}
	} else {
		t.count.dialsFailed.Add(1)
		t.dismiss(netip.Addr{})
		t.logFailed(&t.refusedServers, "dial failed", x.key.to, err)
		c = nil
	}
	t.mu.Lock()
	t.dialing--
	t.mu.Unlock()
	x.tell(c, err)
}

// open makes a connection over TCP.
func (x *dialer) open(ctx context.Context) (*stream, error) {
	t, to := x.t, x.key.to
	nd := net.Dialer{
		Timeout:   t.cfg.DialTimeout,
		LocalAddr: &net.TCPAddr{IP: x.listen.Addr().AsSlice(), Zone: x.listen.Addr().Zone()},
		Control:   dialControl,
		KeepAlive: -1, // newStream sets it
	}
	nc, err := nd.DialContext(ctx, "tcp", to.AddrPort.String())
	if err != nil {
		return nil, dialError(to, err)
	}
	tcp := nc.(*net.TCPConn)
	s, err := t.newStream(tcp)
	if err != nil {
		_ = tcp.Close()
		return nil, dialError(to, err)
	}
	return s, nil
}

// connect dials, and with TLS authenticates the server.
func (x *dialer) connect(ctx context.Context) (*Conn, error) {
	t, to, open := x.t, x.key.to, x.open
	if to.Transport.OverSCTP() {
		open = x.openAssociation
	}
	begun := time.Now()
	s, err := open(ctx)
	if err != nil {
		return nil, err
	}
	if !to.Transport.Secure() {
		c := newConn(t, s)
		c.direction, c.dialed, c.domain, c.ep = alias.Dialed, to, x.d, x.ep
		if x.creds != nil {
			c.generation = x.creds.generation
		}
		return c, nil
	}
	tc, peer, err := t.greet(ctx, s, x.creds, to, x.key.reference)
	if err != nil {
		// RFC 5922, Section 7.3: closed at once, and nothing was sent over it.
		s.cut()
		s.release()
		return nil, err
	}
	c := newConn(t, s)
	c.direction, c.dialed, c.domain, c.ep = alias.Dialed, to, x.d, x.ep
	c.tls, c.plain, c.peer, c.reference, c.ours = tc, tc, peer, x.key.reference, x.creds.fingerprint
	if err := x.openLanes(ctx, c); err != nil {
		s.cut()
		s.release()
		return nil, err
	}
	c.opened, c.handshake, c.generation = begun, time.Since(begun), x.creds.generation
	return c, nil
}

// tell ends the dial and calls those who waited. Of those with another reference identity only the
// ones that the certificate names may share the connection (RFC 5923, Section 9.3); the others
// start a dial of their own, unless the address could not even be reached.
func (x *dialer) tell(c *Conn, err error) {
	d := x.d
	d.mu.Lock()
	delete(d.dials, x.key)
	if d.leads[x.key.to] == x.dl {
		delete(d.leads, x.key.to)
	}
	waiters := x.dl.waiters
	x.dl.waiters = nil
	cancel := x.dl.cancel
	d.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	var de *DialError
	unreachable := errors.As(err, &de) && !de.Handshake
	for _, w := range waiters {
		if w.hop.Reference != x.key.reference && x.key.to.Transport.Secure() {
			if err != nil && !unreachable || c != nil && !c.peer.Identities.Contains(w.hop.Reference) {
				x.t.flowTLS(w.hop, true, w.done)
				continue
			}
		}
		f := Flow{}
		if c != nil {
			f.conn = c
		}
		x.t.call(w.done, f, w.decision, err)
	}
}

// call calls a callback; a panic in it is counted and logged.
func (t *Transport) call(done func(Flow, alias.Decision, error), f Flow, d alias.Decision, err error) {
	t.protect(func() { done(f, d, err) })
}

// cancelDials ends all dials in progress.
func (d *domain) cancelDials() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, dl := range d.dials {
		if dl.cancel != nil {
			dl.cancel()
		}
	}
}

// dialError says of a failed dial what callers branch on.
func dialError(to sipaddr.Resolved, err error) *DialError {
	de := &DialError{To: to, Err: cause(err)}
	de.Refused = errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, sctp.ErrRefused)
	var ne net.Error
	de.Timeout = errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, sctp.ErrLost) ||
		errors.As(err, &ne) && ne.Timeout()
	return de
}
