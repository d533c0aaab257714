package proxy

// Record-Route: RFC 3261, Section 16.6 item 4 and RFC 3261, Section 16.7 item 8; RFC 5658, Section 5;
// RFC 5922, Section 7.5.

import (
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

// recordRoutes reports whether a request may make a dialog, so that we stay on its path. Of a method that nobody
// knows it must be supposed (RFC 3261, Section 16.6 item 4).
func recordRoutes(method string) bool {
	switch method {
	case sip.MethodInvite, sip.MethodSubscribe, sip.MethodRefer, sip.MethodNotify:
		return true
	}
	return !isKnownMethod(method)
}

// backToken returns the parameters of our Record-Route values that let requests of the far side come back to the
// one that is next to us on this side: the element that record-routed last, or the Contact.
func (p *plan) backToken() string {
	u := firstURI(p.req, sip.FieldRecordRoute)
	if u == nil {
		u = firstURI(p.req, sip.FieldContact)
	}
	if u == nil {
		return ""
	}
	cl := claim{reference: p.from.Reference, domain: p.rules.claimed(p.backDomain()), special: p.backSpecial(u)}
	return p.rules.keys.now.params(p.callID, u, cl)
}

// backDomain returns the local domain on whose behalf requests go back to the sender: that of its connection.
func (p *plan) backDomain() string {
	if sourceTransport(p.src).Secure() {
		if d, ok := p.rules.served[normalHost(p.src.LocalDomain)]; ok {
			return d.name
		}
	}
	return p.domain
}

// claimed returns what a claim says of a local domain: nothing when there is no other.
func (s *ruleSet) claimed(domain string) string {
	if len(s.served) < 2 {
		return ""
	}
	return domain
}

// recordRoute returns our Record-Route values for a request that leaves over a flow: the one for the far side
// first, and another one for the near side when that knows us by another URI (RFC 5658, Section 5).
func (p *plan) recordRoute(f Flow, params string) (values [2]string) {
	far, near := p.ownURI(f.URI()), p.ownURI(sourceURI(p.src))
	values[0] = routeValue(far, params)
	if near != "" && near != far {
		values[1] = routeValue(near, params)
	}
	return values
}

func routeValue(uri, params string) string { return "<" + uri + ";lr" + params + ">" }

// ownURI returns a URI of ours as a SIPS URI when the request has one (RFC 3261, Section 16.6 item 4).
func (p *plan) ownURI(uri string) string {
	if uri == "" || !(p.uri.Secure() || p.hasRoute && p.next.Secure()) {
		return uri
	}
	rest, ok := strings.CutPrefix(uri, "sip:")
	if !ok {
		return uri
	}
	if s, ok := strings.CutSuffix(rest, ";transport=tls"); ok {
		return "sips:" + s
	}
	return uri // a flow without TLS: a SIPS URI would lead nowhere
}

// rewriteRecordRoute signs our Record-Route values in a response anew: the client that reads them will send
// requests to the far side. A response that makes no dialog gets no token, above all not the one for the other way.
func (a *attempt) rewriteRecordRoute(e *sip.Edit, resp *sip.Message) {
	if a.out.routes[0] == "" || resp.Count(sip.FieldRecordRoute) == 0 {
		return
	}
	// The first that is ours is the one of this pass, should the request have spiralled.
	i, above, at := 0, "", [2]int{-1, -1}
	for v := range resp.Values(sip.FieldRecordRoute) {
		if at[0] >= 0 {
			if v == a.out.routes[1] && v != "" {
				at[1] = i
			}
			break
		}
		if v == a.out.routes[0] {
			at[0] = i
		} else {
			above = v
		}
		i++
	}
	if at[0] < 0 {
		return
	}
	params := ""
	if resp.StatusCode() < 300 {
		to := firstURI(resp, sip.FieldContact)
		if at[0] > 0 {
			to = uriOf(above)
		}
		params = a.forthParams(to)
	}
	for j, v := range a.out.routes {
		if at[j] >= 0 {
			uri, _, _ := strings.Cut(v[1:], ";lr")
			e.ReplaceValue(sip.FieldRecordRoute, at[j], routeValue(uri, params))
		}
	}
}

// forthParams returns the parameters of our Record-Route values that let the client's further requests go on to the
// far side.
func (a *attempt) forthParams(to *sip.URI) string {
	t := &a.b.target
	var cl claim
	if a.flow.Transport().Secure() {
		cl.reference = t.proved()
		if f, ok := a.flow.(interface{ Proved(string) string }); ok {
			cl.reference = f.Proved(cl.reference)
		}
	}
	if to != nil {
		if ip, ok := to.IP(); !ok || isSpecial(plainAddr(ip)) {
			if t.reach.any {
				cl.special = anySpecial
			} else if t.reach.one.IsValid() {
				cl.special = t.reach.one.String()
			}
		}
	}
	p := &a.b.ctx.plan
	cl.domain = p.rules.claimed(p.domain)
	return p.rules.keys.now.params(p.callID, to, cl)
}

// proved returns the name that the far side proved when the request was sent over a secured flow, "" for an address
// that nothing is known of.
func (t *target) proved() string {
	if t.reference != "" || t.hop == nil {
		return t.reference
	}
	host := normalHost(t.hop.Host)
	if isAddress(host) {
		return ""
	}
	return host
}

// firstURI returns the URI in the first value of a header field, nil when there is none that can be read.
func firstURI(m *sip.Message, f sip.Field) *sip.URI {
	if m.Count(f) == 0 {
		return nil
	}
	for v := range m.Values(f) {
		return uriOf(v)
	}
	return nil
}

func uriOf(value string) *sip.URI {
	na, err := sip.ParseNameAddr(value)
	if err != nil {
		return nil
	}
	u, err := na.URI()
	if err != nil {
		return nil
	}
	return u
}
