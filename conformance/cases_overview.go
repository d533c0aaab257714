package conformance

// This file has the cases of RFC 5923, Section 5, and of RFC 5923, Section 6, and of RFC 5923, Section 7.

import (
	"fmt"
	"net/netip"

	"github.com/tandem-sip/tandem/sip"
)

func sourceAddress(c *probe) error {
	l, err := c.listen(c.domain("a", "far"))
	if err != nil {
		return err
	}
	if _, err := c.listenAt(netip.AddrPortFrom(c.p.cfg.Second, l.port()), c.p.cfg.Transport, c.domain("a", "far")); err != nil {
		return err
	}
	n, _, err := c.offer(c.alias(c.domain("a", "far"), "far", l.port()))
	if err != nil {
		return err
	}
	return each(
		func() error { return c.notOver(n, "far", l.port(), "that came from another address than the name has") },
		func() error { return c.over(n, "a", l.port()) },
	)
}

func sentByPort(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	other, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	n, err := c.taken(c.alias(c.domain("a"), "a", l.port()), "a", l.port())
	if err != nil {
		return err
	}
	return each(
		func() error { return c.notOver(n, "a", other.port(), "whose sent-by has another port") },
		func() error { return c.defaultPort() },
	)
}

// defaultPort checks that a sent-by without a port stands for 5061, and only for that.
func (c *probe) defaultPort() error {
	l, err := c.listenAt(netip.AddrPortFrom(c.p.cfg.Listen, c.p.cfg.Transport.DefaultPort()), c.p.cfg.Transport, c.domain("b"))
	if err != nil {
		return err
	}
	other, err := c.listen(c.domain("b"))
	if err != nil {
		return err
	}
	o := c.alias(c.domain("b"), "b", 0)
	o.sentBy = c.host("b")
	n, _, err := c.offer(o)
	if err != nil {
		return err
	}
	return each(
		func() error { return c.notOver(n, "b", other.port(), "whose sent-by has no port") },
		func() error { return c.over(n, "b", l.port()) },
	)
}

func viaTransport(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	o := c.alias(c.domain("a"), "a", l.port())
	o.via = fmt.Sprintf("SIP/2.0/TCP %s:%d;branch=BRANCH;alias", c.host("a"), l.port())
	return c.notTaken(o, "a", l.port(), "whose Via said TCP, although it was to go over TLS")
}

func allIdentities(c *probe) error {
	cert := c.domain("b", "a", "c")
	cert.dns = nil
	l, err := c.listen(cert)
	if err != nil {
		return err
	}
	n, _, err := c.offer(c.alias(cert, "a", l.port()))
	if err != nil {
		return err
	}
	for _, label := range []string{"a", "b", "c"} {
		if err := c.over(n, label, l.port()); err != nil {
			return err
		}
	}
	return nil
}

func sameDestination(c *probe) error {
	l, err := c.listen(c.domain("b"))
	if err != nil {
		return err
	}
	return c.notTaken(c.alias(c.domain("a"), "a", l.port()), "b", l.port(),
		"of a client that is "+c.host("a")+"; a new connection would have been refused unless "+c.host("b")+" answered it")
}

func bothDirections(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	o := c.alias(c.domain("a"), "a", l.port())
	n, err := c.taken(o, "a", l.port())
	if err != nil {
		return err
	}
	if c.options(n, o) == 0 {
		return failf("a request forwards was not answered after one backwards")
	}
	if err := c.over(n, "a", l.port()); err != nil {
		return err
	}
	if k := len(l.accepted()); k > 0 {
		return failf("the target dialed %d connections beside the one that is shared", k)
	}
	return nil
}

func ephemeralPorts(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	n, err := c.anew("a", l.port())
	if err != nil {
		return err
	}
	if n.remote.Port() == c.p.target.Port() {
		return failf("the target dialed from port %d, where it listens", n.remote.Port())
	}
	return nil
}

