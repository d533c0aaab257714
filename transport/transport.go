package transport

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sctp"
	"github.com/tandem-sip/tandem/sipaddr"
)

// Transport has the listeners, the sockets and the connections of one process. Its methods may be
// called by several goroutines at once.
type Transport struct {
	cfg      Config
	gate     *gate
	nameless *domain // plain connections of no served domain
	refused  refusals
	quit     chan struct{}
	seats    seats

	// The fields below are atomic.
	domains   atomic.Pointer[domainSet]
	endpoints atomic.Pointer[[]*endpoint] // all that was ever said in a Via: RFC 3261, Section 18.1.2
	nextID    atomic.Uint64
	loops     atomic.Pointer[[]*loop]
	count     counters
	batch     batch // of the only loop
	decided   decisions
	paused    atomic.Pointer[pause]             // while the listeners stand still
	divert    atomic.Pointer[func(Packet) bool] // nil: every datagram is ours
	handing   atomic.Bool                       // a successor has the listeners: closing holds new requests back

	refusedClients, refusedServers lately

	// wg counts goroutines. It is added to while mu is held and life allows it.
	wg sync.WaitGroup

	// updating is held by Update from beginning to end, and by nobody else.
	updating sync.Mutex

	// mu guards the fields below, and credentials.endpoints.
	mu          sync.Mutex
	life        life
	listeners   []*listener
	sockets     []*udpSocket
	conns       map[alias.ConnID]*Conn
	providers   map[netip.Addr]sctp.Provider // by local address; set by Open
	pending     map[uint64]func()            // accepted, in their handshake, by order: what refuses them
	oldest      uint64                       // no pending one is older
	newest      uint64
	held        int                     // connections of any kind, and dials
	perSource   map[netip.Addr]int      // accepted ones
	perIdentity map[string]int          // of them, those whose peer proved who it is
	pendingFrom map[netip.Addr][]uint64 // of pending, their places in order
	dialing     int
	changed     chan struct{} // closed and replaced when there is something for Drain to look at
}

// life is how far the life of a Transport has come.
type life uint8

const (
	fresh life = iota
	opened
	running
	draining // accepts nothing new
	stopped
)

// New checks cfg and makes a Transport. It opens no socket.
func New(cfg Config) (*Transport, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	t := &Transport{
		cfg:         cfg,
		gate:        newGate(cfg.MaxHandshakes),
		nameless:    newDomain("", cfg),
		quit:        make(chan struct{}),
		seats:       newSeats(cfg.Loops),
		conns:       make(map[alias.ConnID]*Conn),
		pending:     make(map[uint64]func()),
		perSource:   make(map[netip.Addr]int),
		perIdentity: make(map[string]int),
		pendingFrom: make(map[netip.Addr][]uint64),
		changed:     make(chan struct{}),
	}
	t.endpoints.Store(new([]*endpoint))
	set, err := t.makeDomains(cfg.Domains, nil)
	if err != nil {
		return nil, err
	}
	t.domains.Store(set)
	return t, nil
}

// Open binds all listen addresses. When one cannot be bound it closes the others and returns a
// *ListenError.
func (t *Transport) Open() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.life != fresh {
		return ErrClosed
	}
	for i, l := range t.cfg.Listen {
		var err error
		switch {
		case l.Transport == sipaddr.UDP:
			err = t.listenUDPLocked(i, l)
		case l.Transport.OverSCTP():
			err = t.listenAssociationsLocked(i, l)
		default:
			err = t.listenStreamLocked(i, l)
		}
		if err != nil {
			t.closeListenersLocked(true)
			t.closeProviders()
			t.listeners, t.sockets = nil, nil
			if !l.Transport.OverSCTP() {
				err = cause(err)
			}
			return &ListenError{Index: i, Listen: l, Err: err}
		}
	}
	t.life = opened
	return nil
}

// Addrs returns the listen addresses in the order of Config.Listen, with the ports they really
// have.
func (t *Transport) Addrs() []Listen {
	t.mu.Lock()
	defer t.mu.Unlock()
	addrs := make([]Listen, len(t.cfg.Listen))
	copy(addrs, t.cfg.Listen)
	for _, l := range t.listeners {
		addrs[l.index].Addr = l.addr
	}
	for _, s := range t.sockets {
		addrs[s.index].Addr = s.ep.listen
	}
	return addrs
}

// Run serves until ctx is done or Close is called, and returns when everything that the Transport
// has started has ended. Open comes before it.
func (t *Transport) Run(ctx context.Context) error {
	t.mu.Lock()
	if t.life != opened {
		t.mu.Unlock()
		return ErrClosed
	}
	t.life = running
	loops := t.startLoops()
	t.wg.Add(len(t.listeners) + len(t.sockets) + 1)
	for _, l := range t.listeners {
		// Ends when the listener is closed.
		go l.accept()
	}
	for _, s := range t.sockets {
		// Ends when the socket is closed.
		go s.readLoop()
	}
	// Ends when quit is closed.
	go t.watch()
	t.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-t.quit:
	}
	err := t.Close()
	t.wg.Wait()
	t.closeProviders()
	stopLoops(loops)
	return err
}

// Drain closes all listeners but those of UDP, begins to close every connection as BeginClose does, and
// returns when none is left or ctx is done. UDP goes on until Close, as do requests that need a
// connection for what has begun already.
func (t *Transport) Drain(ctx context.Context) error {
	t.mu.Lock()
	if t.life < draining {
		t.life = draining
		t.closeListenersLocked(false)
	}
	t.mu.Unlock()
	return t.drainThose(ctx, false)
}

