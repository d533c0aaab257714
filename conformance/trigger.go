package conformance

// This file is the prober as an agent on the target's other side: it has the target send requests.

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// ask is one request that the target was asked to send.
type ask struct {
	token string // the user of the Request-URI, by which it is known again
	uri   string
	from  string // the domain on whose behalf
	sent  *sip.Message
	over  *conn // to the trigger; nil: a command was called
}

// delivery is what became of it.
type delivery struct {
	*arrival     // nil: it did not arrive
	status   int // of the final response to the agent; 0: none
}

// where describes the way of a delivery, for reasons.
func (d delivery) where() string {
	switch {
	case d.arrival != nil && d.over.dialed:
		return "over the connection that the prober had dialed"
	case d.arrival != nil:
		return "over a connection that the target had dialed"
	case d.status != 0:
		return fmt.Sprintf("nowhere, and was answered %d", d.status)
	}
	return "nowhere, and was not answered"
}

// uri is a URI at one of the prober's names; port 0 is none.
func (c *probe) uri(user, host string, port uint16, tr sipaddr.Transport) string {
	if port != 0 {
		host = fmt.Sprintf("%s:%d", host, port)
	}
	return "sip:" + user + "@" + host + ";transport=" + tr.URIParam()
}

// deliver has the target send a request to one of the prober's names over the transport under test, and
// waits for what becomes of it.
func (c *probe) deliver(label string, port uint16) (delivery, error) {
	return c.deliverTo(c.host(label), port, c.p.cfg.Transport, "")
}

// deliverTo is deliver to any host, over any transport, on behalf of a domain of the target's.
func (c *probe) deliverTo(host string, port uint16, tr sipaddr.Transport, from string) (delivery, error) {
	a, err := c.ask(sip.MethodMessage, host, port, tr, from)
	if err != nil {
		return delivery{}, err
	}
	d := c.outcome(a)
	if d.arrival != nil && d.status == 0 && a.over != nil {
		d.status = c.final(a.sent.CallID(), a.over)
	}
	return d, nil
}

// ask has the target send a request.
func (c *probe) ask(method, host string, port uint16, tr sipaddr.Transport, from string) (*ask, error) {
	if from == "" {
		from = c.p.cfg.Domain
	}
	a := &ask{token: token(12), from: from}
	a.uri = c.uri(a.token, host, port, tr)
	if c.p.cfg.Command != nil {
		if method != sip.MethodMessage || from != c.p.cfg.Domain {
			return nil, untestablef("a command as the trigger sends no %s on behalf of %s", method, from)
		}
		c.logf("", nil, "the trigger is called for %s", a.uri)
		if err := c.p.cfg.Command(c.ctx, a.uri); err != nil {
			return nil, untestablef("the trigger failed: %v", err)
		}
		return a, nil
	}
	var err error
	if a.over, err = c.agent(); err != nil {
		return nil, err
	}
	extra := ""
	if method == sip.MethodInvite {
		extra = fmt.Sprintf("Contact: <sip:agent@%s;transport=%s>\r\n", a.over.local, a.over.transport.URIParam())
	}
	text := fmt.Sprintf("%[1]s %[2]s SIP/2.0\r\nVia: SIP/2.0/%[3]s %[4]s;branch=%[5]s;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:agent@%[6]s>;tag=%[7]s\r\nTo: <%[2]s>\r\nCall-ID: %[8]s\r\nCSeq: 1 %[1]s\r\n%[9]sContent-Length: 0\r\n\r\n",
		method, a.uri, a.over.transport, a.over.local, sip.BranchCookie+token(16), from, token(8), token(16), extra)
	if a.sent, err = sip.Parse(text); err != nil {
		return nil, untestablef("the prober's own request is wrong: %v", err)
	}
	c.locked(func() { c.asks = append(c.asks, a) })
	a.over.send(text)
	return a, nil
}

// outcome waits until a request has arrived, or has been refused. Over UDP it is sent again meanwhile:
// RFC 3261, Section 17.1.2.2.
func (c *probe) outcome(a *ask) delivery {
	var d delivery
	over := func() bool {
		d = delivery{}
		if i := slices.IndexFunc(c.arrivals, func(r *arrival) bool { return a.is(r, r.Method()) }); i >= 0 {
			d.arrival = c.arrivals[i]
		}
		if a.sent != nil {
			for _, r := range c.replies {
				if r.CallID() == a.sent.CallID() && r.StatusCode() >= 200 {
					d.status = r.StatusCode()
				}
			}
		}
		return d.arrival != nil || d.status != 0
	}
	deadline := time.Now().Add(c.p.cfg.Wait)
	for every := 500 * time.Millisecond; !c.await(min(every, time.Until(deadline)), over); every *= 2 {
		if time.Now().After(deadline) || c.ctx.Err() != nil {
			break
		}
		if a.over != nil && a.over.transport == sipaddr.UDP {
			a.over.send(a.sent.Raw())
		}
	}
	if d.arrival == nil && d.status != 0 {
		c.await(c.p.cfg.Quiet/3, func() bool { over(); return d.arrival != nil }) // it may be on its way
	}
	return d
}

// is says whether a request is the one that was asked for, or belongs to it, by its method.
func (a *ask) is(r *arrival, method string) bool {
	return r.Method() == method && strings.Contains(r.RequestURI(), a.token)
}

// agent is the way to the trigger.
func (c *probe) agent() (n *conn, err error) {
	c.locked(func() { n = c.via })
	if n != nil {
		return n, nil
	}
	tr := sipaddr.UDP
	if strings.EqualFold(c.p.trigger.Transport(), "tcp") {
		tr = sipaddr.TCP
	}
	from := netip.AddrPortFrom(c.p.cfg.Agent, 0)
	dialer := net.Dialer{Timeout: c.p.cfg.Wait, LocalAddr: net.UDPAddrFromAddrPort(from)}
	if tr == sipaddr.TCP {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(from)
	}
	raw, err := dialer.DialContext(c.ctx, strings.ToLower(tr.String()), c.p.triggerAt.String())
	if err != nil {
		return nil, untestablef("the trigger cannot be reached: %v", err)
	}
	n = c.newConn(raw, tr, true)
	c.locked(func() { c.via = n })
	c.logf("", n, "the agent's way to the trigger, %s %s", tr, n.remote)
	if tr == sipaddr.UDP {
		c.goes(n.readDatagrams)
	} else {
		c.goes(n.read)
	}
	return n, nil
}

// readDatagrams is read for UDP.
func (n *conn) readDatagrams() {
	buf := make([]byte, 64<<10)
	raw := n.wire()
	for failures := 0; failures < 10; {
		k, err := raw.Read(buf)
		switch {
		case err == nil && k > 4:
			n.c.message(n, string(buf[:k]))
		case err != nil && !n.isOpen():
			return
		case err != nil: // nobody listens there, the system says; it may yet
			failures++
		}
	}
	n.end(fmt.Errorf("nobody listens at the trigger"))
}
