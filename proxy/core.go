package proxy

import (
	"crypto/rand"
	"hash/maphash"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/transaction"
)

// Config sets up a Core. Rules and Network and Transactions must be given.
type Config struct {
	Rules   Rules
	Network Network
	// Transactions is the layer that the Core is the user of. As each needs the other, give the layer a User that
	// embeds a *Core and set that once the Core is there, before the first message.
	Transactions *transaction.Layer
	// TimerC is how long an INVITE may ring without a further provisional response. Default 181 s; what is not
	// longer than 3 minutes is taken for the default (RFC 3261, Section 16.6 item 11).
	TimerC time.Duration
	// MaxBreadth is the largest Max-Breadth taken over from a request, and the one for requests without.
	// Default 60 (RFC 5393, Section 5.3.3).
	MaxBreadth int
	// RecurseRedirects makes the Core try the contacts of a 3xx by itself. Default: the response goes upstream.
	RecurseRedirects bool
	// DialogKey is the secret that dialog tokens are signed with. Default: a random one, so that dialogs of
	// strangers do not survive a restart, and no other node knows them. At least 16 bytes are wise.
	DialogKey []byte
	// DialogKeyBefore is a secret whose tokens are good as well: that of a Core which this one follows. Default: none.
	DialogKeyBefore []byte
	// Forwarded is told how long each request took from the User's call to its being sent, with looking up and
	// dialing. It must be quick. nil: nobody.
	Forwarded func(d time.Duration)
	// MeasureOneIn is of how many requests one is measured for Forwarded, chosen by chance. Default 1: each.
	MeasureOneIn int
	// Trace is asked of each request whether it is followed: it returns what is told of it, or nil. nil: none is.
	Trace func(req *sip.Message, src *transaction.Source) Span
	// Logger gets a line for what an operator may want to follow. Default: none.
	Logger *slog.Logger
}

// Core is the proxy core of RFC 3261, Section 16. Its methods may be called from any goroutine.
type Core struct {
	net        Network
	layer      *transaction.Layer
	timerC     time.Duration
	maxBreadth int
	recurse    bool
	forwarded  func(time.Duration)
	trace      func(*sip.Message, *transaction.Source) Span
	oneIn      uint32
	log        *slog.Logger

	seed     maphash.Seed // of loop hashes
	contexts sync.Pool    // of *ResponseContext that are over
	acks     sync.Pool    // of *ack
	rules    atomic.Pointer[ruleSet]
	stats    counters
}

// New makes a Core. It starts nothing.
func New(cfg Config) *Core {
	c := &Core{
		net: cfg.Network, layer: cfg.Transactions, timerC: cfg.TimerC, maxBreadth: cfg.MaxBreadth,
		recurse: cfg.RecurseRedirects, forwarded: cfg.Forwarded, trace: cfg.Trace, oneIn: uint32(max(cfg.MeasureOneIn, 1)),
		log: cfg.Logger, seed: maphash.MakeSeed(),
	}
	if c.timerC <= minTimerC {
		c.timerC = minTimerC + time.Second
	}
	if c.maxBreadth <= 0 {
		c.maxBreadth = defaultBreadth
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	key := cfg.DialogKey
	if len(key) == 0 {
		key = make([]byte, 32)
		_, _ = rand.Read(key) // never fails: crypto/rand ends the program first
	}
	if len(cfg.Rules.DialogKey) == 0 {
		cfg.Rules.DialogKey = key
	}
	if len(cfg.DialogKeyBefore) > 0 {
		c.rules.Store(&ruleSet{keys: (*keyring)(nil).turn(cfg.DialogKeyBefore)})
	}
	c.Update(cfg.Rules)
	return c
}

// DialogKeys returns the secrets that dialog tokens are good by: the one in force, and the one before it, nil when
// there was none. They must not be changed.
func (c *Core) DialogKeys() (now, before []byte) {
	k := c.rules.Load().keys
	return k.key, k.keyBefore
}

// Update puts other rules in place. Requests that are under way keep those that they began with.
func (c *Core) Update(r Rules) {
	s := compile(r)
	if s.timerC = r.TimerC; s.timerC <= minTimerC {
		s.timerC = c.timerC
	}
	var keys *keyring
	if old := c.rules.Load(); old != nil {
		keys = old.keys
	}
	s.keys = keys.turn(r.DialogKey)
	c.rules.Store(s)
}

var _ transaction.User = (*Core)(nil)

// Request takes a new request from its server transaction (RFC 3261, Section 16.2).
func (c *Core) Request(tx *transaction.Server, req *sip.Message, src *transaction.Source) {
	var started time.Time
	if c.forwarded != nil && (c.oneIn == 1 || mathrand.Uint32N(c.oneIn) == 0) {
		started = time.Now()
	}
	c.stats.requests.count(req.Method())
	ctx := c.newContext(tx, started)
	if c.trace != nil {
		ctx.span = c.trace(req, src)
	}
	p := &ctx.plan
	switch err := c.newPlan(p, req, src); {
	case err != nil:
		ctx.responded(err.Status)
		c.refuse(tx, req, p.domain, err)
	case p.local:
		c.answer(tx, p)
	default:
		ctx.begin()
	}
	ctx.drop()
}

// ServerFailed takes note of a response that did not reach the client. The protocol asks for nothing more
// (RFC 3261, Section 16.9).
func (c *Core) ServerFailed(*transaction.Server, error) { c.stats.undelivered.Add(1) }
