package resolve

// RFC 2782, "The format of the SRV RR": priorities and weights.

import (
	"math/rand/v2"
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
	ended     time.Time          // when the TTL was over, if stale
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
	p.fixed = flatten(p.hops, most)
}

// flatten lists the addresses of hops in their order: each once, and no more than most.
func flatten(hops []hop, most int) []sipaddr.Resolved {
	n := 0
	for i := range hops {
		n += len(hops[i].addresses)
	}
	all := make([]sipaddr.Resolved, 0, min(n, most))
	for i := range hops {
		for _, a := range hops[i].addresses {
			if len(all) == most {
				return all
			}
			if !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all
}

// order gives the addresses of a plan in an order that obeys priorities and weights. The addresses of two
// hosts are never mixed (RFC 7984, Section 4).
func (r *Resolver) order(p *plan) []sipaddr.Resolved {
	if p.fixed != nil {
		return p.fixed
	}
	var space [16]hop // on the stack: a plan rarely has more
	hops := append(space[:0], p.hops...)
	random, unlock := r.chance()
	shuffle(hops, len(hops), func(h *hop) (uint16, uint16) { return h.priority, h.weight }, random)
	unlock()
	return flatten(hops, r.cfg.MaxTargets)
}

// chance gives the injected source of randomness, locked, or nil for the runtime's own.
func (r *Resolver) chance() (random *rand.Rand, unlock func()) {
	if r.random == nil {
		return nil, func() {}
	}
	r.randomMu.Lock()
	return r.random, r.randomMu.Unlock
}

// shuffle orders items, sorted by priority, within each priority, until the first k stand.
func shuffle[T any](items []T, k int, rank func(*T) (priority, weight uint16), random *rand.Rand) {
	for len(items) > 0 && k > 0 {
		first, _ := rank(&items[0])
		n := 1
		for n < len(items) {
			if priority, _ := rank(&items[n]); priority != first {
				break
			}
			n++
		}
		weigh(items[:n], k, func(item *T) uint16 { _, weight := rank(item); return weight }, random)
		items, k = items[n:], k-n
	}
}

// weigh moves the first k of items, all of one priority, to the front in an order drawn by weight
// (RFC 2782). A nil random is the runtime's source. Two things that the algorithm of the RFC leaves open
// or a little crooked are set straight: it lets 0 be drawn so that a record of weight 0 has its small
// chance, and where there is none that chance would fall to the first record, so we draw from 1 then; and
// where all weights are 0 any order would do, so we draw evenly and spread the load.
func weigh[T any](items []T, k int, weight func(*T) uint16, random *rand.Rand) {
	draw := rand.IntN
	if random != nil {
		draw = random.IntN
	}
	for ; len(items) > 1 && k > 0; items, k = items[1:], k-1 {
		sum, zero := 0, -1
		for i := range items {
			w := int(weight(&items[i]))
			if sum += w; w == 0 && zero < 0 {
				zero = i
			}
		}
		var pick int
		switch {
		case sum == 0:
			pick = draw(len(items))
		case zero < 0:
			pick = reaches(items, 1+draw(sum), weight)
		default:
			if drawn := draw(sum + 1); drawn == 0 {
				pick = zero
			} else {
				pick = reaches(items, drawn, weight)
			}
		}
		picked := items[pick]
		copy(items[1:pick+1], items[:pick]) // keeps the order of the rest
		items[0] = picked
	}
}

// reaches finds the first item at which the running sum of weights is at least drawn, which is positive.
func reaches[T any](items []T, drawn int, weight func(*T) uint16) int {
	for i := range items {
		if drawn -= int(weight(&items[i])); drawn <= 0 {
			return i
		}
	}
	return len(items) - 1
}

// resolved puts a resolved address together; without a port it gets the default one of its transport.
func resolved(addr netip.Addr, port uint16, t sipaddr.Transport) sipaddr.Resolved {
	if port == 0 {
		port = t.DefaultPort()
	}
	return sipaddr.Resolved{AddrPort: netip.AddrPortFrom(addr, port), Transport: t}
}
