package resolve

// RFC 3263, Section 4.1 and RFC 3263, Section 4.2: from a target to hosts, ports and transports, by way of DNS.

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/sipaddr"
)

// lookup is one walk through DNS for one target. It belongs to one goroutine.
type lookup struct {
	r       *Resolver
	now     time.Time // when it began
	explain bool
	steps   []Step    // only with explain
	expires time.Time // the soonest of what was used so far; zero: nothing yet
}

// choice is a transport to try, and the SRV records that say where.
type choice struct {
	transport sipaddr.Transport
	srv       string // owner name of the SRV records
}

// errAbsent says that DNS answered, and that what we asked for is not there. It never leaves the room.
var errAbsent = errors.New("absent")

// locate walks the whole way and gives a plan, which holds an error if it leads nowhere.
func (l *lookup) locate(ctx context.Context, t target) *plan {
	generation := l.r.hosts.generation.Load() // before the file is looked at, so that a change is noticed
	p := l.find(ctx, t)
	p.hosts = generation
	switch {
	case p.err == nil && l.expires.IsZero():
		p.expires = l.now.Add(l.r.cfg.MaxTTL)
	case errors.Is(p.err, ErrTemporary):
		p.expires = time.Now().Add(failureTTL)
	case p.err != nil:
		p.expires = l.now.Add(l.r.cfg.NegativeTTL)
		if !l.expires.IsZero() && l.expires.Before(p.expires) {
			p.expires = l.expires
		}
	default:
		p.expires = l.expires
	}
	if p.err == nil {
		p.last = p.expires.Add(l.r.cfg.MaxStale)
		p.settle(l.r.cfg.MaxTargets)
	}
	return p
}

// find is locate without the times.
func (l *lookup) find(ctx context.Context, t target) *plan {
	// RFC 3263, Section 4.2: a port makes SRV records pointless. Nor has a name of this machine any.
	if t.port != 0 || isLocalhost(t.host) {
		return l.plain(ctx, t, l.fallback(t))
	}
	known := len(l.r.hosts.find(t.host, l.r.cfg)) > 0
	asking := ctx
	if known { // then DNS may add to what we know, but not hold us up
		var cancel context.CancelFunc
		asking, cancel = context.WithTimeout(ctx, l.r.cfg.Timeout)
		defer cancel()
	}
	p := l.services(asking, t)
	switch {
	case errors.Is(p.err, errAbsent):
		q := l.plain(ctx, t, p.choice(l.fallback(t)))
		q.offersTLS = p.offersTLS
		return q
	case known && errors.Is(p.err, ErrTemporary):
		l.holds(l.now.Add(failureTTL))
		return l.plain(ctx, t, l.fallback(t))
	}
	return p
}

// choice is the transport that NAPTR records chose although they led to no SRV records, or else t.
func (p *plan) choice(t sipaddr.Transport) sipaddr.Transport {
	if p.chosen != sipaddr.Unknown {
		return p.chosen
	}
	return t
}

// fallback is the transport where DNS does not say (RFC 3263, Section 4.1).
func (l *lookup) fallback(t target) sipaddr.Transport {
	if t.transport != sipaddr.Unknown {
		return t.transport
	}
	return l.r.defaultTransport(t.secure)
}

// services goes through NAPTR and SRV records. The error of its plan is errAbsent when there are none, and
// then addresses of the host itself are to be used.
func (l *lookup) services(ctx context.Context, t target) *plan {
	p := &plan{}
	choices := []choice{{t.transport, serviceOf(t.transport).srv + t.host}}
	if t.transport == sipaddr.Unknown {
		records, err := l.ask(ctx, question{t.host, typeNAPTR})
		if err != nil && !errors.Is(err, errAbsent) {
			return &plan{err: temporary(t.host, err)}
		}
		p.offersTLS = records.offersTLS()
		if choices = l.r.choose(records, t.secure); len(choices) > 0 {
			p.chosen = choices[0].transport
		} else if choices = l.r.guesses(t); len(choices) > 1 {
			// RFC 3263, Section 4.1: one query for each transport; the answers are read in our order.
			var all []question
			for _, c := range choices {
				all = append(all, question{c.srv, typeSRV})
			}
			l.r.prefetch(ctx, all)
		}
	}
	refused, empty := false, false
	for _, c := range choices {
		// A failure is not an absence: what a failing server, or somebody in its place, can bring about
		// must not make us try a transport that is worth less.
		hops, err := l.srv(ctx, c)
		switch {
		case err == nil:
			p.hops = hops
			return p
		case errors.Is(err, errRefused):
			refused = refused || c.transport == p.choice(l.fallback(t))
		case errors.Is(err, errNoHost):
			empty = true
		case !errors.Is(err, errAbsent):
			p.err = temporary(t.host, err)
			return p
		}
	}
	p.err = errAbsent
	if refused || empty { // there were SRV records, so RFC 3263, Section 4.2 does not lead to the host itself
		p.err = notFound(t.host)
	}
	return p
}

// guesses are the SRV records to ask for when no NAPTR record tells.
func (r *Resolver) guesses(t target) []choice {
	var all []choice
	for _, tr := range r.cfg.Transports {
		// RFC 3263, Section 4.2: _sips also for a sip URI, if we wish to use TLS; having it, we do.
		if !t.secure || tr.Secure() {
			all = append(all, choice{tr, serviceOf(tr).srv + t.host})
		}
	}
	return all
}

