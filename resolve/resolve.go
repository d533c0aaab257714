package resolve

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// Errors of Resolve and Explain. They come wrapped; callers tell them apart with errors.Is.
var (
	// ErrNotFound says that DNS knows no such name, or no address for it. Asking again soon is of no use.
	ErrNotFound = errors.New("no address")
	// ErrTemporary says that DNS could not be asked, or did not answer. Asking later may help.
	ErrTemporary = errors.New("DNS failed")
	// ErrUnsupported says that the URI demands a transport, an address family or a scheme that we lack.
	ErrUnsupported = errors.New("unsupported")
	// ErrClosed says that Close was called. It is an ErrTemporary as well.
	ErrClosed = fmt.Errorf("%w: resolver closed", ErrTemporary)
)

// notFound is the error for a host without an address.
func notFound(host string) error { return &lookupError{ErrNotFound, "no address for", cut(host), nil} }

// temporary is the error for a host that could not be looked up.
func temporary(host string, cause error) error {
	return &lookupError{ErrTemporary, "DNS failed for", cut(host), cause}
}

// lookupError is an error with the name that was looked for.
type lookupError struct {
	kind       error // ErrNotFound or ErrTemporary
	text, host string
	cause      error // may be nil
}

// Error gives the text, such as `resolve: no address for "example.com"`.
func (e *lookupError) Error() string {
	s := fmt.Sprintf("resolve: %s %q", e.text, e.host)
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Unwrap gives the kind, and the cause when there is one.
func (e *lookupError) Unwrap() []error {
	if e.cause == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.cause}
}

// Answer is where a URI leads.
type Answer struct {
	// Addresses are the resolved addresses, in the order in which to try them; at least one, at most
	// Config.MaxTargets, none twice. The slice may be shared with other callers: do not change it.
	Addresses []sipaddr.Resolved
	// Expires is when the answer ceases to hold. Zero: never, for the URI has an IP address.
	Expires time.Time
	// Stale says that the answer is past its TTL and used because DNS fails.
	Stale bool
	// Steps are the questions that led here, in the order of their answers. Only Explain fills it.
	Steps []Step
}

// Step is one question on the way to an answer, for people.
type Step struct {
	Question string        // the name asked for, or the address that a mark is about
	Type     string        // NAPTR, SRV, A, AAAA, or "mark" for an address that is set back
	Answer   string        // the records, or why there are none
	TTL      time.Duration // how long the answer still holds; 0 when it is not kept
	From     string        // the server that answered, or the path of the hosts file; empty: nobody
	Cached   bool          // the answer was there before the look-up began
}

// Resolver finds resolved addresses. Its methods may be called at once from several goroutines.
type Resolver struct {
	cfg     Config // read only after New
	hosts   hosts
	servers []*server
	plans   cache[target, *plan]
	records cache[question, *records]
	marks   marks
	// literals are answers for URIs with an IP address.
	literals [256]atomic.Pointer[[1]sipaddr.Resolved]
	counts   counts
	queries  chan struct{} // holds a token for each question on its way

	// source finds the source address for a destination (RFC 6724, Section 4); tests replace it.
	source func(netip.Addr) netip.Addr

	randomMu sync.Mutex // guards the field below
	random   *rand.Rand // nil: the runtime's source

	mu      sync.Mutex // guards the fields below
	closed  bool
	flights map[target]*flight
	asking  map[question]*asking
	running sync.WaitGroup // the goroutines of flights
}

// New makes a Resolver. It reads the hosts file, asks nothing yet and starts nothing; Close ends what its methods start.
func New(c Config) (*Resolver, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Resolver{
		cfg:     c,
		plans:   newCache[target, *plan](c.MaxEntries),
		records: newCache[question, *records](c.MaxEntries),
		queries: make(chan struct{}, c.MaxQueries),
		source:  sourceAddress,
		flights: make(map[target]*flight),
		asking:  make(map[question]*asking),
	}
	r.hosts.path = c.HostsFile
	r.hosts.check(time.Now())
	for _, addr := range c.Servers {
		r.servers = append(r.servers, &server{addr: addr})
	}
	if c.Random != nil {
		r.random = rand.New(c.Random)
	}
	return r, nil
}

// Close ends all look-ups and returns when their goroutines have ended. Resolve fails with ErrClosed
// afterwards; Cached goes on with what it has.
func (r *Resolver) Close() {
	r.mu.Lock()
	r.closed = true
	for _, f := range r.flights {
		f.cancel()
	}
	r.mu.Unlock()
	r.running.Wait()
}

