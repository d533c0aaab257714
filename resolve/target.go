package resolve

// RFC 3263, Section 4.1 and the beginning of RFC 3263, Section 4.2: what the URI alone says, before any
// DNS.

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// target is what is looked up, and the key under which the outcome is kept.
type target struct {
	host      string            // lower case, without a final dot
	port      uint16            // 0: none was given
	transport sipaddr.Transport // Unknown: DNS says
	secure    bool              // only TLS will do; false when transport already says so
}

// service is how DNS speaks of a transport.
type service struct {
	naptr string // service field of NAPTR records
	srv   string // the labels in front of the domain in SRV names
}

// serviceOf gives the names of a transport in DNS, or none.
func serviceOf(t sipaddr.Transport) service {
	switch t {
	case sipaddr.UDP:
		return service{"SIP+D2U", "_sip._udp."} // RFC 3263, Section 9
	case sipaddr.TCP:
		return service{"SIP+D2T", "_sip._tcp."}
	case sipaddr.TLS:
		return service{"SIPS+D2T", "_sips._tcp."}
	case sipaddr.SCTP:
		return service{"SIP+D2S", "_sip._sctp."}
	case sipaddr.TLSSCTP:
		return service{"SIPS+D2S", "_sips._sctp."} // RFC 4168, Section 6
	}
	return service{}
}

// target reads the URI. A host that is an IP address comes back as addr: then nothing is to be looked up.
// Nothing is allocated unless there is an error or the host has capital letters.
func (r *Resolver) target(u *sip.URI) (t target, addr netip.Addr, err error) {
	if !u.IsSIP() {
		return t, addr, fmt.Errorf("resolve: %w: scheme %q", ErrUnsupported, cut(u.Scheme))
	}
	host := u.Host
	// RFC 3263, Section 4: the maddr parameter stands before the host.
	if maddr, ok := u.Param("maddr"); ok && maddr != "" {
		host = maddr
	}
	t.port = u.Port
	addr, numeric := hostIP(host)
	if t.transport, err = r.transport(u, numeric); err != nil {
		return t, addr, err
	}
	if numeric {
		if addr.Is4() && !r.cfg.IPv4 || addr.Is6() && !r.cfg.IPv6 {
			return t, addr, fmt.Errorf("resolve: %w: address family of %q", ErrUnsupported, cut(host))
		}
		return t, addr, nil
	}
	t.secure = u.Secure() && t.transport == sipaddr.Unknown
	t.host = strings.ToLower(strings.TrimSuffix(host, "."))
	if !validName(t.host) {
		return t, addr, notFound(host)
	}
	return t, addr, nil
}

// transport chooses the transport as far as that can be done without DNS (RFC 3263, Section 4.1); Unknown
// says that it cannot.
func (r *Resolver) transport(u *sip.URI, numeric bool) (sipaddr.Transport, error) {
	secure := u.Secure()
	if text := u.Transport(); text != "" {
		t, ok := sipaddr.ParseTransport(text)
		if ok && secure {
			t, ok = overTLS(t)
		}
		if !ok || !slices.Contains(r.cfg.Transports, t) {
			return sipaddr.Unknown, fmt.Errorf("resolve: %w: %q for a %s URI", ErrUnsupported, cut(text), u.Scheme)
		}
		return t, nil
	}
	t := r.defaultTransport(secure)
	if t == sipaddr.Unknown {
		return t, fmt.Errorf("resolve: %w: nothing here carries a %s URI", ErrUnsupported, u.Scheme)
	}
	if numeric || u.Port != 0 {
		return t, nil
	}
	return sipaddr.Unknown, nil
}

// overTLS gives the transport that a sips URI means by a transport parameter.
func overTLS(t sipaddr.Transport) (sipaddr.Transport, bool) {
	switch t {
	case sipaddr.TCP, sipaddr.TLS:
		return sipaddr.TLS, true
	case sipaddr.SCTP, sipaddr.TLSSCTP:
		return sipaddr.TLSSCTP, true
	}
	return sipaddr.Unknown, false // TLS does not run over UDP
}

// defaultTransport is what is used when neither the URI nor DNS says: UDP, or TLS over TCP for a sips URI
// (RFC 3263, Section 4.1). Where we lack that one, the most wanted of those we have takes its place.
func (r *Resolver) defaultTransport(secure bool) sipaddr.Transport {
	first := sipaddr.UDP
	if secure {
		first = sipaddr.TLS
	}
	if slices.Contains(r.cfg.Transports, first) {
		return first
	}
	for _, t := range r.cfg.Transports {
		if !secure || t.Secure() {
			return t
		}
	}
	return sipaddr.Unknown
}

// hostIP reads a host that is an IP address: IPv4, or IPv6 in brackets. An IPv4 address in IPv6 clothes is
// the IPv4 address, so that nobody is reached by two different keys.
func hostIP(host string) (netip.Addr, bool) {
	if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	} else if len(host) == 0 || strings.Trim(host, "0123456789.") != "" {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}

// validName tells whether a lower-case name may be asked for at all: letters, digits, hyphens and
// underscores in labels of 63 bytes and names of 253, and no digits only at the end, which would be an IP
// address gone wrong (RFC 3261, Section 25.1: toplabel begins with a letter).
func validName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	label, digits := 0, true
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '.':
			if label == 0 {
				return false
			}
			label, digits = 0, true
			continue
		case c >= '0' && c <= '9':
		case c >= 'a' && c <= 'z' || c == '-' || c == '_':
			digits = false
		default:
			return false
		}
		if label++; label > 63 {
			return false
		}
	}
	return label > 0 && !digits
}

// cut shortens what a stranger wrote before it goes into an error.
func cut(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
