package config

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/identity"
)

// expirySoon is how long before its end a certificate is warned about.
const expirySoon = 14 * 24 * time.Hour

func index(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }

// readDomains reads the served domains.
func (v value) readDomains(cfg *Config) {
	for _, item := range v.items() {
		var d Domain
		var files keyPair
		item.fields([]field{
			{"name", func(v value) { d.Name = v.readHost() }},
			{"certificate", func(v value) { files.readCertificate(v) }},
			{"key", func(v value) { files.readKey(v) }},
			{"sent_by", func(v value) { d.SentBy = v.readSentBy() }},
			{"trust", func(v value) {
				t := defaults().Trust
				v.readTrust(&t)
				d.Trust = &t
			}},
		})
		r := item.r
		if r.lines[item.key+".name"] == 0 {
			item.problem("it has no name: add `name: example.com`")
		}
		r.checkPair(&files, item.key)
		d.Certificate = files.pair(item)
		cfg.Domains = append(cfg.Domains, d)
	}
}

// readHost reads a domain name or an IP address, and returns it in its normal form.
func (v value) readHost() string {
	s, ok := v.text()
	if !ok {
		return ""
	}
	host, ok := normalHost(s)
	if !ok {
		v.problem("%q is no domain name: write one without a port, such as example.com", s)
	}
	return host
}

// normalHost returns a domain name in lower case A-labels, or an IP address as it is written in a URI.
func normalHost(s string) (string, bool) {
	bare := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	if addr, err := netip.ParseAddr(bare); err == nil && addr.Zone() == "" {
		if addr.Is6() {
			return "[" + addr.String() + "]", true
		}
		return addr.String(), true
	}
	return identity.Normalize(s)
}

// readSentBy reads an advertised host with an optional port.
func (v value) readSentBy() string {
	s, ok := v.text()
	if !ok {
		return ""
	}
	name, port := splitPort(s)
	host, ok := normalHost(name)
	if n, err := strconv.ParseUint(port, 10, 16); !ok || port != "" && (err != nil || n == 0) {
		v.problem("%q cannot be advertised: write a host name or IP address, and a port when it is not the usual one, such as p1.example.com or p1.example.com:5071", s)
		return ""
	}
	if port != "" {
		host += ":" + port
	}
	return host
}

// splitPort cuts host:port; port is empty when there is none.
func splitPort(s string) (host, port string) {
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 || colon < strings.LastIndexByte(s, ']') || strings.Count(s, ":") > 1 && !strings.HasPrefix(s, "[") {
		return s, ""
	}
	return s[:colon], s[colon+1:]
}

// keyPair is a certificate and a key, on the way to belonging together.
type keyPair struct {
	certPath, keyPath string
	chain             []*x509.Certificate
	key               crypto.Signer
}

func (p *keyPair) readCertificate(v value) {
	data, path, ok := v.readFile()
	p.certPath = path
	if !ok {
		return
	}
	chain, problem := parseCertificates(data)
	if problem != "" {
		v.problem("%s %s: give a PEM file with the certificate, and the intermediate ones behind it", path, problem)
		return
	}
	for i, c := range chain {
		what := path
		if i > 0 {
			what = fmt.Sprintf("%s: the intermediate certificate of %q", path, c.Subject)
		}
		switch {
		case v.r.now.After(c.NotAfter):
			v.problem("%s expired on %s: renew it", what, date(c.NotAfter))
		case v.r.now.Before(c.NotBefore):
			v.problem("%s is not valid before %s: wait, or see to this machine's clock", what, date(c.NotBefore))
		case v.r.now.Add(expirySoon).After(c.NotAfter):
			v.r.warnAt(v.key, "%s expires on %s: renew it", what, date(c.NotAfter))
		}
	}
	p.chain = chain
}

func (p *keyPair) readKey(v value) {
	data, path, ok := v.readFile()
	p.keyPath = path
	if !ok {
		return
	}
	key, problem := parseKey(data)
	if problem != "" {
		v.problem("%s %s: give a PEM file with the private key, without a passphrase", path, problem)
		return
	}
	p.key = key
}

// checkPair finds a certificate without its key, and a key without its certificate.
func (r *reader) checkPair(p *keyPair, key string) {
	switch {
	case p.certPath != "" && p.keyPath == "":
		r.problemAt(key+".certificate", "there is no key with it: add `key:` with the file of the key that the certificate was made for")
	case p.certPath == "" && p.keyPath != "":
		r.problemAt(key+".key", "there is no certificate with it: add `certificate:` with the file of the certificate")
	}
}

