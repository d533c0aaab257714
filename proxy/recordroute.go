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

// appendRoute appends one of our Record-Route values. A request has the one for the far side first, and another one
// for the near side when that knows us by another URI (RFC 5658, Section 5).
func appendRoute[T string | []byte](dst []byte, uri string, params T) []byte {
	dst = append(append(dst, '<'), uri...)
	dst = append(append(dst, ";lr"...), params...)
	return append(dst, '>')
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
	return uri // a flow without TLS: a SIPS URI would lead nowhere
}

// forth is what is signed for the client, so that its further requests go on to the far side.
type forth struct {
	callID string
	claim  claim // without a token, and without special addresses, which depend on where they go
	reach  reach

	to     string    // what the values below were made for: the value whose URI is next on the far side
	routes [2]string // our Record-Route values in the response
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
	switch {
	case resp.StatusCode() >= 300:
		above = ""
	case at[0] == 0:
		above, _ = resp.FirstValue(sip.FieldContact)
	}
	if f := &a.forth; f.routes[0] == "" || f.to != above {
		f.to, f.routes = above, a.signed(above)
	}
	for j, v := range a.forth.routes {
		if at[j] >= 0 {
			e.ReplaceValue(sip.FieldRecordRoute, at[j], v)
		}
	}
}

// signed returns our Record-Route values with what lets the client's further requests go on to the URI in a value of
// Record-Route or Contact. Without a URI nothing is signed.
func (a *attempt) signed(to string) [2]string {
	room, text := getBuffer(), getBuffer()
	var u sip.URI
	if uriOf(to, &u) {
		*room = a.appendForth(*room, &u)
	}
	uri, _, _ := strings.Cut(a.out.routes[0][1:], ";lr")
	*text = appendRoute(*text, uri, *room)
	n := len(*text)
	if a.out.routes[1] != "" {
		uri, _, _ = strings.Cut(a.out.routes[1][1:], ";lr")
		*text = appendRoute(*text, uri, *room)
	}
	both := string(*text)
	putBuffer(room)
	putBuffer(text)
	return [2]string{both[:n], both[n:]}
}

// appendForth appends the parameters of our Record-Route values that let the client's further requests go on to the
// far side.
func (a *attempt) appendForth(dst []byte, to *sip.URI) []byte {
	f := &a.forth
	cl := f.claim
	if ip, ok := to.IP(); !ok || isSpecial(plainAddr(ip)) {
		if f.reach.any {
			cl.special = anySpecial
		} else if f.reach.one.IsValid() {
			cl.special = f.reach.one.String()
		}
	}
	return a.rules.keys.now.appendParams(dst, f.callID, to, cl)
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
