package conformance

// This file has the cases of RFC 5922, Section 7.1, and of RFC 5922, Section 7.2: which certificate stands for
// which name.

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"time"
)

func (c *probe) expired(label string) certificate {
	cert := c.domain(label)
	cert.what, cert.from, cert.to = "a certificate that expired an hour ago", time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)
	return cert
}

func (c *probe) unknownAuthority(label string) certificate {
	cert := c.domain(label)
	cert.what, cert.by = "a certificate by an unknown authority", byStranger
	return cert
}

func (c *probe) selfSigned(label string) certificate {
	cert := c.domain(label)
	cert.what, cert.by = "a certificate that it signed itself", byItself
	return cert
}

// invalid are certificates for a name that RFC 5280 refuses, each for another reason.
func (c *probe) invalid(label string) []certificate {
	notYet, byAnybody, constrained, keyUsage := c.domain(label), c.domain(label), c.domain(label), c.domain(label)
	notYet.what, notYet.from, notYet.to = "a certificate that begins tomorrow", time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour)
	byAnybody.what, byAnybody.by = "a certificate that was signed by one which is none of an authority", byLeaf
	constrained.what, constrained.by = "a certificate by an authority that may not speak for the name", byConstrained
	keyUsage.what, keyUsage.keyUsage = "a certificate whose key may sign certificates only", x509.KeyUsageCertSign
	return []certificate{c.expired(label), c.unknownAuthority(label), c.selfSigned(label), notYet, byAnybody, constrained, keyUsage}
}

func validation(c *probe) error {
	for _, cert := range c.invalid("a") {
		if err := c.refusesBoth(cert, "a"); err != nil {
			return err
		}
	}
	return nil
}

func usages(c *probe) error {
	with := func(what string, usages ...asn1.ObjectIdentifier) certificate {
		cert := c.domain("a")
		cert.what, cert.usages = "a certificate with "+what, usages
		if cert.usages == nil {
			cert.usages = []asn1.ObjectIdentifier{}
		}
		return cert
	}
	for _, cert := range []certificate{
		with("no extended key usage"),
		with("the extended key usage any", anyUsage),
		with("the extended key usage sipDomain", sipDomain),
		with("the extended key usages serverAuth, clientAuth and sipDomain", serverAuth, clientAuth, sipDomain),
	} {
		if err := c.acceptsBoth(cert, "a"); err != nil {
			return err
		}
	}
	if err := c.accepts(with("the extended key usage serverAuth", serverAuth), "a"); err != nil {
		return err
	}
	if err := c.refuses(with("the extended key usage clientAuth", clientAuth), "a"); err != nil {
		return err
	}
	return c.refusesBoth(with("the extended key usage codeSigning", codeSigning), "a")
}

// names is a certificate with the given names and no others.
func names(what string, uris, dns []string) certificate {
	return certificate{what: "a certificate with " + what, uris: uris, dns: dns}
}

func otherSchemes(c *probe) error {
	a := c.host("a")
	return each(
		func() error { return c.refusesBoth(names("a sips URI", []string{"sips:" + a}, nil), "a") },
		func() error { return c.refusesBoth(names("an https URI", []string{"https://" + a}, nil), "a") },
	)
}

func userpart(c *probe) error {
	return c.refusesBoth(names("a sip URI that has a user", []string{"sip:user@" + c.host("a")}, nil), "a")
}

func sipURI(c *probe) error {
	a := c.host("a")
	return each(
		func() error {
			return c.acceptsBoth(names("a sip URI and nothing else", []string{"sip:" + a}, nil), "a")
		},
		func() error { return c.acceptsBoth(names("a URI of the scheme SIP", []string{"SIP:" + a}, nil), "a") },
	)
}

func dnsNames(c *probe) error {
	a := []string{c.host("a")}
	return each(
		func() error { return c.acceptsBoth(names("a DNS name and nothing else", nil, a), "a") },
		func() error {
			return c.acceptsBoth(names("a DNS name beside an https URI", []string{"https://" + c.host("b")}, a), "a")
		},
		func() error {
			return c.refusesBoth(names("a DNS name beside a sip URI for another name", []string{"sip:" + c.host("b")}, a), "a")
		},
	)
}

func commonName(c *probe) error {
	cert := c.domain("b")
	cert.what, cert.cn = "a certificate with the name as its CN and another as subjectAltName", c.host("a")
	return c.refusesBoth(cert, "a")
}

func onlyTheName(c *probe) error {
	return c.acceptsBoth(names("a sip URI that has a port and a parameter", []string{"sip:" + c.host("a") + ":7061;transport=tcp"}, nil), "a")
}

// foreign is an internationalised label in its A-label form: "bücher".
const foreign = "xn--bcher-kva"

func anyCase(c *probe) error {
	a, f := strings.ToUpper(c.host("a")), strings.ToUpper(c.host(foreign))
	return each(
		func() error { return c.acceptsBoth(names("a sip URI in capitals", []string{"sip:" + a}, nil), "a") },
		func() error { return c.acceptsBoth(names("a DNS name in capitals", nil, []string{a}), "a") },
		func() error {
			return c.acceptsBoth(names("an A-label in capitals", []string{"sip:" + f}, nil), foreign)
		},
	)
}

func noSuffix(c *probe) error {
	return each(
		func() error { return c.refusesBoth(c.domain(""), "a") },
		func() error { return c.refusesBoth(c.domain("sub.a"), "a") },
		func() error { return c.refusesBoth(c.domain("a"), "sub.a") },
	)
}

func noWildcard(c *probe) error {
	star, dot := c.host("*"), "."+c.p.cfg.Names
	return each(
		func() error { return c.refusesBoth(names("a wildcard DNS name", nil, []string{star}), "a") },
		func() error { return c.refusesBoth(names("a wildcard sip URI", []string{"sip:" + star}, nil), "a") },
		func() error {
			return c.refusesBoth(names("a sip URI that begins with a dot", []string{"sip:" + dot}, nil), "a")
		},
	)
}