func hijack(c *probe) error {
	l, err := c.listen(c.domain("b"))
	if err != nil {
		return err
	}
	sentBy := fmt.Sprintf("%s:%d", c.host("b"), l.port())
	source := c.p.cfg.Listen
	mine, own, unknown := c.domain("a"), c.domain("b"), c.domain("b")
	own.what, own.by = "a certificate for the name that it signed itself", byItself
	unknown.what, unknown.by = "a certificate for the name by an unknown authority", byStranger
	forged := fmt.Sprintf(";alias;received=%s;rport=%d", source, l.port())
	for _, o := range []offer{
		{cert: &mine, sentBy: sentBy, params: ";alias"},
		{cert: &mine, sentBy: sentBy, params: forged},
		{sentBy: sentBy, params: ";alias"},
		{sentBy: sentBy, params: forged},
		{cert: &own, sentBy: sentBy, params: ";alias"},
		{cert: &unknown, sentBy: sentBy, params: ";alias"},
	} {
		who := "no certificate"
		if o.cert != nil {
			who = o.cert.what
		}
		if err := c.notTaken(o, "b", l.port(), "of a client with "+who); err != nil {
			return err
		}
	}
	return nil
}

func outlives(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	n, err := c.taken(c.alias(c.domain("a"), "a", l.port()), "a", l.port())
	if err != nil {
		return err
	}
	if c.p.cfg.Command == nil {
		if err := c.call("a", l.port(), n); err != nil {
			return err
		}
	}
	c.quiet(func() bool { return n.ended != "" })
	return c.over(n, "a", l.port())
}

func eachHop(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	n, err := c.taken(c.alias(c.domain("a"), "a", l.port()), "a", l.port())
	if err != nil {
		return err
	}
	return c.over(n, "a", l.port()) // the agent's own hop has no alias, over UDP or TCP
}

func aliasSpelling(c *probe) error {
	for _, via := range []string{
		";branch=BRANCH;alias", ";alias;branch=BRANCH", ";ALIAS;branch=BRANCH", ";branch=BRANCH;Alias;rport",
		";x=1;aLiAs;branch=BRANCH;y", " ; alias ; branch=BRANCH",
	} {
		l, err := c.listen(c.domain("a"))
		if err != nil {
			return err
		}
		o := c.alias(c.domain("a"), "a", l.port())
		o.via = "SIP/2.0/" + c.p.cfg.Transport.String() + " " + o.sentBy + via
		n, _, err := c.offer(o)
		if err != nil {
			return err
		}
		if err := c.over(n, "a", l.port()); err != nil {
			return failf("with a Via that goes on with %q %v", via, err)
		}
	}
	if c.p.facts.OffersAlias {
		return nil
	}
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	if d, err := c.deliver("a", l.port()); err != nil || d.arrival == nil || !offersAlias(d.arrival) {
		return failf("the target's own requests have no alias")
	}
	return nil
}

// call has a dialog made and ended; all its requests have to come over n, where that is not nil.
func (c *probe) call(label string, port uint16, n *conn) error {
	a, err := c.ask(sip.MethodInvite, c.host(label), port, c.p.cfg.Transport, "")
	if err != nil {
		return err
	}
	d := c.outcome(a)
	if d.arrival == nil || n != nil && d.over != n {
		return failf("the INVITE went %s", d.where())
	}
	final := c.finalTo(a)
	if final == nil || final.StatusCode() >= 300 {
		return untestablef("the INVITE was not answered 200 by way of the target")
	}
	for _, method := range []string{sip.MethodAck, sip.MethodBye} {
		c.within(a, final, method)
		c.await(c.p.cfg.Wait, func() bool {
			for _, r := range c.arrivals {
				if a.is(r, method) {
					d.arrival = r
				}
			}
			return d.Method() == method
		})
		switch {
		case d.Method() != method:
			return failf("the %s did not arrive", method)
		case n != nil && d.over != n:
			return failf("the %s went %s", method, d.where())
		}
	}
	return nil
}
