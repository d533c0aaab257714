package conformance

// This file has the cases of RFC 5923, Section 8.3.

import (
	"github.com/tandem-sip/tandem/sip"
)

func nothingAfterAlert(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	n, err := c.anew("a", l.port())
	if err != nil {
		return err
	}
	if err := c.alerted(n, l, "that the target had dialed"); err != nil {
		return err
	}
	if !c.p.facts.HonoursAlias {
		return nil
	}
	if l, err = c.listen(c.domain("b")); err != nil {
		return err
	}
	if n, err = c.taken(c.alias(c.domain("b"), "b", l.port()), "b", l.port()); err != nil {
		return err
	}
	return c.alerted(n, l, "of an alias")
}

// alerted sends a closure alert on a connection, and checks that no request comes over it any more.
func (c *probe) alerted(n *conn, l *listener, which string) error {
	label := "a"
	if n.dialed {
		label = "b"
	}
	n.halfClose()
	c.quiet(func() bool { return n.ended != "" })
	return c.notOver(n, label, l.port(), which+", after the prober's closure alert")
}

func answerWhileClosing(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	far, err := c.listen(c.domain("b"))
	if err != nil {
		return err
	}
	c.locked(func() { c.held = func(m *sip.Message) bool { return m.Method() == sip.MethodMessage } })
	o := c.alias(c.domain("a"), "a", l.port())
	o.params = ""
	n, _, err := c.offer(o)
	if err != nil {
		return err
	}
	a := &ask{token: token(12)}
	a.uri = c.uri(a.token, c.host("b"), far.port(), c.p.cfg.Transport)
	id := c.request(n, sip.MethodMessage, a.uri, "SIP/2.0/"+c.p.cfg.Transport.String()+" "+o.sentBy+";branch=BRANCH")
	var got *arrival
	c.await(c.p.cfg.Wait, func() bool {
		for _, r := range c.arrivals {
			if a.is(r, sip.MethodMessage) {
				got = r
			}
		}
		refused := false
		for _, r := range c.replies {
			refused = refused || r.CallID() == id && r.StatusCode() >= 300
		}
		return got != nil || refused || n.ended != ""
	})
	if got == nil {
		return untestablef("the target forwards nothing from the prober's TLS connection to another of its names")
	}
	n.halfClose()
	c.quiet(func() bool { return false })
	c.answer(got.over, got.Message, 200)
	answered := c.await(c.p.cfg.Wait, func() bool {
		for _, r := range c.replies {
			if r.CallID() == id && r.StatusCode() == 200 {
				return true
			}
		}
		return false
	})
	if !answered {
		return failf("the response did not come, neither on the connection that is being closed nor on a new one")
	}
	return nil
}