// pair joins the two when they belong together.
func (p *keyPair) pair(domain value) tls.Certificate {
	if p.chain == nil || p.key == nil {
		return tls.Certificate{}
	}
	type publicKey interface{ Equal(crypto.PublicKey) bool }
	public, ok := p.key.Public().(publicKey)
	if !ok || !public.Equal(p.chain[0].PublicKey) {
		domain.r.problemAt(domain.key+".key", "%s does not belong to %s: give the key that the certificate was made for", p.keyPath, p.certPath)
		return tls.Certificate{}
	}
	cert := tls.Certificate{PrivateKey: p.key, Leaf: p.chain[0]}
	for _, c := range p.chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert
}

// parseKey reads the first private key of a PEM file, or says what is the matter with it.
func parseKey(data []byte) (crypto.Signer, string) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return nil, "has no private key in it"
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return nil, "is encrypted"
		}
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if signer, ok := key.(crypto.Signer); ok {
				return signer, ""
			}
		} else if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			return key, ""
		} else if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			return key, ""
		}
		return nil, "holds a private key that cannot be used"
	}
}

// checkDomains fills in what follows from other settings and finds what does not fit together.
func (r *reader) checkDomains(cfg *Config) {
	first := make(map[string]int)
	for i := range cfg.Domains {
		d, key := &cfg.Domains[i], index("domains", i)
		if d.Name == "" {
			continue
		}
		if j, twice := first[d.Name]; twice {
			r.problemAt(key+".name", "%s stands in line %d already: a domain is served once", d.Name, r.line(index("domains", j)+".name"))
			continue
		}
		first[d.Name] = i
		if d.SentBy == "" && r.lines[key+".sent_by"] == 0 {
			d.SentBy = d.Name
		}
		if d.Trust != nil && len(d.Trust.CA) == 0 && r.lines[key+".trust.ca"] == 0 {
			r.problemAt(key+".trust", "it has nobody to believe: add `ca` with the authorities that this domain's peers have their certificates from, or take it out")
		}
		if d.Certificate.Leaf != nil {
			r.checkIdentities(d, key, cfg.Trust.CNFallback)
		}
	}
	r.checkTLS(cfg)
}

// checkIdentities compares what the certificate says with what the domain needs it to say
// (RFC 5922, Section 7.1), and warns when it suits one role only.
func (r *reader) checkIdentities(d *Domain, key string, cnFallback bool) {
	leaf := d.Certificate.Leaf
	d.Identities = identity.FromCertificate(leaf, cnFallback)
	has := "it has no SIP domain identity"
	if d.Identities.Len() > 0 {
		has = "its identities are " + strings.Join(d.Identities.Names(), ", ")
	}
	if !d.Identities.Contains(d.Name) {
		r.problemAt(key+".certificate", "the certificate does not name %s (%s): give one with the subjectAltName URI:sip:%s", d.Name, has, d.Name)
	}
	host, _ := splitPort(d.SentBy)
	if _, isName := identity.Normalize(host); isName && host != d.Name && !d.Identities.Contains(host) {
		at := key + ".sent_by"
		r.problemAt(at, "the certificate does not name %s (%s): advertise one of them, or give a certificate with the subjectAltName URI:sip:%s as well", host, has, host)
	}
	usages := leaf.ExtKeyUsage
	if len(usages) == 0 || slices.Contains(usages, x509.ExtKeyUsageAny) {
		return
	}
	server, client := slices.Contains(usages, x509.ExtKeyUsageServerAuth), slices.Contains(usages, x509.ExtKeyUsageClientAuth)
	if server && !client {
		r.warnAt(key+".certificate", "its extended key usage has serverAuth only: peers may refuse the connections that are dialed with it")
	}
	if client && !server {
		r.warnAt(key+".certificate", "its extended key usage has clientAuth only: peers may refuse it on the connections that they dial")
	}
}

// checkTLS finds TLS listeners that have nothing to show, or nothing to believe.
func (r *reader) checkTLS(cfg *Config) {
	for i, l := range cfg.Listen {
		if !l.Transport.Secure() {
			continue
		}
		some, believing := false, true
		for j := range cfg.Domains {
			key := index("domains", j)
			has := r.lines[key+".certificate"] != 0
			some = some || has
			believing = believing && (!has || r.lines[key+".trust.ca"] != 0)
		}
		if !some {
			r.problemAt(index("listen", i), "%s needs a certificate and no domain has one: add it to `domains`, with `certificate` and `key`, or take the listener out", l)
		} else if !believing && len(cfg.Trust.CA) == 0 && r.lines["trust.ca"] == 0 {
			r.problemAt(index("listen", i), "%s has nobody to believe: add `trust: {ca: [FILE]}` with the authorities that peers' certificates come from, or take the listener out", l)
		}
		return // one listener is enough to say so
	}
}