// drainThose begins to close connections and waits until none of them is left.
func (t *Transport) drainThose(ctx context.Context, accepted bool) error {
	for {
		t.mu.Lock()
		changed, left := t.changed, 0
		conns := t.connsLocked()
		t.mu.Unlock()
		for _, c := range conns {
			if !accepted || c.direction == alias.Accepted {
				c.beginClose(nil)
				left++
			}
		}
		if left == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close closes everything at once: what is queued is written and the closure alert is sent as far
// as that takes no waiting. It does not wait for the goroutines; Run does.
func (t *Transport) Close() error {
	t.mu.Lock()
	if t.life == stopped {
		t.mu.Unlock()
		return nil
	}
	if t.life == opened {
		defer t.closeProviders() // else Run does, in the end
	}
	t.life = stopped
	t.closeListenersLocked(true)
	conns := t.connsLocked()
	pending := slices.Collect(maps.Values(t.pending))
	t.mu.Unlock()
	for _, refuse := range pending {
		refuse()
	}
	close(t.quit)
	for _, d := range t.allDomains() {
		d.cancelDials()
	}
	for _, c := range conns {
		c.advance(Draining)
		c.beginClosingWithin(closeGrace)
	}
	// A peer that takes nothing does not hold up the end.
	time.AfterFunc(2*closeGrace, func() {
		for _, c := range conns {
			c.abort(nil)
		}
	})
	return nil
}

// closeGrace is how long Close lets a connection take for what it has begun.
const closeGrace = 200 * time.Millisecond

// Check returns the error that Update would return for domains, and changes nothing.
func (t *Transport) Check(domains []Domain) error {
	if len(domains) == 0 {
		for _, l := range t.cfg.Listen {
			if l.Transport.Secure() {
				return fmt.Errorf("transport: listener %s needs a domain with a certificate", l)
			}
		}
	}
	names := make(map[string]bool, len(domains))
	for _, d := range domains {
		if err := d.check(); err != nil {
			return err
		}
		name := strings.ToLower(d.Name)
		if names[name] {
			return fmt.Errorf("transport: domain %s is there twice", d.Name)
		}
		names[name] = true
	}
	return nil
}

// Update replaces the served domains. Those whose name stays keep their alias table and their
// connections; every peer is held against the new Verifier, and a connection whose peer does not
// pass any more, or whose domain is not served any more, begins to close. New handshakes use the
// new certificates; sessions from before are not resumed. After an error, which is one that Check
// returns too, everything is as it was.
//
// Config.Judge is asked about every connection anew. From the moment that Update has begun to ask, no
// request is sent or taken in over a connection that was not held against the new domains.
func (t *Transport) Update(domains []Domain) error {
	t.updating.Lock()
	defer t.updating.Unlock()
	if err := t.Check(domains); err != nil {
		return err
	}
	set, err := t.makeDomains(domains, t.domains.Load())
	if err != nil {
		return err
	}
	t.domains.Store(set)
	t.mu.Lock()
	conns := t.connsLocked()
	sockets := t.sockets
	t.mu.Unlock()
	for _, s := range sockets {
		s.generation.Add(1)
	}
	for _, c := range conns {
		c.review(set)
	}
	return nil
}

// register counts c among the connections, and takes the place of its pending one.
func (t *Transport) register(c *Conn) bool {
	t.mu.Lock()
	ok := t.life < stopped
	if ok {
		t.conns[c.id] = c
		t.wg.Add(1)
		if t.life == draining {
			t.changedLocked() // Drain closes it as well
		}
	}
	t.mu.Unlock()
	if ok {
		t.enter(c)
	}
	return ok
}

// unregister takes c out, when it is closed.
func (t *Transport) unregister(c *Conn) {
	t.leave(c)
	t.dismissIdentity(c)
	ip := netip.Addr{}
	if c.direction == alias.Accepted {
		ip = c.remote.Addr()
	}
	t.dismiss(ip)
	t.mu.Lock()
	delete(t.conns, c.id)
	t.changedLocked()
	t.mu.Unlock()
}

// changedLocked tells Drain to look again.
func (t *Transport) changedLocked() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// hold counts one more goroutine, unless the transport is closed.
func (t *Transport) hold() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.life == stopped {
		return false
	}
	t.wg.Add(1)
	return true
}

func (t *Transport) connsLocked() []*Conn {
	conns := make([]*Conn, 0, len(t.conns))
	for _, c := range t.conns {
		conns = append(conns, c)
	}
	return conns
}

func (t *Transport) closeListenersLocked(udp bool) {
	for _, l := range t.listeners {
		l.close()
	}
	if udp {
		for _, s := range t.sockets {
			s.close()
		}
	}
}

// allDomains returns the served domains and the one without a name.
func (t *Transport) allDomains() []*domain {
	return append([]*domain{t.nameless}, t.domains.Load().list...)
}

func (t *Transport) addEndpointLocked(ep *endpoint) {
	old := *t.endpoints.Load()
	for _, e := range old {
		if e.matches(ep.advertised.Host, ep.advertised.Port) && e.advertised.Transport == ep.advertised.Transport {
			return
		}
	}
	list := append(append(make([]*endpoint, 0, len(old)+1), old...), ep)
	t.endpoints.Store(&list)
}
