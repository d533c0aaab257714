package conformance

import (
	"github.com/tandem-sip/tandem/sipaddr"
)

// over checks that a request to a name comes over a connection.
func (c *probe) over(n *conn, label string, port uint16) error {
	d, err := c.deliver(label, port)
	if err != nil {
		return err
	}
	if d.arrival == nil || d.over != n {
		return failf("the request to %s went %s, not over the connection that stands for it", c.host(label), d.where())
	}
	return nil
}

// notOver checks that a request to a name does not come over a connection; why says what is wrong with that
// one.
func (c *probe) notOver(n *conn, label string, port uint16, why string) error {
	d, err := c.deliver(label, port)
	if err != nil {
		return err
	}
	if d.arrival != nil && d.over == n {
		return failf("the request to %s came over the connection %s", c.host(label), why)
	}
	return nil
}

// anew checks that a request to a name comes over a connection that the target has dialed for it, other than
// the ones given, and returns that connection.
func (c *probe) anew(label string, port uint16, not ...*conn) (*conn, error) {
	d, err := c.deliver(label, port)
	if err != nil {
		return nil, err
	}
	if d.arrival == nil || d.over.dialed {
		return nil, failf("the request to %s went %s, not over a new connection", c.host(label), d.where())
	}
	for _, n := range not {
		if d.over == n {
			return nil, failf("the request to %s went over the same connection as another, not over one of its own", c.host(label))
		}
	}
	return d.over, nil
}

// taken offers an alias and checks that a request to a name comes over that connection.
func (c *probe) taken(o offer, label string, port uint16) (*conn, error) {
	n, _, err := c.offer(o)
	if err != nil {
		return nil, err
	}
	return n, c.over(n, label, port)
}

// notTaken offers an alias and checks that no request to a name comes over that connection.
func (c *probe) notTaken(o offer, label string, port uint16, why string) error {
	n, _, err := c.offer(o)
	if err != nil {
		return err
	}
	return c.notOver(n, label, port, why)
}

// accepts checks that the target sends a request to a server that presents a certificate.
func (c *probe) accepts(spec certificate, label string) error {
	l, err := c.listen(spec)
	if err != nil {
		return err
	}
	d, err := c.deliver(label, l.port())
	if err != nil {
		return err
	}
	if d.arrival == nil {
		return failf("nothing was sent to the server for %s that presents %s; the request went %s", c.host(label), spec.what, d.where())
	}
	return nil
}

// refuses checks that the target sends nothing to a server for a name that presents a certificate, and closes
// the connection.
func (c *probe) refuses(spec certificate, label string) error {
	l, err := c.listen(spec)
	if err != nil {
		return err
	}
	if _, err := c.deliver(label, l.port()); err != nil {
		return err
	}
	return c.refused(l, label, spec)
}

// refused looks at what the target did on the connections to a listener.
func (c *probe) refused(l *listener, label string, spec certificate) error {
	conns := l.accepted()
	if len(conns) == 0 {
		return untestablef("the target dialed nobody for %s", c.host(label))
	}
	for _, n := range conns {
		n := n
		c.await(c.p.cfg.Quiet, func() bool { return n.ended != "" })
		bytes, open := 0, false
		c.locked(func() { bytes, open = n.bytes, n.ended == "" })
		switch {
		case bytes > 0:
			return failf("something was sent to a server for %s that presents %s", c.host(label), spec.what)
		case open:
			return failf("the connection to a server for %s that presents %s stayed open", c.host(label), spec.what)
		}
	}
	return nil
}

// refusesBoth checks a certificate that must not stand for a name in either role.
func (c *probe) refusesBoth(spec certificate, label string) error {
	if err := c.refuses(spec, label); err != nil {
		return err
	}
	l, err := c.listen(c.domain(label))
	if err != nil {
		return err
	}
	return c.notTaken(c.alias(spec, label, l.port()), label, l.port(), "of a client that presented "+spec.what)
}

// acceptsBoth checks a certificate that stands for a name in both roles; as a client's where the target
// honours aliases.
func (c *probe) acceptsBoth(spec certificate, label string) error {
	if err := c.accepts(spec, label); err != nil || !c.p.facts.HonoursAlias {
		return err
	}
	l, err := c.listen(c.domain(label))
	if err != nil {
		return err
	}
	if _, err = c.taken(c.alias(spec, label, l.port()), label, l.port()); err != nil {
		return failf("a client that presents %s: %v", spec.what, err)
	}
	return nil
}

// each checks one thing after another.
func each(checks ...func() error) error {
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// stays checks that a connection is open after the idle time.
func (c *probe) stays(n *conn, whose string) error {
	if c.await(c.p.cfg.Idle, func() bool { return n.ended != "" }) {
		return failf("%s was %s within %v", whose, n.ended, c.p.cfg.Idle)
	}
	return nil
}

// bareSIP is the transport of connections without TLS.
const bareSIP = sipaddr.TCP
