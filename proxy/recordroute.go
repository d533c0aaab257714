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

// appendBack appends the parameters of our Record-Route values that let requests of the far side come back to the
// one that is next to us on this side: the element that record-routed last, or the Contact.
func (p *plan) appendBack(dst []byte) []byte {
	value, ok := p.req.FirstValue(sip.FieldRecordRoute)
	if !ok {
		value, ok = p.req.FirstValue(sip.FieldContact)
	}
	var u sip.URI
	if !ok || !uriOf(value, &u) {
		return dst
	}
	cl := claim{reference: p.from.Reference, domain: p.rules.claimed(p.backDomain()), special: p.backSpecial(&u)}
	return p.rules.keys.now.appendParams(dst, p.callID, &u, cl)
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

// recordRoute writes our Record-Route values into the request that an attempt sends: the one for the far side first, and another
// one for the near side when that knows us by another URI (RFC 5658, Section 5). It notes what the responses need, in one piece of
// memory; room is free space.
func (p *plan) recordRoute(e *sip.Edit, u *upstream, t *target, back, room []byte) {
	u.far = p.ownURI(u.flow.URI())
	if near := p.ownURI(sourceURI(p.src)); near != u.far {
		u.near = near
	}
	b := room[len(room):]
	b = append(b, back...)
	b = append(b, p.callID...)
	b = append(b, provedBy(u.flow, t)...)
	text := string(b)
	n := len(back)
	u.back, u.callID, u.reference = text[:n], text[n:n+len(p.callID)], text[n+len(p.callID):]
	u.domain, u.reach = p.rules.claimed(p.domain), t.reach
	if u.near != "" {
		e.Prepend(sip.FieldRecordRoute, "<", u.near, ";lr", u.back, ">")
	}
	e.Prepend(sip.FieldRecordRoute, "<", u.far, ";lr", u.back, ">")
}

// wrote reports whether a value of Record-Route is one of ours, with the URI given.
func (u *upstream) wrote(value, uri string) bool {
	rest, ok := strings.CutPrefix(value, "<")
	if ok {
		rest, ok = strings.CutPrefix(rest, uri)
	}
	if ok {
		rest, ok = strings.CutPrefix(rest, ";lr")
	}
	if ok {
		rest, ok = strings.CutPrefix(rest, u.back)
	}
	return ok && rest == ">"
}

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
	if s, ok := strings.CutSuffix(rest, ";transport=tls-sctp"); ok {
		return "sips:" + s + ";transport=sctp"
	}
	return uri // a flow without TLS: a SIPS URI would lead nowhere
}

// rewriteRecordRoute signs our Record-Route values in a response anew: the client that reads them will send
// requests to the far side. A response that makes no dialog gets no token, above all not the one for the other way.
func (u *upstream) rewriteRecordRoute(e *sip.Edit, resp *sip.Message, last *signed) {
	if resp.Count(sip.FieldRecordRoute) == 0 {
		return
	}
	// The first that is ours is the one of this pass, should the request have spiralled.
	i, above, far, near := 0, "", -1, -1
	for v := range resp.Values(sip.FieldRecordRoute) {
		if far >= 0 {
			if u.near != "" && u.wrote(v, u.near) {
				near = i
			}
			break
		}
		if u.wrote(v, u.far) {
			far = i
		} else {
			above = v
		}
		i++
	}
	if far < 0 {
		return
	}
	switch {
	case resp.StatusCode() >= 300:
		above = ""
	case far == 0:
		above, _ = resp.FirstValue(sip.FieldContact)
	}
	if !last.done || last.to != above {
		*last = u.forth(above)
	}
	e.ReplaceValue(sip.FieldRecordRoute, far, "<", u.far, ";lr", last.params, ">")
	if near >= 0 {
		e.ReplaceValue(sip.FieldRecordRoute, near, "<", u.near, ";lr", last.params, ">")
	}
}

// forth returns the parameters of our Record-Route values that let the client's further requests go on to the far side, to
// the URI in a value of Record-Route or Contact. Without a URI nothing is signed. It keeps nothing of value, which may be
// part of a message.
func (u *upstream) forth(value string) signed {
	b := getBuffer()
	defer putBuffer(b)
	*b = u.appendForth(append(*b, value...), value)
	text, n := string(*b), len(value)
	return signed{done: true, to: text[:n], params: text[n:]}
}

// appendForth appends those parameters.
func (u *upstream) appendForth(dst []byte, value string) []byte {
	var to sip.URI
	if !uriOf(value, &to) {
		return dst
	}
	cl := claim{reference: u.reference, domain: u.domain}
	if ip, ok := to.IP(); !ok || isSpecial(plainAddr(ip)) {
		if u.reach.any {
			cl.special = anySpecial
		} else if u.reach.one.IsValid() {
			cl.special = u.reach.one.String()
		}
	}
	return u.rules.keys.now.appendParams(dst, u.callID, &to, cl)
}

// provedBy returns the name that the far side of a flow proved when it is secured, and under which it can be
// authenticated again.
func provedBy(f Flow, t *target) string {
	if !f.Transport().Secure() {
		return ""
	}
	name := t.proved()
	if p, ok := f.(interface{ Proved(string) string }); ok {
		return p.Proved(name)
	}
	return name
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

// uriOf reads the URI in a value of Record-Route or Contact, and reports whether there is one.
func uriOf(value string, u *sip.URI) bool {
	var na sip.NameAddr
	return na.Parse(value) == nil && u.Parse(na.Addr) == nil
}