// plain uses the addresses of the host itself.
func (l *lookup) plain(ctx context.Context, t target, transport sipaddr.Transport) *plan {
	addrs, err := l.addresses(ctx, t.host)
	switch {
	case errors.Is(err, errAbsent):
		return &plan{err: notFound(t.host)}
	case err != nil:
		return &plan{err: temporary(t.host, err)}
	}
	h := hop{}
	for _, a := range addrs {
		h.addresses = append(h.addresses, resolved(a, t.port, transport))
	}
	return &plan{hops: []hop{h}}
}

// errRefused says that the domain says that it has no such service; errNoHost that no host of the SRV
// records has an address.
var (
	errRefused = errors.New("service decidedly not available")
	errNoHost  = errors.New("no SRV target has an address")
)

// srv finds the hosts of one service and their addresses.
func (l *lookup) srv(ctx context.Context, c choice) ([]hop, error) {
	records, err := l.ask(ctx, question{c.srv, typeSRV})
	if err != nil {
		return nil, err
	}
	// RFC 2782, "Target": the root as the target says that the service is not there.
	if len(records.srv) == 1 && records.srv[0].target == "" {
		return nil, errRefused
	}
	all := l.r.pick(records.srv)
	found := make([][]netip.Addr, len(all))
	errs := make([]error, len(all))
	l.r.prefetch(ctx, l.addressQuestions(all))
	for i, s := range all {
		found[i], errs[i] = l.addresses(ctx, s.target)
	}
	var hops []hop
	var failure error
	for i, s := range all {
		if errs[i] != nil && !errors.Is(errs[i], errAbsent) {
			failure = errs[i]
		}
		h := hop{priority: s.priority, weight: s.weight}
		for _, a := range found[i] {
			h.addresses = append(h.addresses, resolved(a, s.port, c.transport))
		}
		if len(h.addresses) > 0 {
			hops = append(hops, h)
		}
	}
	switch {
	case len(hops) == 0 && failure != nil:
		return nil, failure
	case len(hops) == 0:
		return nil, errNoHost
	case failure != nil: // better some hosts than none, but not for long
		l.holds(l.now.Add(failureTTL))
	}
	return hops, nil
}

// pick takes the SRV records that are looked up: those that come first by priority, and within one
// priority by a draw.
func (r *Resolver) pick(records []srvRecord) []srvRecord {
	all := slices.DeleteFunc(slices.Clone(records), func(s srvRecord) bool { return s.target == "" })
	if len(all) <= r.cfg.MaxTargets {
		return all
	}
	ranks := make([]ranked, len(all))
	for i, s := range all {
		ranks[i] = ranked{s.priority, s.weight, i}
	}
	r.draw(ranks, r.cfg.MaxTargets)
	picked := make([]srvRecord, r.cfg.MaxTargets)
	for i := range picked {
		picked[i] = all[ranks[i].index]
	}
	return picked
}

// addressQuestions are those whose answers srv is going to need.
func (l *lookup) addressQuestions(all []srvRecord) []question {
	var questions []question
	for _, s := range all {
		if len(l.r.hosts.find(s.target, l.r.cfg)) == 0 {
			questions = append(questions, l.r.addressTypes(s.target)...)
		}
	}
	return questions
}

// addressTypes are the questions for the addresses of a host, one for each family that we can use.
func (r *Resolver) addressTypes(host string) []question {
	var all []question
	if r.cfg.IPv6 {
		all = append(all, question{host, typeAAAA})
	}
	if r.cfg.IPv4 {
		all = append(all, question{host, typeA})
	}
	return all
}

// addresses finds the addresses of a host in all families that we can use (RFC 7984, Section 3.1), ordered
// by RFC 6724. Those of the hosts file come before DNS, and are taken in the order of the file.
func (l *lookup) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if addrs := l.r.hosts.find(host, l.r.cfg); len(addrs) > 0 {
		l.step(Step{Question: host, Type: "A/AAAA", Answer: joinAddrs(addrs), From: l.r.cfg.HostsFile})
		return addrs, nil
	}
	if isLocalhost(host) || !validName(host) {
		return nil, errAbsent
	}
	questions := l.r.addressTypes(host)
	if len(questions) > 1 {
		l.r.prefetch(ctx, questions)
	}
	var addrs []netip.Addr
	var failure error
	for _, q := range questions {
		records, err := l.ask(ctx, q)
		switch {
		case err == nil:
			addrs = append(addrs, records.addrs...)
		case !errors.Is(err, errAbsent):
			failure = err
		}
	}
	switch {
	case len(addrs) == 0 && failure != nil:
		return nil, failure
	case len(addrs) == 0:
		return nil, errAbsent
	case failure != nil: // one family is better than none, but not for long
		l.holds(l.now.Add(failureTTL))
	}
	l.r.sortAddresses(addrs)
	return addrs[:min(len(addrs), l.r.cfg.MaxTargets)], nil
}

// ask gives the records of a question, from what is kept or from a server, and takes their TTL into
// account.
func (l *lookup) ask(ctx context.Context, q question) (*records, error) {
	rec := l.r.lookup(ctx, q)
	if l.explain {
		l.step(rec.step(q, l.now))
	}
	if rec.err == nil || errors.Is(rec.err, errAbsent) {
		l.holds(rec.expires)
	}
	return rec, rec.err
}

// holds notes until when something holds that the plan rests on.
func (l *lookup) holds(until time.Time) {
	if l.expires.IsZero() || until.Before(l.expires) {
		l.expires = until
	}
}

// step notes a step for Explain.
func (l *lookup) step(s Step) {
	if l.explain {
		l.steps = append(l.steps, s)
	}
}

// joinAddrs lists addresses for people.
func joinAddrs(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}
