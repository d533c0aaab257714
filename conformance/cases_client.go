package conformance

// This file has the cases of RFC 5923, Section 8.1, where the target is the TLS client.

import (
	"github.com/tandem-sip/tandem/sip"
)

func dialedStays(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	n, err := c.anew("a", l.port())
	if err != nil {
		return err
	}
	if c.p.cfg.Command == nil {
		if err := c.call("a", l.port(), nil); err != nil {
			return err
		}
	}
	if !c.quiet(func() bool { return n.ended != "" }) {
		return failf("the target's connection was %s as soon as its transactions had ended", n.ended)
	}
	return nil
}

func viaOfRequests(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	d, err := c.deliver("a", l.port())
	switch {
	case err != nil:
		return err
	case d.arrival == nil:
		return untestablef("the request went %s", d.where())
	}
	via, err := d.TopVia()
	switch {
	case err != nil:
		return failf("its Via cannot be read: %v", err)
	case via.Transport != c.p.cfg.Transport.String():
		return failf("its Via says %s, not %s", via.Transport, c.p.cfg.Transport)
	case !via.Alias:
		return failf("its Via has no alias")
	case via.Port == d.over.remote.Port():
		return failf("its sent-by has the port that it dialed from, where nobody listens")
	}
	return nil
}

func dialedStaysIdle(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	n, err := c.anew("a", l.port())
	if err != nil {
		return err
	}
	return c.stays(n, "the connection on which the target sent alias")
}

func requestOverDialed(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	n, err := c.anew("a", l.port())
	if err != nil {
		return err
	}
	o := c.alias(c.domain("a"), "a", l.port())
	o.params = ""
	if c.options(n, o) == 0 {
		return failf("a request over the connection that the target dialed was not answered")
	}
	if _, status, err := c.offer(o); err != nil || status == 0 {
		return failf("a request to its listening port was not answered")
	}
	return nil
}

func dialedReused(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	n, err := c.anew("a", l.port())
	if err != nil {
		return err
	}
	return each(
		func() error { return c.over(n, "a", l.port()) },
		func() error { return c.over(n, "a", l.port()) },
	)
}

func listeningPort(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	n, err := c.anew("a", l.port())
	if err != nil {
		return err
	}
	o := c.alias(c.domain("a"), "a", l.port())
	o.params = ""
	c.options(n, o)
	if _, status, err := c.offer(o); err != nil || status == 0 {
		return failf("the listening port takes no request any more")
	}
	return nil
}

func serverFirst(c *probe) error {
	other := c.domain("b")
	l, err := c.listen(other)
	if err != nil {
		return err
	}
	for range 2 {
		if _, err := c.deliver("a", l.port()); err != nil {
			return err
		}
		if err := c.refused(l, "a", other); err != nil {
			return err
		}
	}
	return nil
}

func serverIdentities(c *probe) error {
	cert := c.domain("a", "b")
	cert.cn = c.host("c")
	l, err := c.listen(cert)
	if err != nil {
		return err
	}
	n, err := c.anew("a", l.port())
	if err != nil {
		return err
	}
	if err := l.present(c.domain("c")); err != nil {
		return err
	}
	if err := c.notOver(n, "c", l.port(), "to a server that is "+c.host("a")+" and "+c.host("b")); err != nil {
		return err
	}
	d, err := c.deliver("b", l.port())
	switch {
	case err != nil:
		return err
	case d.arrival == nil || d.over != n:
		return untestablef("the target dials anew for the second name, so that nobody can see what it keeps")
	}
	return nil
}

func resolvedAddress(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	other, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	first, err := c.anew("a", l.port())
	if err != nil {
		return err
	}
	second, err := c.anew("a", other.port(), first)
	if err != nil {
		return err
	}
	if first.listener != l || second.listener != other {
		return failf("the requests came to other ports than their URIs have")
	}
	return nil
}

func rightConnection(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	other, err := c.listen(c.domain("b"))
	if err != nil {
		return err
	}
	first, err := c.anew("a", l.port())
	if err != nil {
		return err
	}
	second, err := c.anew("b", other.port(), first)
	if err != nil {
		return err
	}
	return each(
		func() error { return c.over(first, "a", l.port()) },
		func() error { return c.over(second, "b", other.port()) },
		func() error { return c.over(first, "a", l.port()) },
	)
}

func dialedNeedsBoth(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	other, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	n, err := c.anew("a", l.port())
	if err != nil {
		return err
	}
	if err := l.present(c.domain("b")); err != nil {
		return err
	}
	return each(
		func() error { return c.notOver(n, "b", l.port(), "to a server that is "+c.host("a")) },
		func() error { return c.notOver(n, "a", other.port(), "to another port") },
	)
}

func dialedGone(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	gone, err := c.anew("a", l.port())
	if err != nil {
		return err
	}
	gone.shut()
	n, err := c.anew("a", l.port(), gone)
	if err != nil {
		return failf("after the connection was closed %v", err)
	}
	return c.over(n, "a", l.port())
}

// ringing has an INVITE sent, rings, and closes the connection that it came over.
func (c *probe) ringing(l *listener) (*ask, *arrival, error) {
	c.locked(func() { c.held = func(m *sip.Message) bool { return m.Method() == sip.MethodInvite } })
	a, err := c.ask(sip.MethodInvite, c.host("a"), l.port(), c.p.cfg.Transport, "")
	if err != nil {
		return nil, nil, err
	}
	d := c.outcome(a)
	if d.arrival == nil {
		return nil, nil, untestablef("the INVITE went %s", d.where())
	}
	c.answer(d.over, d.Message, 180)
	rings := func() bool {
		for _, r := range c.replies {
			if r.CallID() == a.sent.CallID() && r.StatusCode() == 180 {
				return true
			}
		}
		return false
	}
	if !c.await(c.p.cfg.Wait, rings) {
		return nil, nil, untestablef("the target passes no 180 on")
	}
	d.over.shut()
	return a, d.arrival, nil
}

func cancelAfterClose(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	a, invite, err := c.ringing(l)
	if err != nil {
		return err
	}
	c.cancel(a)
	got := c.arrived(a, sip.MethodCancel)
	switch {
	case got != nil && got.over == invite.over:
		return untestablef("the CANCEL was faster than the closing")
	case got != nil:
		return nil
	}
	if final := c.finalTo(a); final != nil {
		return untestablef("the target had answered the INVITE %d when the CANCEL came, so that there was nothing to cancel", final.StatusCode())
	}
	return failf("the CANCEL did not arrive on a new connection")
}

func ackAfterClose(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	a, invite, err := c.ringing(l)
	if err != nil {
		return err
	}
	cert := c.domain("a")
	n, err := c.dial(offer{cert: &cert})
	if err != nil {
		return err
	}
	c.answer(n, invite.Message, 486)
	if got := c.arrived(a, sip.MethodAck); got != nil {
		return nil
	}
	if final := c.finalTo(a); final != nil && final.StatusCode() != 486 {
		return untestablef("the target had answered the INVITE %d before the 486 came", final.StatusCode())
	}
	return failf("there was no ACK for the 486, not on a new connection either")
}
