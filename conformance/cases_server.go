package conformance

// This file has the cases of RFC 5923, Section 8.2, where the target is the TLS server.

func acceptedStays(c *probe) error {
	o := c.alias(c.domain("a"), "a", 5061)
	n, status, err := c.offer(o)
	switch {
	case err != nil:
		return err
	case status == 0:
		return failf("the request was not answered")
	}
	if err := c.stays(n, "the connection on which the prober sent alias"); err != nil {
		return err
	}
	if c.options(n, o) == 0 {
		return failf("a request after %v without any was not answered", c.p.cfg.Idle)
	}
	return nil
}

func acceptedReused(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	n, err := c.taken(c.alias(c.domain("a"), "a", l.port()), "a", l.port())
	if err != nil {
		return err
	}
	return c.over(n, "a", l.port())
}

func aliasNeverRejected(c *probe) error {
	good, clientOnly := c.domain("a"), c.domain("a")
	clientOnly.what = "a certificate for clients only"
	clientOnly.usages = append(clientOnly.usages, clientAuth)
	for _, o := range []offer{c.alias(good, "a", 5061), c.alias(good, "b", 1), c.alias(clientOnly, "a", 5061)} {
		n, with, err := c.offer(o)
		if err != nil {
			return err
		}
		if !n.isOpen() && with == 0 {
			continue // refused for its certificate, before anything was said
		}
		o.params = ""
		_, without, err := c.offer(o)
		if err != nil {
			return err
		}
		if with != without {
			return failf("a request from a client with %s and sent-by %s was answered %s with alias and %s without", o.cert.what, o.sentBy, answered(with), answered(without))
		}
	}
	return nil
}

func acceptedGone(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	gone, err := c.taken(c.alias(c.domain("a"), "a", l.port()), "a", l.port())
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

func destinationPort(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	_, err = c.taken(c.alias(c.domain("a"), "a", l.port()), "a", l.port())
	if err != nil {
		return err
	}
	return c.defaultPort()
}

func clientFirst(c *probe) error {
	return c.neverAliases(c.expired("a"), c.unknownAuthority("a"), c.selfSigned("a"))
}

// neverAliases offers an alias for the name a with each certificate.
func (c *probe) neverAliases(certs ...certificate) error {
	for _, cert := range certs {
		l, err := c.listen(c.domain("a"))
		if err != nil {
			return err
		}
		if err := c.notTaken(c.alias(cert, "a", l.port()), "a", l.port(), "of a client that presented "+cert.what); err != nil {
			return err
		}
	}
	return nil
}

func clientIdentities(c *probe) error {
	cert := c.domain("a")
	cert.cn = c.host("b")
	l, err := c.listen(c.domain("b"))
	if err != nil {
		return err
	}
	n, _, err := c.offer(c.alias(cert, "a", l.port()))
	if err != nil {
		return err
	}
	if err := c.notOver(n, "b", l.port(), "of a client that has this name in its CN only"); err != nil {
		return err
	}
	if !c.p.facts.HonoursAlias {
		return nil
	}
	return c.over(n, "a", l.port())
}

func acceptedNeedsBoth(c *probe) error {
	l, err := c.listen(c.domain("b"))
	if err != nil {
		return err
	}
	other, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	n, _, err := c.offer(c.alias(c.domain("a"), "a", l.port()))
	if err != nil {
		return err
	}
	return each(
		func() error { return c.notOver(n, "b", l.port(), "of a client that is "+c.host("a")) },
		func() error { return c.notOver(n, "a", other.port(), "of a client that advertised another port") },
	)
}

func withoutAlias(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	o := c.alias(c.domain("a"), "a", l.port())
	o.params = ";rport"
	return c.notTaken(o, "a", l.port(), "of a client that offered no alias")
}
