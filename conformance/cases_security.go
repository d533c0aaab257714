package conformance

// This file has the cases of RFC 5923, Section 9, and of RFC 5923, Section 10.

import (
	"fmt"
	"net/netip"
)

func otherServer(c *probe) error {
	none := certificate{what: "a certificate without names"}
	for _, cert := range []certificate{c.domain("b"), c.domain(""), none} {
		if err := c.refuses(cert, "a"); err != nil {
			return err
		}
	}
	return nil
}

func asksForCertificate(c *probe) error {
	n, err := c.dial(offer{})
	if err != nil {
		return err
	}
	asked := false
	c.locked(func() { asked = n.asked })
	if !asked {
		return failf("the target's handshake asks for no certificate")
	}
	return nil
}

func nobodyIsServed(c *probe) error {
	o := offer{sentBy: fmt.Sprintf("%s:%d", c.host("a"), 5061)}
	n, without, err := c.offer(o)
	if err != nil {
		return err
	}
	if without == 0 && !n.isOpen() {
		return untestablef("the target takes no connection without a certificate, which its policy may decide (RFC 5922, Section 7.4)")
	}
	o.params = ";alias"
	_, with, err := c.offer(o)
	if err != nil {
		return err
	}
	if with != without {
		return failf("without a certificate a request was answered %s with alias and %s without", answered(with), answered(without))
	}
	return nil
}

// answered says a status in words.
func answered(status int) string {
	if status == 0 {
		return "nothing"
	}
	return fmt.Sprint(status)
}

func nobodyHasNoAlias(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	o := offer{sentBy: fmt.Sprintf("%s:%d", c.host("a"), l.port()), params: ";alias"}
	return c.notTaken(o, "a", l.port(), "of a client without a certificate")
}

func badClients(c *probe) error {
	return c.neverAliases(c.invalid("a")...)
}

func plainNeverReused(c *probe) error {
	l, err := c.listenAt(netip.AddrPortFrom(c.p.cfg.Listen, 0), bareSIP, certificate{})
	if err != nil {
		return err
	}
	n, _, err := c.offer(offer{plain: true, sentBy: fmt.Sprintf("%s:%d", c.host("a"), l.port()), params: ";alias"})
	if err != nil {
		return err
	}
	d, err := c.deliverTo(c.host("a"), l.port(), bareSIP, "")
	switch {
	case err != nil:
		return err
	case d.arrival != nil && d.over == n:
		return failf("the request to %s came backwards over a TCP connection that anybody could have dialed", c.host("a"))
	case d.arrival == nil:
		return untestablef("the target sends nothing over TCP: the request went %s", d.where())
	}
	return nil
}

func twoFarDomains(c *probe) error {
	l, err := c.listen(c.domain("b"))
	if err != nil {
		return err
	}
	first, err := c.taken(c.alias(c.domain("a"), "a", l.port()), "a", l.port())
	if err != nil {
		return err
	}
	second, err := c.anew("b", l.port(), first)
	if err != nil {
		return err
	}
	return each(
		func() error { return c.over(first, "a", l.port()) },
		func() error { return c.over(second, "b", l.port()) },
		func() error {
			if k := len(l.accepted()); k != 1 {
				return failf("the target dialed %d connections, where one was to be added", k)
			}
			return nil
		},
	)
}

func twoLocalDomains(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	first, err := c.anew("a", l.port())
	if err != nil {
		return err
	}
	d, err := c.deliverTo(c.host("a"), l.port(), c.p.cfg.Transport, c.p.cfg.SecondDomain)
	switch {
	case err != nil:
		return err
	case d.arrival == nil:
		return untestablef("the request on behalf of %s went %s", c.p.cfg.SecondDomain, d.where())
	case d.over == first:
		return failf("a request on behalf of %s came over a connection that was dialed on behalf of %s", c.p.cfg.SecondDomain, c.p.cfg.Domain)
	}
	return nil
}

func tablesApart(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	o := c.alias(c.domain("a"), "a", l.port())
	o.domain = c.p.cfg.SecondDomain
	n, _, err := c.offer(o)
	if err != nil {
		return err
	}
	return c.notOver(n, "a", l.port(), "of an alias that was offered to "+c.p.cfg.SecondDomain+", on behalf of "+c.p.cfg.Domain)
}

// spreadRequests is how many requests are spread over two servers: that all go to one of them by chance
// happens once in eight million times.
const spreadRequests = 24

func spreadBySRV(c *probe) error {
	first, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	second, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	name := c.p.zone.services(c.p.service(), c.host("a"), first.port(), second.port())
	cert := certificate{what: "a certificate for " + name, uris: []string{"sip:" + name}}
	for _, l := range []*listener{first, second} {
		if err := l.present(cert); err != nil {
			return err
		}
	}
	for range spreadRequests {
		d, err := c.deliverTo(name, 0, c.p.cfg.Transport, "")
		switch {
		case err != nil:
			return err
		case !c.p.zone.wasAsked(name):
			return untestablef("the target does not ask the prober's DNS server")
		case d.arrival == nil:
			return failf("a request to a name with two servers went %s", d.where())
		}
	}
	a, b := len(first.accepted()), len(second.accepted())
	if a != 1 || b != 1 {
		return failf("of %d requests to two servers of equal weight, those to one took %d connections and those to the other %d, where it should be one each", spreadRequests, a, b)
	}
	return nil
}
