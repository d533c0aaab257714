package resolve

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// staleWait is how long a caller waits for DNS when an answer past its TTL is at hand.
const staleWait = 500 * time.Millisecond

// errBusy is the cause when Config.MaxLookups is reached.
var errBusy = errors.New("too many look-ups at once")

// flight is one look-up that is going on, however many wait for it.
type flight struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when plan is there
	plan   *plan         // written before done is closed
}

// counts is the Stats as it grows.
type counts struct {
	hits, lookups, refused, queries, failures, truncated, stale, downgrades atomic.Uint64
}

// fly joins the look-up of t or starts it. The look-up does not depend on who waits for it.
func (r *Resolver) fly(t target) (*flight, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.flights[t]; f != nil {
		return f, nil
	}
	if r.closed {
		return nil, ErrClosed
	}
	if len(r.flights) >= r.cfg.MaxLookups {
		r.counts.refused.Add(1)
		return nil, errBusy
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.LookupTimeout)
	f := &flight{cancel: cancel, done: make(chan struct{})}
	r.flights[t] = f
	r.running.Add(1)
	// Ends with the look-up: after Config.LookupTimeout, or when Close cancels it; Close waits for it.
	go func() {
		defer r.running.Done()
		defer cancel()
		r.counts.lookups.Add(1)
		l := &lookup{r: r, now: time.Now()}
		f.plan = r.keep(t, l.locate(ctx, t))
		r.mu.Lock()
		delete(r.flights, t)
		r.mu.Unlock()
		close(f.done)
	}()
	return f, nil
}

// keep puts a fresh plan in place of the one before and gives what is to be used. A failure never takes
// the place of an answer that may still be served.
func (r *Resolver) keep(t target, p *plan) *plan {
	now := time.Now()
	old := r.plans.get(t.host, t)
	if errors.Is(p.err, ErrTemporary) && old != nil && old.servable(now) {
		p = old.prolonged(now)
	}
	// RFC 3263, Section 7: TLS that vanishes from DNS may be an attack.
	if old != nil && old.offersTLS && p.err == nil && !p.offersTLS {
		r.counts.downgrades.Add(1)
		r.cfg.Logger.Warn("NAPTR records no longer offer TLS", "peer", t.host)
	}
	r.plans.put(t.host, t, p)
	return p
}

// Stats gives the counts up to now.
func (r *Resolver) Stats() Stats {
	c := &r.counts
	return Stats{
		Hits: c.hits.Load(), Lookups: c.lookups.Load(), Refused: c.refused.Load(),
		Queries: c.queries.Load(), Failures: c.failures.Load(), Truncated: c.truncated.Load(),
		Stale: c.stale.Load(), Downgrades: c.downgrades.Load(), SetBack: r.marks.setBack.Load(),
		Evicted: r.plans.evicted.Load() + r.records.evicted.Load(),
		Entries: r.plans.len() + r.records.len(),
	}
}
