package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sctp"
	"github.com/tandem-sip/tandem/sipaddr"
)

// listener accepts the connections of one listen address.
type listener struct {
	t     *Transport
	index int // in Config.Listen
	kind  sipaddr.Transport
	addr  netip.AddrPort   // with the real port
	tcp   *net.TCPListener // nil: SCTP
	ep    *endpoint        // without TLS

	sctp     *sctp.Listener
	provider sctp.Provider
}

func (t *Transport) listenStreamLocked(i int, l Listen) error {
	network := "tcp4"
	if l.Addr.Addr().Is6() && !l.Addr.Addr().Is4In6() {
		network = "tcp6"
	}
	tcp, err := t.listenTCP(l, network)
	if err != nil {
		return err
	}
	ln := &listener{t: t, index: i, kind: l.Transport, addr: unmap(tcp.Addr()), tcp: tcp}
	if l.Transport == sipaddr.TCP {
		ln.ep = plainEndpoint(sipaddr.TCP, ln.addr, t.plainHost(ln.addr))
		t.addEndpointLocked(ln.ep)
	}
	t.listeners = append(t.listeners, ln)
	return nil
}

// plainHost returns the sent-by host for a plain listener, "" for its own address.
func (t *Transport) plainHost(listen netip.AddrPort) string {
	switch {
	case t.cfg.SentBy != "":
		return t.cfg.SentBy
	case listen.Addr().IsUnspecified() && len(t.cfg.Domains) > 0:
		host, _ := splitSentBy(t.cfg.Domains[0].SentBy)
		if host == "" {
			host = t.cfg.Domains[0].Name
		}
		return host
	}
	return ""
}

// accept takes connections until the listener is closed. When the system has no descriptor left it
// waits longer and longer, up to a second, instead of asking again at once.
func (l *listener) accept() {
	t := l.t
	defer t.wg.Done()
	if l.sctp != nil {
		l.acceptAssociations()
		return
	}
	pause := time.Duration(0)
	for {
		c, err := l.tcp.AcceptTCP()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if errors.Is(err, os.ErrDeadlineExceeded) { // Pause
				if !t.waitPaused() {
					return
				}
				continue
			}
			t.count.acceptErrors.Add(1)
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			if pause == 5*time.Millisecond {
				t.cfg.Logger.Warn("cannot accept connections", "err", err)
			}
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-t.quit:
				timer.Stop()
				return
			}
			continue
		}
		pause = 0
		ip := unmap(c.RemoteAddr()).Addr()
		if err := t.admit(ip); err != nil {
			refuse(c)
			continue
		}
		t.count.accepted.Add(1)
		if !t.hold() {
			t.dismiss(ip)
			refuse(c)
			return
		}
		place := uint64(0)
		if l.kind.Secure() {
			place = t.wait(func() { refuse(c) }, source(ip)) // here, so that the places are in the order of arrival
		}
		// Ends with the handshake, HandshakeTimeout at the latest; Run waits for it.
		go l.establish(c, ip, place)
	}
}

