package transport

import (
	"crypto/tls"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/framing"
	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sipaddr"
)

// State is how far the life of a connection has come: RFC 5923, Section 8.3.
type State uint8

// The states, in the order in which they follow.
const (
	Open     State = iota
	Draining       // no new transactions; those that exist go on
	Closing        // the closure alert was sent or is about to be; what comes is discarded
	Closed
)

// String returns the state in lower case.
func (s State) String() string {
	return [...]string{"open", "draining", "closing", "closed"}[min(s, Closed)]
}

// Conn is a connection over TCP or SCTP, with TLS or without, dialed or accepted. It is made when its handshake has ended.
type Conn struct {
	// The fields below are set before the connection is shared, and never change.
	t          *Transport
	id         alias.ConnID
	direction  alias.Direction
	local      netip.AddrPort
	remote     netip.AddrPort
	dialed     sipaddr.Resolved // what was dialed; zero when accepted
	domain     *domain          // local domain; without TLS the one that has its table
	ep         *endpoint
	reference  string         // dialed over TLS: the name that the peer proved
	peer       *identity.Peer // nil: not authenticated
	ours       [32]byte       // dialed over TLS: SHA-256 of our own certificate
	stream     *stream
	assoc      *association // nil: TCP
	tls        *tls.Conn    // nil: without TLS
	plain      net.Conn     // where messages are read and written: tls or stream
	opened     time.Time
	handshake  time.Duration
	countedFor string        // in Transport.perIdentity; "": not
	recycleAt  time.Time     // when a new one takes its place; zero: never
	generation uint64        // of the domains that it was made for
	wake       chan struct{} // tells the writer that there is something to do; holds one
	dead       chan struct{} // closed by abort: nothing can be carried any more
	written    chan struct{} // closed when the writer has ended
	back       chan error    // from the loop that carries it, when that lets go

	// The fields below are atomic. state only grows, and only advance changes it.
	state     atomic.Uint32
	source    atomic.Pointer[Source]
	lastUsed  atomic.Int64 // Unix time in nanoseconds
	lastHeard atomic.Int64 // the same, of reading alone
	bytesOut  atomic.Uint64
	pingSent  atomic.Int64 // when the ping was sent that is still unanswered; 0: none
	pingNext  atomic.Int64 // when the next one is due
	hasPonged atomic.Bool  // the peer is known to answer pings
	// unanswered counts the transactions that ended without any answer since the last message.
	unanswered atomic.Int32
	suspected  atomic.Bool
	alive      atomic.Bool // something was heard while it was suspected
	// agreed is the interval in nanoseconds at which the peer wants to be pinged; 0: it has not said
	// (RFC 6223, Section 4.3).
	agreed atomic.Int64
	// backwards says that a request came over a connection that this side dialed: its peer reuses it.
	backwards atomic.Bool
	// halted says that the peer has ended its side: no new transaction starts (RFC 5923, Section 8.3).
	halted atomic.Bool

	// instead says which connection is to be used in its place; nil: none.
	instead atomic.Pointer[settlement]

	held heldBack // which guards itself

	// quiet is owned by the goroutine of watch.
	quiet     quiet
	rest      rest
	unlimited bool // see limit

	// refused is guarded by domain.mu: alias rows that were asked for and not made, for Explain.
	refused []alias.Verdict

	readDue, stuckSince atomic.Int64 // for the loop, Unix time in nanoseconds; 0: none

	// writing is held by whoever writes while a loop carries the connection. It guards stuck: what the socket has
	// not taken altogether.
	writing sync.Mutex
	stuck   *buffer

	// mu guards the fields below.
	mu       sync.Mutex
	inline   bool    // a loop carries it: whoever sends also writes, or the loop does at the end of its batch
	queue    *buffer // nil: empty
	inFlight int     // bytes that the writer is writing
	since    time.Time
	awake    bool // the writer was told, or is at work
	finish   bool // the queue takes nothing more; the writer sends the closure alert when it is empty
	cause    error
	aborted  bool

	suspicion suspicion
	further   lanes  // it guards itself
	late      []byte // written after the peer had ended its side, which may have closed altogether

	// The fields below are owned by the goroutine that reads.
	in          *buffer // bytes of messages; nil: none
	decoder     framing.Decoder
	due         time.Time // read deadline in force; zero: none
	dueBody     bool      // it is that of a body
	dueCount    uint64    // messages, or records, at the time it was set
	messages    uint64
	learned     [4]uint16 // sent-by ports for which there was an alias decision
	learnedNext int
	learnedGen  uint64
	verdict     error // why the loop lets go; nil: it was asked to
	guessed     bool  // hasPonged says what a single CRLF made it say, which may be half of a ping
	pongs       int   // in this second
	pongSecond  int64
}

