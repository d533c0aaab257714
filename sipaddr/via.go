package sipaddr

import (
	"net/netip"

	"github.com/tandem-sip/tandem/sip"
)

// FromVia returns what via advertises. The transport is Unknown when the token is none that is
// known here.
func FromVia(via *sip.Via) Advertised {
	t, _ := ParseTransport(via.Transport)
	return Advertised{Host: via.Host, Port: via.Port, Transport: t}
}

// Aliased returns the resolved address under which a connection from the IP address source becomes
// an alias, when its request advertised a: the source address itself, never one that a lookup of the
// host would give, with the port and the transport of the Via (RFC 5923, Section 5). The error is
// that of NewResolved.
func (a Advertised) Aliased(source netip.Addr) (Resolved, error) {
	return NewResolved(netip.AddrPortFrom(source, a.EffectivePort()), a.Transport)
}
