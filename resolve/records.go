package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	typeA     = dns.TypeA
	typeAAAA  = dns.TypeAAAA
	typeSRV   = dns.TypeSRV
	typeNAPTR = dns.TypeNAPTR

	maxRecords  = 128             // kept of one answer; by priority, so that the best stay
	maxAliases  = 8               // CNAME records followed for one question
	noSOATTL    = 5 * time.Second // how long "no" is kept when no SOA record tells
	maxPrefetch = 8               // questions of one look-up on their way at once
)

// errAliases says that CNAME records run in a circle, or seem to.
var errAliases = fmt.Errorf("%w: too many CNAME records", errAbsent)

// question is a name and a type of records.
type question struct {
	name  string // lower case, without the final dot
	qtype uint16
}

// records are the answer to one question, as far as we need it. They do not change once they are made.
type records struct {
	addrs   []netip.Addr
	srv     []srvRecord   // by priority
	naptr   []naptrRecord // by order, then by preference
	err     error         // errAbsent, or why DNS failed
	from    string        // the server that answered
	at      time.Time     // when
	expires time.Time
}

// srvRecord is an SRV record. The target is lower case without the final dot: empty for the root.
type srvRecord struct {
	priority, weight, port uint16
	target                 string
}

// negative and expiry are for the cache.
func (rec *records) negative() bool    { return rec.err != nil }
func (rec *records) expiry() time.Time { return rec.expires }

// asking is a question that is on its way, however many wait for its answer.
type asking struct {
	done chan struct{}
	rec  *records // written before done is closed
}

// lookup answers a question from what is kept, or asks.
func (r *Resolver) lookup(ctx context.Context, q question) *records {
	for {
		if rec := r.records.get(q.name, q); rec != nil && time.Now().Before(rec.expires) {
			return rec
		}
		r.mu.Lock()
		a, first := r.asking[q], false
		if a == nil {
			a, first = &asking{done: make(chan struct{})}, true
			r.asking[q] = a
		}
		r.mu.Unlock()
		if first {
			a.rec = r.fetch(ctx, q)
			if a.rec.err == nil || errors.Is(a.rec.err, errAbsent) {
				r.records.put(q.name, q, a.rec)
			}
			r.mu.Lock()
			delete(r.asking, q)
			r.mu.Unlock()
			close(a.done)
			return a.rec
		}
		select {
		case <-a.done:
			// Whoever asked may have had less time than we have.
			if interrupted(a.rec.err) && ctx.Err() == nil {
				continue
			}
			return a.rec
		case <-ctx.Done():
			return &records{err: context.Cause(ctx)}
		}
	}
}

// interrupted tells whether somebody gave up, as opposed to DNS having failed.
func interrupted(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// prefetch asks several questions at once and returns when each is answered or has failed. The answers are
// kept; whoever needs one asks for it.
func (r *Resolver) prefetch(ctx context.Context, all []question) {
	all = slices.Compact(all)
	if len(all) == 0 {
		return
	}
	work := make(chan question, len(all))
	for _, q := range all {
		work <- q
	}
	close(work)
	var wg sync.WaitGroup
	for range min(len(all), maxPrefetch) {
		wg.Add(1)
		// Ends when no question is left; we wait for it, and ctx bounds each question.
		go func() {
			defer wg.Done()
			for q := range work {
				r.lookup(ctx, q)
			}
		}()
	}
	wg.Wait()
}

// fetch asks the servers, and follows CNAME records to where an answer leaves them open.
func (r *Resolver) fetch(ctx context.Context, q question) *records {
	rec := &records{}
	ttl := r.cfg.MaxTTL
	for name, aliases := q.name, 0; ; {
		m, server, err := r.exchange(ctx, question{name, q.qtype})
		if err != nil {
			rec.err = err
			return rec
		}
		rec.from, rec.at = server.String(), time.Now()
		next := rec.read(m, name, q.qtype, &aliases, &ttl)
		switch {
		case len(rec.addrs)+len(rec.srv)+len(rec.naptr) > 0:
			rec.expires = rec.at.Add(max(ttl, r.cfg.MinTTL))
			return rec
		case aliases > maxAliases:
			rec.err = errAliases
		case next == name || m.Rcode == dns.RcodeNameError:
			rec.err = errAbsent
		default:
			name = next
			continue
		}
		rec.expires = rec.at.Add(max(min(ttl, negativeTTL(m), r.cfg.NegativeTTL), r.cfg.MinTTL))
		return rec
	}
}

// negativeTTL is how long the message says that there is nothing (RFC 2308, Section 5).
func negativeTTL(m *dns.Msg) time.Duration {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return time.Duration(min(soa.Hdr.Ttl, soa.Minttl)) * time.Second
		}
	}
	return noSOATTL
}

