package proxy

// Recursion on redirects, RFC 3261, Section 16.7 item 4: an option, off by default.

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

// maxContacts is how many contacts of one redirect are tried.
const maxContacts = 10

// recurse adds the contacts of a 3xx to the target set, if that is wanted and allowed, and ends the branch. It says
// whether it did.
func (ctx *ResponseContext) recurse(a *attempt, resp *sip.Message) bool {
	p := &ctx.plan
	if !p.core.recurse || resp.StatusCode()/100 != 3 || resp.Count(sip.FieldContact) == 0 {
		return false
	}
	if _, ours := p.rules.servedDomain(p.uri); !ours {
		return false // RFC 3261, Section 16.5: only the owner of a URI may change it
	}
	found := p.contacts(resp)
	ctx.mu.Lock()
	if a.over || ctx.closed {
		ctx.mu.Unlock()
		return false
	}
	added := false
	for _, t := range found {
		if ctx.hasTarget(t) {
			continue // RFC 3261, Section 16.5: no URI twice, so recursion ends
		}
		ctx.targets = append(ctx.targets, t)
		added = true
	}
	if !added {
		ctx.mu.Unlock()
		return false
	}
	slices.SortStableFunc(ctx.targets[ctx.next:], func(x, y target) int { return y.q - x.q })
	a.ended()
	a.b.end(nil)
	ctx.mu.Unlock()
	ctx.advance()
	return true
}

// contacts returns the contacts of a redirect as targets, the highest q first.
func (p *plan) contacts(resp *sip.Message) []target {
	var found []target
	for v := range resp.Values(sip.FieldContact) {
		na, err := sip.ParseNameAddr(v)
		if err != nil {
			continue
		}
		u, err := na.URI()
		if err != nil || !u.IsSIP() || p.uri.Secure() && !u.Secure() {
			continue
		}
		text := requestURI(u, na.Addr)
		q := 1000
		if s, ok := na.Param("q"); ok {
			if f, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil && f >= 0 && f <= 1 {
				q = int(f * 1000)
			}
		}
		found = append(found, target{hop: u, uri: text, q: q, reach: reach{any: p.from.Inside}})
		if len(found) == maxContacts {
			break
		}
	}
	return found
}

// hasTarget reports whether the set has the URI of a target already, or the Request-URI is it. The lock is held.
func (ctx *ResponseContext) hasTarget(t target) bool {
	if t.hop.Equal(ctx.plan.uri) {
		return true
	}
	for i := range ctx.targets {
		if ctx.targets[i].uri != "" && ctx.targets[i].hop.Equal(t.hop) {
			return true
		}
	}
	return false
}
