package conformance

import (
	"fmt"
	"net/netip"
	"strings"
)

// name is one of the prober's names and where it is.
type name struct {
	host string
	ip   netip.Addr
}

// names are the names that the target has to find.
func (p *Prober) names() []name {
	var all []name
	for _, label := range []string{"", "a.", "b.", "c.", "sub.a.", foreign + "."} {
		all = append(all, name{label + p.cfg.Names, p.cfg.Listen})
	}
	if p.cfg.Second.IsValid() {
		all = append(all, name{"far." + p.cfg.Names, p.cfg.Second})
	}
	return all
}

// Hosts returns the prober's names and addresses as lines of a hosts file.
func (p *Prober) Hosts() string {
	var b strings.Builder
	for _, n := range p.names() {
		fmt.Fprintf(&b, "%s\t%s\n", n.ip, n.host)
	}
	return b.String()
}

// Zone returns the prober's names and addresses as lines of a zone file.
func (p *Prober) Zone() string {
	var b strings.Builder
	for _, n := range p.names() {
		kind := "A"
		if n.ip.Is6() {
			kind = "AAAA"
		}
		fmt.Fprintf(&b, "%s.\t5\tIN\t%s\t%s\n", n.host, kind, n.ip)
	}
	return b.String()
}

// Setup says in words what has to be true of the target; authority is where the authority's certificate is.
func (p *Prober) Setup(authority string) string {
	var b strings.Builder
	point := func(format string, args ...any) {
		b.WriteString("- " + wrap(fmt.Sprintf(format, args...), 2) + "\n")
	}
	fmt.Fprintf(&b, "For the prober to see anything, of the target %s this has to be true:\n\n", p.cfg.Target)
	point("It trusts the authority in %s, for clients and for servers. That authority's key is on this machine: let the target forget it afterwards.", authority)
	point("It has a certificate for %s that it presents in both roles; the prober does not ask who signed it.", p.cfg.Domain)
	if p.zone == nil && !p.cfg.DNS.IsValid() {
		point("It finds these names, for which the prober's URIs name a port:")
		b.WriteString("\n" + p.Hosts() + "\n")
		point("Or it asks the prober's own DNS server for them: --dns ADDRESS:PORT. Without that the cases about SRV records are not testable.")
	} else {
		point("It asks the DNS server %s for names below %s. The prober answers there while it runs.", p.cfg.DNS, p.cfg.Names)
	}
	point("What comes from %s to %s it forwards by its Request-URI, such as %s, on behalf of the domain in From, which is %s.",
		p.cfg.Agent, p.cfg.Trigger, "sip:x@a."+p.cfg.Names+":12345;transport="+p.cfg.Transport.URIParam(), p.cfg.Domain)
	point("It may open connections to any port of %s, and takes them from there.", p.cfg.Listen)
	return b.String()
}

// Tandem returns a configuration of a tandem with which every case is testable: the settings that Setup
// describes. Its files are ca.pem, target.pem and target.key, and second.pem and second.key if there is a
// second domain.
func (p *Prober) Tandem() string {
	var b strings.Builder
	fmt.Fprintf(&b, "listen:\n  - udp://%s\n  - tcp://%s\n  - %s://%s\n",
		netip.AddrPortFrom(p.target.Addr(), p.cfg.Plain.Port()), p.cfg.Plain, p.cfg.Transport.URIParam(), p.target)
	if p.cfg.DNS.IsValid() {
		fmt.Fprintf(&b, "dns: [%q]\n", p.cfg.DNS)
	}
	b.WriteString("trust:\n  ca: [ca.pem]\ndomains:\n")
	fmt.Fprintf(&b, "  - {name: %s, certificate: target.pem, key: target.key}\n", p.cfg.Domain)
	if p.cfg.SecondDomain != "" {
		fmt.Fprintf(&b, "  - {name: %s, certificate: second.pem, key: second.key}\n", p.cfg.SecondDomain)
	}
	fmt.Fprintf(&b, "access:\n  relay_from: [%q]\n", netip.PrefixFrom(p.cfg.Agent, p.cfg.Agent.BitLen()))
	return b.String()
}