// Cached answers from what is kept, or says false. It never blocks and is made for each request: it
// allocates one slice at most, and none when the order is settled. The weights of SRV records are thrown
// anew for each call (RFC 2782), and addresses that fail are set back (see Failed). While DNS fails, an
// answer past its TTL is given, and asked for again behind the scenes.
func (r *Resolver) Cached(u *sip.URI) (Answer, bool) {
	t, addr, err := r.target(u)
	if err != nil {
		return Answer{}, false
	}
	if addr.IsValid() {
		return r.literal(t, addr), true
	}
	now := time.Now()
	r.hosts.check(now)
	p := r.plans.get(t.host, t)
	if p == nil || p.err != nil {
		return Answer{}, false
	}
	if !p.fresh(now, r.hosts.generation.Load()) {
		// DNS failed the last time, so waiting for it would hold up every call.
		if !p.stale || !p.servable(now) {
			return Answer{}, false
		}
		t.host = strings.Clone(t.host)
		_, _ = r.fly(t) // refused when too much is going on: then the next call tries
	}
	r.counts.hits.Add(1)
	return r.answer(p, now), true
}

// Resolve answers like Cached when it can and asks DNS when it can't, and then blocks until there is an
// answer or ctx is done; with an answer past its TTL at hand it waits half a second at most. The errors are
// ErrNotFound, ErrTemporary, ErrUnsupported, wrapped; a ctx that is done gives an ErrTemporary that wraps
// its cause.
func (r *Resolver) Resolve(ctx context.Context, u *sip.URI) (Answer, error) {
	t, addr, err := r.target(u)
	if err != nil {
		return Answer{}, err
	}
	if addr.IsValid() {
		return r.literal(t, addr), nil
	}
	now := time.Now()
	r.hosts.check(now)
	old := r.plans.get(t.host, t)
	if old != nil && old.fresh(now, r.hosts.generation.Load()) {
		r.counts.hits.Add(1)
		return r.answer(old, now), old.err
	}
	t.host = strings.Clone(t.host) // the key must not hold a whole message in memory
	f, err := r.fly(t)
	if err != nil {
		if old != nil && old.servable(now) {
			return r.answer(old, now), nil
		}
		return Answer{}, temporary(t.host, err)
	}
	var late <-chan time.Time // never, unless an old answer is at hand
	if old != nil && old.servable(now) {
		timer := time.NewTimer(staleWait)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-f.done:
		return r.answer(f.plan, time.Now()), f.plan.err
	case <-late:
		return r.answer(old, now), nil
	case <-ctx.Done():
		return Answer{}, temporary(t.host, context.Cause(ctx))
	}
}

// Explain answers like Resolve and tells the steps, also beside an error. It looks everything up anew from
// the DNS answers that are kept, leaves nothing behind but those, and takes no part in probing addresses.
func (r *Resolver) Explain(ctx context.Context, u *sip.URI) (Answer, error) {
	t, addr, err := r.target(u)
	if err != nil {
		return Answer{}, err
	}
	if addr.IsValid() {
		return r.literal(t, addr), nil
	}
	now := time.Now()
	r.hosts.check(now)
	ctx, cancel := context.WithTimeout(ctx, r.cfg.LookupTimeout)
	defer cancel()
	l := &lookup{r: r, now: now, explain: true}
	p := l.locate(ctx, t)
	if old := r.plans.get(t.host, t); errors.Is(p.err, ErrTemporary) && old != nil && old.servable(now) {
		p = old.prolonged(now)
	}
	if p.err != nil {
		return Answer{Steps: l.steps}, p.err
	}
	a := Answer{Addresses: r.order(p), Expires: p.expires, Stale: p.stale, Steps: l.steps}
	a.Addresses, a.Steps = r.marks.explain(a.Addresses, a.Steps, now)
	return a, nil
}

// literal is the answer for a URI with an IP address. The latest are kept, for the slice in them.
func (r *Resolver) literal(t target, addr netip.Addr) Answer {
	to := resolved(addr, t.port, t.transport)
	h := uint32(to.Port()) ^ uint32(to.Transport)<<8
	for _, x := range addr.As16() {
		h = h*31 + uint32(x)
	}
	place := &r.literals[uint8(h^h>>8^h>>16)]
	if list := place.Load(); list != nil && list[0] == to {
		return Answer{Addresses: list[:]}
	}
	list := &[1]sipaddr.Resolved{to}
	place.Store(list)
	return Answer{Addresses: list[:]}
}

// answer throws the weights of a plan and sets back the addresses that fail.
func (r *Resolver) answer(p *plan, now time.Time) Answer {
	if p.err != nil {
		return Answer{}
	}
	if p.stale {
		r.counts.stale.Add(1)
	}
	return Answer{Addresses: r.marks.arrange(r.order(p), now), Expires: p.expires, Stale: p.stale}
}

// Stats counts what a Resolver did since New. Entries is a level, the others only grow.
type Stats struct {
	Hits       uint64 // answers from what was kept
	Lookups    uint64 // URIs looked up
	Refused    uint64 // look-ups refused because of Config.MaxLookups
	Queries    uint64 // questions sent to servers, repeats counted
	Failures   uint64 // questions that a server did not answer, or answered with a failure
	Truncated  uint64 // answers fetched again over TCP
	Stale      uint64 // answers given past their TTL
	Evicted    uint64 // answers dropped because of Config.MaxEntries
	Downgrades uint64 // domains whose NAPTR records ceased to offer TLS
	SetBack    uint64 // addresses set back behind the others
	Entries    int    // answers kept, the DNS answers behind them counted too
}
