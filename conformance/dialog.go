package conformance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

// finalTo waits for the final response to what the agent asked for.
func (c *probe) finalTo(a *ask) (final *reply) {
	c.await(c.p.cfg.Wait, func() bool {
		for _, r := range c.replies {
			if r.CallID() == a.sent.CallID() && r.StatusCode() >= 200 && r.Method() == a.sent.Method() {
				final = r
			}
		}
		return final != nil
	})
	return final
}

// within has the agent send a request within the dialog that a response has made, ACK or BYE:
// RFC 3261, Section 12.2.1.1.
func (c *probe) within(a *ask, made *reply, method string) {
	uri := a.uri
	if v, ok := made.FirstValue(sip.FieldContact); ok {
		if contact, err := sip.ParseNameAddr(v); err == nil {
			uri = contact.Addr
		}
	}
	routes := slices.Collect(made.Values(sip.FieldRecordRoute))
	slices.Reverse(routes)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=%s;rport\r\nMax-Forwards: 70\r\n", method, uri,
		a.over.transport, a.over.local, sip.BranchCookie+token(16))
	for _, r := range routes {
		fmt.Fprintf(&b, "Route: %s\r\n", r)
	}
	seq := 1
	if method != sip.MethodAck {
		seq = 2
	}
	from, _ := made.Value(sip.FieldFrom)
	to, _ := made.Value(sip.FieldTo)
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContent-Length: 0\r\n\r\n", from, to, made.CallID(), seq, method)
	a.over.send(b.String())
}

// cancel has the agent cancel its INVITE: RFC 3261, Section 9.1.
func (c *probe) cancel(a *ask) { a.over.send(string(sip.AppendCancel(nil, a.sent))) }

// acknowledge has the agent acknowledge a final response to an INVITE that is no 2xx: RFC 3261, Section 17.1.1.3.
func (c *probe) acknowledge(final *sip.Message) {
	var invite *sip.Message
	c.locked(func() {
		for _, a := range c.asks {
			if a.sent.CallID() == final.CallID() && a.sent.Method() == sip.MethodInvite {
				invite = a.sent
			}
		}
	})
	if invite != nil {
		c.via.send(string(sip.AppendAck(nil, invite, final)))
	}
}

// arrived waits for a request of a method that belongs to what the agent asked for.
func (c *probe) arrived(a *ask, method string) (got *arrival) {
	c.await(c.p.cfg.Wait, func() bool {
		for _, r := range c.arrivals {
			if a.is(r, method) {
				got = r
			}
		}
		return got != nil
	})
	return got
}
