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
	var room [8]string
	values := room[:0]
	if p.req.Count(sip.FieldRoute) > 0 {
		for v := range p.req.Values(sip.FieldRoute) {
			if len(values) == maxRoutes {
				return statusError(483, "too many Route values")
			}
			values = append(values, v)
		}
	}
	values, err := p.mendStrict(values)
	if err != nil {
		return err
	}
	p.stripMaddr()
	for _, value := range values {
		var u sip.URI
		text, err := routeURI(value, &u)
		if err != nil {
			return err
		}
		if !p.rules.isSelf(&u) {
			p.nextURI = u
			_, lr := u.Param("lr")
			p.hasRoute, p.next, p.nextText, p.strict = true, &p.nextURI, text, !lr
			break
		}
		// Both entries of a double Record-Route (RFC 5658, Section 5) and repeated ones go at once: sending the
		// request to ourselves would change nothing.
		p.pop(&u)
		p.pops++
	}
	if to, err := p.req.To(); err == nil {
		p.dialog = (p.pops > 0 || p.unlast) && to.Tag() != ""
	}
	return nil
}

// mendStrict undoes what a strict router before us did: it put our Record-Route value into the Request-URI, and
// the Request-URI behind the Route values. It returns the values that are left.
func (p *plan) mendStrict(values []string) ([]string, *StatusError) {
	n := len(values)
	if n == 0 || p.uri.User != "" || !p.rules.isSelf(p.uri) {
		return values, nil
	}
	if _, lr := p.uri.Param("lr"); !lr {
		return values, nil
	}
	p.pop(p.uri)
	u := new(sip.URI)
	text, err := routeURI(values[n-1], u)
	if err != nil {
		return nil, err
	}
	if i := strings.IndexByte(text, '?'); i >= 0 && u.IsSIP() {
		// Header fields are not allowed in a Request-URI: RFC 3261, Section 16.6 item 2.
		text, u.Headers = text[:i], ""
	}
	p.uri, p.uriText, p.mended, p.unlast = u, text, true, true
	return values[:n-1], nil
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

// routeURI reads the URI of one value of Route into u, and returns its text.
func routeURI(value string, u *sip.URI) (string, *StatusError) {
	var na sip.NameAddr
	if err := na.Parse(value); err != nil {
		return "", &StatusError{Status: 400, Warning: "bad Route", Err: err}
	}
	if err := u.Parse(na.Addr); err != nil {
		return "", &StatusError{Status: 400, Warning: "bad URI in Route", Err: err}
	}
	return na.Addr, nil
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
