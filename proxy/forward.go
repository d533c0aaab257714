package proxy

// RFC 3261, Section 16.6 items 1 to 9: the copy that is sent.

import (
	"sync"

	"github.com/tandem-sip/tandem/sip"
)

// size returns a close upper bound of the bytes of the forwarded request: what was received, our Via, two
// Record-Route values, Max-Forwards and Max-Breadth.
func (p *plan) size() int {
	n := len(p.req.Raw()) + 200
	if recordRoutes(p.method) {
		n += 200
	}
	return n
}

// write appends the request for one attempt. Everything that is not changed stays byte for byte. back are the
// parameters of our Record-Route values.
func (p *plan) write(dst []byte, a *attempt, t *target, breadth int, back []byte) []byte {
	e := p.req.Edit()
	p.rewriteTarget(&e, t)

	// RFC 3261, Section 16.6 item 3; without one 70 is added.
	e.SetInt(sip.FieldMaxForwards, p.maxForwards-1)
	if p.method != sip.MethodAck && !(p.breadthSet && breadth == p.breadth) {
		e.SetInt(sip.FieldMaxBreadth, breadth)
	}
	if !p.from.TrustIdentity {
		removeAll(&e, p.req, &p.rules.untrusted)
	} else if !trusts(a.flow) {
		removePrivate(&e, p.req)
	}
	if recordRoutes(p.method) {
		p.recordRoute(&e, &a.upstream, t, back, dst)
	}
	via := a.flow.AppendVia(dst[len(dst):], a.branch)
	if p.offersKeep(a.flow) {
		via = append(via, ";keep"...)
	}
	e.PrependBytes(sip.FieldVia, via)
	return e.AppendTo(dst)
}

// offersKeep reports whether we are willing to send keepalives over a flow, and this request can say so: it makes a
// registration, or a dialog on whose path we stay (RFC 6223, Section 4.3).
func (p *plan) offersKeep(f Flow) bool {
	switch p.method {
	case sip.MethodRegister:
	case sip.MethodInvite, sip.MethodSubscribe, sip.MethodRefer:
		if to, err := p.req.To(); err != nil || to.Tag() != "" {
			return false
		}
	default:
		return false
	}
	k, ok := f.(interface{ Keep() bool })
	return ok && k.Keep()
}

// rewriteTarget writes the Request-URI and the Route (RFC 3261, Section 16.6 items 2 and 6).
func (p *plan) rewriteTarget(e *sip.Edit, t *target) {
	for range p.pops {
		e.RemoveFirst(sip.FieldRoute)
	}
	if p.unlast {
		e.RemoveLast(sip.FieldRoute)
	}
	uri, changed := p.uriText, p.mended
	if t.uri != "" {
		uri, changed = t.uri, true
	}
	if p.hasRoute && p.strict {
		// The next hop is a strict router: it wants its own URI in the Request-URI and the rest behind.
		e.RemoveFirst(sip.FieldRoute)
		e.Append(sip.FieldRoute, "<", uri, ">")
		uri, changed = requestURI(p.next, p.nextText), true
	}
	if changed {
		e.SetRequestURI(uri)
	}
}

// requestURI returns the text of a URI without what a Request-URI must not have (RFC 3261, Section 19.1.1).
func requestURI(u *sip.URI, text string) string {
	_, method := u.Param("method")
	if u.Headers == "" && !method {
		return text
	}
	c := *u
	c.Headers, c.Params = "", withoutParams(u.Params, "method")
	return c.String()
}

// buffers holds the buffers that outgoing messages are written into; whoever takes the bytes copies them.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 2048); return &b }}

func getBuffer() *[]byte {
	b := buffers.Get().(*[]byte)
	*b = (*b)[:0]
	return b
}

func putBuffer(b *[]byte) {
	if cap(*b) <= 64<<10 {
		buffers.Put(b)
	}
}
