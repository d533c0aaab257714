package config

import (
	"net/netip"
	"strings"

	"github.com/tandem-sip/tandem/sipaddr"
)

// readListen reads the URLs to listen on.
func (v value) readListen(cfg *Config) {
	urls, at := v.texts()
	for i, url := range urls {
		scheme, rest, ok := strings.Cut(url, "://")
		transport, known := sipaddr.ParseTransport(scheme)
		if !ok || !known || transport.URIParam() != strings.ToLower(scheme) {
			at[i].problem("%q is no address to listen on: write a transport (udp, tcp, tls, sctp or tls-sctp) and an IP address with a port, such as udp://127.0.0.1:5060", url)
			cfg.Listen = append(cfg.Listen, Listen{}) // keeps the places in step with the list
			continue
		}
		addr, ok := at[i].addrPort(rest, transport.DefaultPort())
		if !ok {
			transport = sipaddr.Unknown
		}
		cfg.Listen = append(cfg.Listen, Listen{transport, addr, at[i].node.Line})
	}
}

// addrPort parses an IP address with a port. like is the port for the example in the problem.
func (v value) addrPort(s string, like uint16) (netip.AddrPort, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Addr().Zone() == "" {
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), true
	}
	host := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	switch addr, err := netip.ParseAddr(host); {
	case err == nil && addr.Zone() == "":
		v.problem("%q has no port: write %v", s, netip.AddrPortFrom(addr, like))
	case strings.HasPrefix(s, ":"):
		v.problem("%q has no IP address: write one, such as 127.0.0.1%s", s, s)
	default:
		v.problem("%q is not an IP address with a port: write it as 127.0.0.1:%d or [::1]:%d", s, like, like)
	}
	return netip.AddrPort{}, false
}

// checkListen finds listeners that are missing or in each other's way.
func (r *reader) checkListen(cfg *Config) {
	if len(cfg.Listen) == 0 {
		if len(r.problems) == 0 || r.lines["listen"] == 0 {
			r.problemAt("listen", "there is nothing to listen on: give at least one address, such as `listen: [udp://127.0.0.1:5060]`")
		}
		return
	}
	type socket struct {
		kind string
		addr netip.AddrPort
	}
	first := make(map[socket]int)
	for i, l := range cfg.Listen {
		s := socket{socketKind(l.Transport), l.Addr}
		if s.kind == "" || l.Addr.Port() == 0 {
			continue
		}
		if j, twice := first[s]; twice {
			r.problemAt(index("listen", i), "%s needs the same %s port as %s in line %d: give one of them another port", l, s.kind, cfg.Listen[j], r.line(index("listen", j)))
			continue
		}
		first[s] = i
	}
}

// socketKind says which port space a transport listens in; empty for an unknown transport.
func socketKind(t sipaddr.Transport) string {
	switch t {
	case sipaddr.UDP:
		return "UDP"
	case sipaddr.TCP, sipaddr.TLS:
		return "TCP"
	case sipaddr.SCTP, sipaddr.TLSSCTP:
		return "SCTP"
	}
	return ""
}

// readDNS reads the resolvers: IP addresses, with a port when it isn't 53.
func (v value) readDNS(cfg *Config) {
	list, at := v.texts()
	for i, s := range list {
		if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
			cfg.DNS = append(cfg.DNS, netip.AddrPortFrom(addr.Unmap(), 53))
		} else if addr, ok := at[i].addrPort(s, 53); ok {
			cfg.DNS = append(cfg.DNS, addr)
		}
	}
}

// readPrefixes reads a list of CIDR prefixes; an IP address alone is a prefix of one address. A
// prefix that could not be read is left invalid, so that the places stay in step with the list.
func (v value) readPrefixes() (prefixes []netip.Prefix) {
	list, at := v.texts()
	for i, s := range list {
		var prefix netip.Prefix
		if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
			addr = addr.Unmap()
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		} else if p, err := netip.ParsePrefix(s); err != nil {
			at[i].problem("%q is neither an IP address nor a range of them: write it as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32", s)
		} else if p != p.Masked() {
			at[i].problem("%s has bits set behind its length: write %s for the range, or %s for the one address", s, p.Masked(), p.Addr())
		} else {
			prefix = p
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes
}