// refuse closes c so that the peer is told at once and this side keeps nothing of it.
func refuse(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// establish makes a connection out of c, after the handshake if it is TLS.
func (l *listener) establish(c *net.TCPConn, ip netip.Addr, place uint64) {
	t := l.t
	defer t.wg.Done()
	defer t.ready(place, source(ip))
	s, err := t.newStream(c)
	if err != nil {
		_ = c.Close()
		t.dismiss(ip)
		return
	}
	if !l.kind.Secure() {
		l.begin(s, ip)
		return
	}
	l.greeted(s, ip)
}

// begin makes a connection without TLS.
func (l *listener) begin(s *stream, ip netip.Addr) {
	conn := newConn(l.t, s)
	conn.direction, conn.domain, conn.ep = alias.Accepted, l.t.nameless, l.ep
	if !conn.start() {
		l.t.dismiss(ip)
	}
}

// greeted does the handshake of a connection, and makes one out of it.
func (l *listener) greeted(s *stream, ip netip.Addr) {
	t := l.t
	conn, err := l.answer(s)
	if err != nil {
		t.logFailed(&t.refusedClients, "handshake failed", s.RemoteAddr(), err)
		s.cut()
		s.release()
		t.dismiss(ip)
		return
	}
	if !t.admitIdentity(conn) {
		t.cfg.Logger.Debug("too many connections of one identity", "peer", s.RemoteAddr())
		_ = conn.tls.Close()
		s.release()
		t.dismiss(ip)
		return
	}
	if !conn.start() {
		t.dismissIdentity(conn)
		t.dismiss(ip)
	}
}

// answer does the handshake of an accepted connection, and makes one of it.
func (l *listener) answer(s *stream) (*Conn, error) {
	t := l.t
	begun := time.Now()
	sh, tc, err := t.shake(s)
	if err != nil {
		return nil, err
	}
	c := newConn(t, s)
	c.direction, c.tls, c.plain = alias.Accepted, tc, tc
	c.domain, c.peer, c.ep = sh.domain, sh.peer, t.endpoint(sh.creds, Listen{l.kind, l.addr})
	c.generation = sh.creds.generation
	c.opened, c.handshake = begun, time.Since(begun)
	return c, nil
}

// shake does the handshake of an accepted connection, or of a stream of one. A client that stays silent holds nothing
// but its place among the pending ones; only while it computes does a handshake hold a slot.
func (t *Transport) shake(s *stream) (*handshake, *tls.Conn, error) {
	deadline := time.Now().Add(t.cfg.HandshakeTimeout)
	_ = s.SetDeadline(deadline)
	sh := &handshake{}
	s.shake, s.deadline, s.blocking, s.records = sh, deadline, true, &recordMeter{}
	if err := s.wait(); err != nil {
		t.handshakeFailed(sh, err)
		return nil, nil, err
	}
	if s.inGate = t.gate.enter(deadline); !s.inGate {
		t.handshakeFailed(sh, errGate)
		return nil, nil, errGate
	}
	s.gate = t.gate
	tc := tls.Server(s, t.domains.Load().tls)
	err := tc.HandshakeContext(context.Background())
	if s.inGate {
		t.gate.leave()
	}
	s.gate, s.inGate, s.shake, s.blocking = nil, false, nil, false
	if err != nil {
		t.handshakeFailed(sh, err)
		t.tellRefused(s.RemoteAddr(), sh, err)
		return nil, nil, err
	}
	_ = s.SetDeadline(time.Time{})
	s.writeDue = time.Time{}
	t.count.hsServer.Add(1)
	if tc.ConnectionState().DidResume {
		t.count.resumed.Add(1)
	}
	return sh, tc, nil
}

func (t *Transport) handshakeFailed(sh *handshake, err error) {
	t.count.hsServerFailed.Add(1)
	if sh.bad != nil {
		t.count.peersRefused.Add(1)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, errGate) {
		t.count.hsTimeout.Add(1)
	}
}

// wait gives a connection its place among those whose handshake is pending; refused is what closes it then. With too many of them, from one source
// or in all, the oldest is closed: a peer that means it is done long before its turn comes.
func (t *Transport) wait(refused func(), from netip.Addr) uint64 {
	t.mu.Lock()
	t.newest++
	place := t.newest
	t.pending[place] = refused
	var victim func()
	if own := t.pendingFrom[from]; len(own) >= t.cfg.MaxPendingPerSource {
		victim = t.pending[own[0]]
		delete(t.pending, own[0])
		t.pendingFrom[from] = own[1:]
		t.count.refusedPendingSource.Add(1)
	}
	t.pendingFrom[from] = append(t.pendingFrom[from], place)
	if victim == nil && len(t.pending) > t.cfg.MaxPending {
		for victim == nil {
			t.oldest++
			victim = t.pending[t.oldest]
		}
		delete(t.pending, t.oldest)
		t.count.refusedPending.Add(1)
	}
	if t.life == stopped {
		victim = refused
	}
	t.mu.Unlock()
	if victim != nil {
		victim()
	}
	return place
}

// ready takes a connection out of the pending ones.
func (t *Transport) ready(place uint64, from netip.Addr) {
	if place == 0 {
		return // without TLS: it has never been there
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.pending, place)
	own := t.pendingFrom[from]
	if i := slices.Index(own, place); i >= 0 {
		own = slices.Delete(own, i, i+1)
	}
	if t.pendingFrom[from] = own; len(own) == 0 {
		delete(t.pendingFrom, from)
	}
}

// newStream sets the options of a socket and makes a stream of it.
func (t *Transport) newStream(c *net.TCPConn) (*stream, error) {
	if idle := t.cfg.KeepAlive; idle > 0 {
		probe := max(idle/3, time.Second)
		_ = c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: idle, Interval: probe, Count: 3})
	} else {
		_ = c.SetKeepAlive(false)
	}
	s, err := newStream(c, t.cfg.WriteTimeout)
	if err != nil {
		return nil, err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	if err := streamOptions(raw, t.cfg.UserTimeout, t.cfg.QueueBytes); err != nil {
		t.cfg.Logger.Debug("socket option", "err", err)
	}
	return s, nil
}

// cause returns what the system said, without the words that package net puts around it.
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
