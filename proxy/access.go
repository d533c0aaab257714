package proxy

// Who may send what where. A request for a domain that is served here may come from anybody. Any other needs a
// source that may relay, or a dialog token of ours. And whatever anybody says: nothing is sent to addresses that
// many would hear, and nothing to special addresses for those who are not inside.

import (
	"net/netip"
	"strings"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// mayRelay reports whether a request may go to a next hop that we do not serve.
func (p *plan) mayRelay(to *sip.URI) bool {
	for _, cl := range p.claims {
		if !p.rules.keys.valid(cl, p.callID, to) {
			continue
		}
		d, served := p.rules.served[cl.domain]
		if served {
			p.domain = d.name
		}
		if p.signed = served || cl.domain == ""; p.signed {
			p.claim = cl
			break
		}
	}
	return p.signed || p.from.Relay
}

var errNoRelay = &StatusError{Status: 403, Warning: "relaying denied"}

// chooseDomain decides on whose behalf the request is sent: that names the certificate and the alias table. Only
// who may relay has a say in it, by Route or From; inside a dialog mayRelay knows better.
func (p *plan) chooseDomain() {
	if !p.from.Relay {
		if name, ok := p.rules.domainOfURI(p.uri); ok {
			p.domain = name
		} else if d, ok := p.rules.served[normalHost(p.src.LocalDomain)]; ok {
			p.domain = d.name
		}
		return
	}
	if p.popped != "" && (p.signed || !sourceTransport(p.src).Secure()) {
		p.domain = p.popped
		return
	}
	if d, ok := p.rules.served[normalHost(p.src.LocalDomain)]; ok && sourceTransport(p.src).Secure() {
		// Who came over one domain's connection speaks for that domain, whatever its From says.
		p.domain = d.name
		if name, ok := p.rules.servedDomain(p.uri); ok {
			p.domain = name
		}
		return
	}
	if from, err := p.req.From(); err == nil {
		if host, ok := from.Host(); ok {
			if d, ok := p.rules.served[normalHost(host)]; ok {
				p.domain = d.name
				return
			}
		}
	}
	if d, ok := p.rules.served[normalHost(p.src.LocalDomain)]; ok {
		p.domain = d.name
	}
}

// named returns the target for a next hop that the request itself names, in its Route or as Request-URI.
func (p *plan) named(hop *sip.URI) target {
	t := target{hop: hop, q: 1000, reach: reach{any: p.from.Inside}}
	if p.signed {
		if isAddress(normalHost(hop.Host)) {
			t.reference = p.claim.reference
		}
		t.reach.signed(p.claim.special)
	}
	maddr, has := hop.Param("maddr")
	if p.from.Relay && isName(hop.Host) && (!has || isName(maddr)) {
		// A peer inside a network may go by name to what is in the same one.
		t.reach.like = networkOf(plainAddr(p.src.Remote.Addr()))
	}
	return t
}

// isName reports whether a host is a name that is looked up, and not an address or another word for this machine.
func isName(host string) bool {
	host = normalHost(host)
	return !isAddress(host) && host != "localhost" && !strings.HasSuffix(host, ".localhost")
}

// reach says which special addresses a target may be at. The zero value: none.
type reach struct {
	any  bool       // configured, or asked for from inside
	one  netip.Addr // where the one came from whose dialog it is
	like network    // where the one is who asked by name
}

// network tells apart the kinds of special addresses that a name may lead to.
type network uint8

const (
	elsewhere network = iota
	loopback
	private
)

func networkOf(ip netip.Addr) network {
	switch {
	case ip.IsLoopback():
		return loopback
	case ip.IsPrivate():
		return private
	}
	return elsewhere
}

const anySpecial = "any" // value of specialParam

func (r *reach) signed(special string) {
	if special == anySpecial {
		r.any = true
	} else if ip, err := netip.ParseAddr(special); err == nil {
		r.one = ip
	}
}

// backSpecial returns the special addresses that requests back to the sender of a request may reach: any, if the
// sender is inside; else the one that it sends from. What a stranger writes into its Contact does not count.
func (p *plan) backSpecial(to *sip.URI) string {
	if ip, ok := to.IP(); ok && !isSpecial(plainAddr(ip)) {
		return ""
	}
	from := plainAddr(p.src.Remote.Addr())
	switch {
	case p.from.Inside:
		return anySpecial
	case from.IsValid() && isSpecial(from):
		return from.String()
	}
	return ""
}

// usable returns the addresses of an answer that a request may be sent to, in their order.
func usable(addresses []sipaddr.Resolved, r reach) []sipaddr.Resolved {
	for i, a := range addresses {
		if !r.may(a.Addr()) {
			kept := append([]sipaddr.Resolved(nil), addresses[:i]...) // the answer may be shared
			for _, a := range addresses[i+1:] {
				if r.may(a.Addr()) {
					kept = append(kept, a)
				}
			}
			return kept
		}
	}
	return addresses
}

func (r reach) may(ip netip.Addr) bool {
	ip = plainAddr(ip)
	if !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || ip == broadcast || ip.Is4() && ip.As4()[0] == 0 {
		return false
	}
	return r.any || ip == r.one || !isSpecial(ip) || r.like != elsewhere && r.like == networkOf(ip)
}

// isSpecial reports whether an address means something else to each who uses it, or to this host alone
// (RFC 6890, Section 2.2.2).
func isSpecial(ip netip.Addr) bool {
	if ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() {
		return true
	}
	for _, p := range specialPrefixes {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

var (
	broadcast       = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	specialPrefixes = []netip.Prefix{
		netip.MustParsePrefix("100.64.0.0/10"), // shared by carriers
		netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("198.18.0.0/15"), // benchmarks
		netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("fec0::/10"), // site-local, deprecated
	}
	nat64 = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052, Section 2.1
)

// plainAddr returns the IPv4 address inside a mapped or translated one.
func plainAddr(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	if nat64.Contains(ip) {
		b := ip.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return ip
}
