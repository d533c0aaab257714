package proxy

// RFC 3261, Section 16.4: route information preprocessing.

import (
	"strings"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// preprocess finds out which Route values are ours and what the Request-URI really is. Nothing is changed yet:
// the outgoing copy is edited from what is noted here.
func (p *plan) preprocess() *StatusError {
	var room [4]sip.Route
	routes := p.req.Routes(room[:0], maxRoutes+1)
	if len(routes) > maxRoutes {
		return statusError(483, "too many Route values")
	}
	routes = p.mendStrict(routes)
	p.stripMaddr()
	for i := range routes {
		r := &routes[i]
		if !p.rules.isSelf(&r.URI) {
			_, lr := r.URI.Param("lr")
			p.nextURI = r.URI
			p.hasRoute, p.next, p.nextText, p.strict = true, &p.nextURI, r.Text, !lr
			break
		}
		// Both entries of a double Record-Route (RFC 5658, Section 5) and repeated ones go at once: sending the
		// request to ourselves would change nothing.
		p.pop(&r.URI)
		p.pops++
	}
	if to, err := p.req.To(); err == nil {
		p.dialog = (p.pops > 0 || p.unlast) && to.Tag() != ""
	}
	return nil
}

// mendStrict undoes what a strict router before us did: it put our Record-Route value into the Request-URI, and
// the Request-URI behind the Route values. It returns the values that are left.
func (p *plan) mendStrict(routes []sip.Route) []sip.Route {
	n := len(routes)
	if n == 0 || p.uri.User != "" || !p.rules.isSelf(p.uri) {
		return routes
	}
	if _, lr := p.uri.Param("lr"); !lr {
		return routes
	}
	p.pop(p.uri)
	u, text := routes[n-1].URI, routes[n-1].Text
	if i := strings.IndexByte(text, '?'); i >= 0 && u.IsSIP() {
		// Header fields are not allowed in a Request-URI: RFC 3261, Section 16.6 item 2.
		text, u.Headers = text[:i], ""
	}
	p.uri, p.uriText, p.mended, p.unlast = &u, text, true, true
	return routes[:n-1]
}

// stripMaddr takes away a maddr that is ours, with the port and transport that go with it.
func (p *plan) stripMaddr() {
	maddr, ok := p.uri.Param("maddr")
	if !ok || !p.uri.IsSIP() || !p.rules.hosts[normalHost(maddr)] {
		return
	}
	if name := p.uri.Transport(); name != "" {
		if t, known := sipaddr.ParseTransport(name); !known || t != sourceTransport(p.src) {
			return
		}
	}
	if p.uri.Port != 0 && !p.rules.self[hostPort{normalHost(maddr), p.uri.Port}] {
		return
	}
	u := *p.uri
	u.Port, u.Params = 0, withoutParams(u.Params, "maddr", "transport")
	p.uri, p.uriText, p.mended = &u, u.String(), true
}

// pop notes what one of our own Route values says.
func (p *plan) pop(u *sip.URI) {
	if name, ok := p.rules.domainOf(u.Host); ok {
		p.popped = name // of two entries the last is the side that the request leaves by
	}
	if cl, ok := claimOf(u); ok {
		if p.claims == nil {
			p.claims = p.twoClaims[:0]
		}
		p.claims = append(p.claims, cl)
	}
}

// withoutParams returns raw URI parameters without those of the given names (lower case).
func withoutParams(params string, names ...string) string {
	if params == "" {
		return ""
	}
	var b strings.Builder
next:
	for part := range strings.SplitSeq(strings.TrimPrefix(params, ";"), ";") {
		name, _, _ := strings.Cut(part, "=")
		for _, n := range names {
			if strings.EqualFold(strings.TrimSpace(name), n) {
				continue next
			}
		}
		b.WriteByte(';')
		b.WriteString(part)
	}
	return b.String()
}
