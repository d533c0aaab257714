package load

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sctp"
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
	listeners []*listener
	speakers  map[netip.Addr]sctp.Provider // not changed any more once it is started
	running   sync.WaitGroup

	mu    sync.Mutex // mu guards the fields below
	conns map[*conn]bool
	ended bool
}

// New opens the sockets of a generator. The error wraps ErrConfig when it is the configuration's fault.
func New(cfg Config) (*Generator, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	g := &Generator{cfg: cfg, began: time.Now(), patience: tooLate, conns: make(map[*conn]bool), speakers: make(map[netip.Addr]sctp.Provider), handshakes: newHistogram()}
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
	if cfg.User != "" {
		g.engine.users = identities(cfg.User, cfg.Identities)
	}
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

// start begins to read, to accept and to keep time.
func (g *Generator) start() {
	for _, s := range g.sockets {
		// Ends when the socket is closed.
		g.running.Go(s.read)
	}
	for _, l := range g.listeners {
		// Ends when the listener is closed.
		g.running.Go(func() { g.accept(l) })
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
		l.close()
	}
	for _, c := range conns {
		// Ends when the connection does, or the far side of an association has had its time to agree.
		g.running.Go(c.end)
	}
	g.running.Wait()
	for _, p := range g.speakers {
		_ = p.Close() // nothing is lost with it
	}
}
