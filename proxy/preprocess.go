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
	var values []string
	if p.req.Count(sip.FieldRoute) > 0 {
		for v := range p.req.Values(sip.FieldRoute) {
			if len(values) == maxRoutes {
				return statusError(483, "too many Route values")
			}
			values = append(values, v)
		}
	}
	if err := p.mendStrict(&values); err != nil {
		return err
	}
	p.stripMaddr()
	for len(values) > 0 {
		u, text, err := routeURI(values[0])
		if err != nil {
			return err
		}
		if !p.rules.isSelf(u) {
			_, lr := u.Param("lr")
			p.hasRoute, p.next, p.nextText, p.strict = true, u, text, !lr
			break
		}
		// Both entries of a double Record-Route (RFC 5658, Section 5) and repeated ones go at once: sending the
		// request to ourselves would change nothing.
		p.pop(u)
		p.pops++
		values = values[1:]
	}
	if to, err := p.req.To(); err == nil {
		p.dialog = to.Tag() != "" && (p.pops > 0 || p.unlast)
	}
	return nil
}

// mendStrict undoes what a strict router before us did: it put our Record-Route value into the Request-URI, and
// the Request-URI behind the Route values.
func (p *plan) mendStrict(values *[]string) *StatusError {
	n := len(*values)
	if n == 0 || p.uri.User != "" || !p.rules.isSelf(p.uri) {
		return nil
	}
	if _, lr := p.uri.Param("lr"); !lr {
		return nil
	}
	p.pop(p.uri)
	u, text, err := routeURI((*values)[n-1])
	if err != nil {
		return err
	}
	if i := strings.IndexByte(text, '?'); i >= 0 && u.IsSIP() {
		// Header fields are not allowed in a Request-URI: RFC 3261, Section 16.6 item 2.
		text, u.Headers = text[:i], ""
	}
	p.uri, p.uriText, p.mended, p.unlast = u, text, true, true
	*values = (*values)[:n-1]
	return nil
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
		p.claims = append(p.claims, cl)
	}
}

// routeURI parses one value of Route, Record-Route or Contact.
func routeURI(value string) (*sip.URI, string, *StatusError) {
	na, err := sip.ParseNameAddr(value)
	if err != nil {
		return nil, "", &StatusError{Status: 400, Warning: "bad Route", Err: err}
	}
	u, err := na.URI()
	if err != nil {
		return nil, "", &StatusError{Status: 400, Warning: "bad URI in Route", Err: err}
	}
	return u, na.Addr, nil
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
