package resolve

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-sip/tandem/sipaddr"
)

// staleRetry is how long an old answer is used before DNS is asked again, while DNS fails.
const staleRetry = 5 * time.Second

// failureTTL is how long a failure of DNS, or an answer that lacks something because of one, is kept.
const failureTTL = time.Second

// plan is the outcome of one look-up before the weights are thrown. It does not change once it is made.
type plan struct {
	hops      []hop              // by priority
	fixed     []sipaddr.Resolved // the order, when there is nothing to throw; shared by all callers
	err       error              // then there are no hops
	expires   time.Time          // when to ask again
	last      time.Time          // until when it may be used while DNS fails; zero: never
	stale     bool               // DNS failed when it was to be renewed
	chosen    sipaddr.Transport  // what NAPTR records chose; Unknown: there were none
	offersTLS bool               // there were NAPTR records with SIPS
	hosts     uint64             // generation of the hosts file that was read
}

// hop is one host to try, with its addresses in order. Without SRV records there is one.
type hop struct {
	priority, weight uint16
	addresses        []sipaddr.Resolved
}

// fresh tells whether the plan holds without asking.
func (p *plan) fresh(now time.Time, hosts uint64) bool {
	return now.Before(p.expires) && p.hosts == hosts
}

// servable tells whether the plan may be used while DNS fails.
func (p *plan) servable(now time.Time) bool { return p.err == nil && now.Before(p.last) }

// negative and expiry are for the cache, which drops the least useful first.
func (p *plan) negative() bool    { return p.err != nil }
func (p *plan) expiry() time.Time { return p.expires }

// prolonged gives the plan again for the time in which DNS is left alone.
func (p *plan) prolonged(now time.Time) *plan {
	q := *p
	q.stale = true
	q.expires = now.Add(staleRetry)
	if q.last.Before(q.expires) {
		q.expires = q.last
	}
	return &q
}

// settle finds out whether the order is the same each time, and writes it down then.
func (p *plan) settle(most int) {
	slices.SortStableFunc(p.hops, func(a, b hop) int { return int(a.priority) - int(b.priority) })
	for i := 1; i < len(p.hops); i++ {
		if p.hops[i].priority == p.hops[i-1].priority {
			return
		}
	}
	for i := range p.hops {
		p.fixed = appendNew(p.fixed, p.hops[i].addresses, most)
	}
}

// order gives the addresses of a plan in an order that obeys priorities and weights. The addresses of two
// hosts are never mixed (RFC 7984, Section 4).
func (r *Resolver) order(p *plan) []sipaddr.Resolved {
	if p.fixed != nil {
		return p.fixed
	}
	var space [16]ranked // on the stack: a plan rarely has more
	ranks := space[:0]
	for i := range p.hops {
		ranks = append(ranks, ranked{p.hops[i].priority, p.hops[i].weight, i})
	}
	r.draw(ranks, len(ranks))
	n := 0
	for i := range p.hops {
		n += len(p.hops[i].addresses)
	}
	all := make([]sipaddr.Resolved, 0, min(n, r.cfg.MaxTargets))
	for _, x := range ranks {
		all = appendNew(all, p.hops[x.index].addresses, r.cfg.MaxTargets)
	}
	return all
}

// appendNew appends the addresses that are not there yet, until there are most.
func appendNew(all, more []sipaddr.Resolved, most int) []sipaddr.Resolved {
	for _, a := range more {
		if len(all) < most && !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// resolved puts a resolved address together; without a port it gets the default one of its transport.
func resolved(addr netip.Addr, port uint16, t sipaddr.Transport) sipaddr.Resolved {
	if port == 0 {
		port = t.DefaultPort()
	}
	return sipaddr.Resolved{AddrPort: netip.AddrPortFrom(addr, port), Transport: t}
}
