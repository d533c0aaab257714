package conformance

// This file has the cases of RFC 5922, Section 7.3, and of the sections behind it.

import (
	"crypto/x509"
	"net/netip"
	"strings"

	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sip"
)

func originalHost(c *probe) error {
	host := c.domain("a")
	l, err := c.listen(host)
	if err != nil {
		return err
	}
	name := c.p.zone.services(c.p.service(), c.host("a"), l.port())
	if _, err := c.deliverTo(name, 0, c.p.cfg.Transport, ""); err != nil {
		return err
	}
	if !c.p.zone.wasAsked(name) {
		return untestablef("the target does not ask the prober's DNS server")
	}
	host.what = "a certificate for the host that DNS named, not for the name itself,"
	if err := c.refused(l, "a", host); err != nil {
		return err
	}
	if l, err = c.listen(host); err != nil {
		return err
	}
	name = c.p.zone.services(c.p.service(), c.host("a"), l.port())
	if err := l.present(names("the name and not the host that DNS named", []string{"sip:" + name}, nil)); err != nil {
		return err
	}
	d, err := c.deliverTo(name, 0, c.p.cfg.Transport, "")
	if err == nil && d.arrival == nil {
		return failf("nothing was sent to a server that presents a certificate for the name; the request went %s", d.where())
	}
	return err
}

func closedAtOnce(c *probe) error {
	return each(
		func() error { return c.refuses(c.domain("b"), "a") },
		func() error { return c.refuses(certificate{what: "a certificate without names"}, "a") },
		func() error {
			return c.refuses(names("an e-mail-like URI", []string{"mailto:a@" + c.host("a")}, nil), "a")
		},
	)
}

func recordRoute(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	a, err := c.ask(sip.MethodInvite, c.host("a"), l.port(), c.p.cfg.Transport, "")
	if err != nil {
		return err
	}
	d := c.outcome(a)
	if d.arrival == nil {
		return untestablef("the INVITE went %s", d.where())
	}
	defer func() { // the call is not left behind
		if final := c.finalTo(a); final != nil && final.StatusCode() < 300 {
			c.within(a, final, sip.MethodAck)
			c.within(a, final, sip.MethodBye)
			c.arrived(a, sip.MethodBye)
		}
	}()
	certs, err := c.targetCertificates(d.over)
	if err != nil {
		return err
	}
	var seen []string
	for value := range d.Values(sip.FieldRecordRoute) {
		host, secure := routeHost(value)
		if !secure {
			continue // the hop to the agent
		}
		for _, cert := range certs {
			if identity.FromCertificate(cert, true).Contains(host) {
				return nil
			}
		}
		seen = append(seen, host)
	}
	if len(seen) == 0 {
		return untestablef("the target adds no Record-Route that expects a secure connection")
	}
	return failf("Record-Route has %s, and the target's certificate names %s", strings.Join(seen, " and "), identity.FromCertificate(certs[0], true))
}

// routeHost returns the host of a Record-Route value and whether it expects a secure connection.
func routeHost(value string) (host string, secure bool) {
	addr, err := sip.ParseNameAddr(value)
	if err != nil {
		return "", false
	}
	u, err := addr.URI()
	if err != nil {
		return "", false
	}
	_, err = netip.ParseAddr(strings.Trim(u.Host, "[]"))
	return u.Host, u.Secure() || strings.HasPrefix(strings.ToLower(u.Transport()), "tls") || err != nil && u.Transport() == ""
}

// targetCertificates are what the target presented: on a connection that it dialed, and to the prober's dial.
func (c *probe) targetCertificates(n *conn) (certs []*x509.Certificate, err error) {
	cert := c.domain("a")
	own, err := c.dial(offer{cert: &cert})
	if err != nil {
		return nil, err
	}
	c.locked(func() {
		for _, x := range []*x509.Certificate{n.presented, own.presented} {
			if x != nil {
				certs = append(certs, x)
			}
		}
	})
	if len(certs) == 0 {
		return nil, untestablef("the target presented no certificate")
	}
	return certs, nil
}

func serverName(c *probe) error {
	l, err := c.listen(c.domain("a"))
	if err != nil {
		return err
	}
	n, err := c.anew("a", l.port())
	if err != nil {
		return err
	}
	sni := ""
	c.locked(func() { sni = n.sni })
	if !strings.EqualFold(sni, c.host("a")) {
		return failf("server_name was %q when the target dialed %s", sni, c.host("a"))
	}
	for _, domain := range []string{c.p.cfg.Domain, c.p.cfg.SecondDomain} {
		if domain == "" {
			continue
		}
		cert := c.domain("a")
		own, err := c.dial(offer{cert: &cert, domain: domain})
		if err != nil {
			return err
		}
		var got *x509.Certificate
		c.locked(func() { got = own.presented })
		if got == nil || !identity.FromCertificate(got, true).Contains(domain) {
			return failf("to server_name %q the target presented a certificate for other names", domain)
		}
	}
	return nil
}