// newConn makes a connection around s. The caller fills in the fields that do not change.
func newConn(t *Transport, s *stream) *Conn {
	c := &Conn{
		t:          t,
		id:         alias.ConnID(t.nextID.Add(1)),
		local:      unmap(s.LocalAddr()),
		remote:     unmap(s.RemoteAddr()),
		stream:     s,
		plain:      s,
		opened:     time.Now(),
		generation: t.domains.Load().generation,
		wake:       make(chan struct{}, 1),
		dead:       make(chan struct{}),
		written:    make(chan struct{}),
		awake:      true, // there will be somebody who writes
	}
	if s.over != nil {
		c.assoc = s.over.association()
	}
	c.decoder.Limits = t.cfg.Limits
	c.lastUsed.Store(c.opened.UnixNano())
	c.lastHeard.Store(c.opened.UnixNano())
	return c
}

// State returns the state of c.
func (c *Conn) State() State { return State(c.state.Load()) }

// whole reports whether c carries whole messages: SCTP without TLS.
func (c *Conn) whole() bool { return c.assoc != nil && c.tls == nil }

// advance moves c on to a later state and reports whether it was in an earlier one.
func (c *Conn) advance(to State) bool {
	for {
		old := c.state.Load()
		if old >= uint32(to) {
			return false
		}
		if c.state.CompareAndSwap(old, uint32(to)) {
			return true
		}
	}
}

// start registers c with its transport and starts its goroutines. It reports false, having closed
// c, when the transport is closed already.
func (c *Conn) start() bool {
	c.judge(c.generation, false)
	if c.tls != nil && c.t.cfg.Handshook != nil {
		c.t.cfg.Handshook(c.direction, c.handshake)
	}
	if interval := c.pingInterval(); interval > 0 {
		c.pingNext.Store(nextPing(time.Now(), interval).UnixNano())
	}
	if age := c.t.cfg.MaxAge; age > 0 && c.direction == alias.Dialed {
		c.recycleAt = c.opened.Add(age - rand.N(age/5+1))
	}
	if !c.t.register(c) {
		c.stream.cut()
		c.stream.release()
		return false
	}
	// Update has not seen it when the domains changed before it was registered.
	c.settled()
	c.startLanes()
	// Ends when the connection does; Run waits for it.
	go c.serve()
	return true
}

// serve reads until the connection ends, and closes it.
func (c *Conn) serve() {
	defer c.t.wg.Done()
	if c.assoc == nil && c.t.loopFor(uint64(c.id)) != nil {
		c.stream.carry = c.carry
	} else {
		c.startWriter()
	}
	err := c.readLoop()
	if c.stream.carry != nil {
		c.startWriter() // it came to an end before it came to a loop
	}
	c.ended(err)
	<-c.written
	c.settleLate()
	_ = c.plain.Close()
	c.further.done.Wait()
	c.stream.release()
	if c.in != nil {
		putBuffer(c.in)
		c.in = nil
	}
	c.advance(Closed)
	c.t.forget(c)
	c.t.unregister(c)
	c.mu.Lock()
	err = c.cause
	c.mu.Unlock()
	c.tellAlerted(err)
	c.t.cfg.Logger.Debug("connection closed", "conn", uint64(c.id), "peer", c.remote, "err", err)
	c.t.protect(func() { c.t.cfg.Handler.Closed(c.id, err) })
}

// startWriter starts the goroutine that writes, when no loop does.
func (c *Conn) startWriter() {
	// Ends when it has sent the closure alert or cannot write any more; serve waits for it.
	go c.writeLoop()
}

// abort gives c up at once for a reason, nil for none: whatever is queued is lost. It may be called
// by anybody and as often as they like; the first reason counts.
func (c *Conn) abort(cause error) {
	c.mu.Lock()
	if c.aborted {
		c.mu.Unlock()
		return
	}
	c.aborted, c.finish = true, true
	if c.cause == nil {
		c.cause = cause
	}
	c.mu.Unlock()
	c.advance(Closing)
	close(c.dead)
	c.stream.cut()
	c.t.forget(c)
}

func unmap(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
