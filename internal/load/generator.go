package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sipaddr"
)

// Generator offers load, and takes it. It is used once.
type Generator struct {
	cfg      Config
	bind     netip.AddrPort // of the callers
	began    time.Time
	alarm    *timerAlarm
	engine   *engine
	verifier *identity.Verifier
	unsent   atomic.Int64
	patience time.Duration // how late it may be in a search; tooLate but in tests
	offering atomic.Bool   // connections stand

	handshakes *hdr.Histogram // guarded by the engine's lock

	sockets   []*socket
	listeners []listener
	running   sync.WaitGroup

	mu    sync.Mutex // mu guards the fields below
	conns map[*conn]bool
	ended bool
}

// listener takes connections of one side.
type listener struct {
	net.Listener
	at place
}

// New opens the sockets of a generator. The error wraps ErrConfig when it is the configuration's fault.
func New(cfg Config) (*Generator, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	g := &Generator{cfg: cfg, began: time.Now(), patience: tooLate, conns: make(map[*conn]bool), handshakes: newHistogram()}
	if g.verifier, err = newVerifier(cfg.Roots, cfg.Insecure); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	if g.alarm, err = newAlarm(g.began); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	g.engine = newEngine(cfg, g.alarm)
	if err := g.open(); err != nil {
		g.close()
		return nil, err
	}
	g.engine.callers = identities(g.userOf(cfg.From, "caller", g.bind), cfg.Identities)
	g.engine.callees = identities(g.userOf(cfg.To, "callee", cfg.Target.Addr), cfg.Identities)
	return g, nil
}

// userOf returns the URI of users who were given none.
func (g *Generator) userOf(uri, user string, at netip.AddrPort) string {
	if uri == "" {
		return "sip:" + user + "@" + at.String()
	}
	return uri
}

// now is the time since the generator was made.
func (g *Generator) now() instant { return time.Since(g.began) }

// open opens the sockets.
func (g *Generator) open() error {
	for _, at := range g.cfg.AnswerAt {
		if err := g.listen(calleeSide, at); err != nil {
			return fmt.Errorf("load: cannot answer at %v: %w", at, err)
		}
	}
	if !g.cfg.calls() {
		return nil
	}
	var err error
	if g.bind, err = g.local(); err != nil {
		return fmt.Errorf("load: no way to %v: %w", g.cfg.Target, err)
	}
	if g.cfg.Target.Transport != sipaddr.UDP {
		if err := g.listen(callerSide, Endpoint{g.cfg.Target.Transport, g.bind}); err != nil {
			return fmt.Errorf("load: cannot call from %v: %w", g.bind, err)
		}
		return nil
	}
	at := g.bind
	for i := range g.cfg.Connections {
		if g.bind.Port() != 0 {
			at = netip.AddrPortFrom(g.bind.Addr(), g.bind.Port()+uint16(i))
		}
		s, err := g.listenUDP(callerSide, at)
		if err != nil {
			return fmt.Errorf("load: cannot call from %v: %w", at, err)
		}
		g.sockets = append(g.sockets, s)
		g.engine.origins = append(g.engine.origins, &origin{
			place: s.at, host: s.addr.Addr().String(), path: path{socket: s, to: g.cfg.Target.Addr},
		})
	}
	g.bind = g.sockets[0].addr
	return nil
}

// local is the address that is called from.
func (g *Generator) local() (netip.AddrPort, error) {
	if g.cfg.Bind.Addr().IsValid() {
		return g.cfg.Bind, nil
	}
	c, err := net.Dial("udp", g.cfg.Target.Addr.String()) // nothing is sent
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer c.Close()
	return netip.AddrPortFrom(c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), g.cfg.Bind.Port()), nil
}

// listen opens one place of a side. Callers over TCP and TLS listen as well, for requests that come to them over a
// connection of their own; without a certificate nobody can dial them.
func (g *Generator) listen(s side, at Endpoint) error {
	if at.Transport == sipaddr.UDP {
		u, err := g.listenUDP(s, at.Addr)
		if err == nil {
			g.sockets = append(g.sockets, u)
		}
		return err
	}
	l, err := net.Listen("tcp", at.Addr.String())
	if err != nil {
		return err
	}
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if s == callerSide {
		g.bind = addr
	}
	if at.Transport == sipaddr.TLS && len(g.cfg.Certificates) > 0 {
		l = tls.NewListener(l, g.serverTLS())
	}
	g.listeners = append(g.listeners, listener{l, newPlace(s, at.Transport, addr)})
	return nil
}

// start begins to read, to accept and to keep time.
func (g *Generator) start() {
	for _, s := range g.sockets {
		// Ends when the socket is closed.
		g.running.Go(s.read)
	}
	for i := range g.listeners {
		// Ends when the listener is closed.
		g.running.Go(func() { g.accept(&g.listeners[i]) })
	}
	// Ends when the alarm is closed.
	g.running.Go(g.keepTime)
}

// keepTime does what is due.
func (g *Generator) keepTime() {
	var out outbox
	for {
		for more := true; more; {
			g.engine.enter(&out)
			more = g.engine.tick(g.now())
			g.engine.leave()
			g.send(&out)
		}
		if !g.alarm.wait() {
			return
		}
	}
}

// accept takes connections until the listener is closed.
func (g *Generator) accept(l *listener) {
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // such as too many open files
			continue
		}
		c := newConn(nc)
		if !g.keep(c) {
			return
		}
		g.count(func(n *Counters) { n.ConnectionsTaken++ })
		// Ends when the connection does.
		g.running.Go(func() {
			defer g.drop(c)
			if t, ok := nc.(*tls.Conn); ok {
				ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
				defer cancel()
				if err := t.HandshakeContext(ctx); err != nil {
					c.end()
					g.noConnection(fmt.Errorf("accepted from %v: %w", nc.RemoteAddr(), err))
					return
				}
			}
			g.carry(c, &l.at)
		})
	}
}

// keep enters a connection, so that it is closed in the end; false: the end has come.
func (g *Generator) keep(c *conn) bool {
	g.mu.Lock()
	ended := g.ended
	if !ended {
		g.conns[c] = true
	}
	g.mu.Unlock()
	if ended {
		c.end()
	}
	return !ended
}

func (g *Generator) drop(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
}

// count changes the counters.
func (g *Generator) count(f func(*Counters)) {
	g.engine.mu.Lock()
	defer g.engine.mu.Unlock()
	f(&g.engine.counters)
}

// noConnection counts a connection that did not come about.
func (g *Generator) noConnection(err error) {
	g.engine.mu.Lock()
	defer g.engine.mu.Unlock()
	g.engine.counters.ConnectionsFailed++
	g.engine.failures.note("no connection", func() string { return ": " + err.Error() })
}

// close ends everything and waits for it.
func (g *Generator) close() {
	g.mu.Lock()
	g.ended = true
	conns := make([]*conn, 0, len(g.conns))
	for c := range g.conns {
		conns = append(conns, c)
	}
	g.mu.Unlock()
	g.alarm.close()
	for _, s := range g.sockets {
		_ = s.conn.Close()
	}
	for _, l := range g.listeners {
		_ = l.Close()
	}
	for _, c := range conns {
		c.end()
	}
	g.running.Wait()
}