// read takes what belongs to the question out of a message: the records of the name, or of the name that
// its CNAME records lead to, which it returns. Whatever else is in there, additional records too, nobody
// asked for, and it is left alone. It shortens ttl to that of the records used.
func (rec *records) read(m *dns.Msg, name string, qtype uint16, aliases *int, ttl *time.Duration) string {
	for *aliases <= maxAliases {
		var next string
		for _, rr := range m.Answer {
			h := rr.Header()
			if h.Class != dns.ClassINET || plainName(h.Name) != name {
				continue
			}
			if cname, ok := rr.(*dns.CNAME); ok && next == "" {
				next = plainName(cname.Target)
			} else if h.Rrtype != qtype || !rec.add(rr) {
				continue
			}
			*ttl = min(*ttl, time.Duration(h.Ttl)*time.Second)
		}
		if next == "" || !validName(next) || len(rec.addrs)+len(rec.srv)+len(rec.naptr) > 0 {
			break
		}
		name = next
		*aliases++
	}
	slices.SortStableFunc(rec.srv, func(a, b srvRecord) int { return int(a.priority) - int(b.priority) })
	slices.SortStableFunc(rec.naptr, compareNAPTR)
	rec.addrs = rec.addrs[:min(len(rec.addrs), maxRecords)]
	rec.srv = slices.Clip(rec.srv[:min(len(rec.srv), maxRecords)])
	rec.naptr = rec.naptr[:min(len(rec.naptr), maxRecords)]
	return name
}

// add takes one record, if it is of use.
func (rec *records) add(rr dns.RR) bool {
	switch rr := rr.(type) {
	case *dns.A:
		return rec.addAddr(netip.AddrFromSlice(rr.A))
	case *dns.AAAA:
		return rec.addAddr(netip.AddrFromSlice(rr.AAAA))
	case *dns.SRV:
		target := plainName(rr.Target)
		if target != "" && (rr.Port == 0 || !validName(target)) {
			return false // nothing can be reached there
		}
		rec.srv = append(rec.srv, srvRecord{rr.Priority, rr.Weight, rr.Port, target})
	case *dns.NAPTR:
		rec.naptr = append(rec.naptr, readNAPTR(rr))
	default:
		return false
	}
	return true
}

// addAddr takes an address.
func (rec *records) addAddr(a netip.Addr, ok bool) bool {
	if ok {
		rec.addrs = append(rec.addrs, a.Unmap())
	}
	return ok
}

// plainName gives a name as our keys have it.
func plainName(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }

// step tells the records for people; began is when the look-up did.
func (rec *records) step(q question, began time.Time) Step {
	s := Step{Question: q.name, Type: dns.TypeToString[q.qtype], From: rec.from, Cached: rec.at.Before(began)}
	s.TTL = max(0, time.Until(rec.expires)).Round(time.Second)
	var parts []string
	switch {
	case errors.Is(rec.err, errAliases):
		s.Answer = "too many CNAME records"
	case errors.Is(rec.err, errAbsent):
		s.Answer = "none"
	case rec.err != nil:
		s.Answer = rec.err.Error()
	case len(rec.addrs) > 0:
		s.Answer = joinAddrs(rec.addrs)
	}
	for _, r := range rec.srv {
		parts = append(parts, fmt.Sprintf("%d %d %d %s", r.priority, r.weight, r.port, r.target+"."))
	}
	for _, n := range rec.naptr {
		parts = append(parts, n.String())
	}
	if len(parts) > 0 {
		s.Answer = strings.Join(parts, ", ")
	}
	return s
}
