package resolve

// RFC 6724, Section 6: in which order to try the addresses of one host (RFC 7984, Section 4).

import (
	"math/bits"
	"net"
	"net/netip"
	"slices"
)

// candidate is an address of a host and the address that we would have towards it.
type candidate struct {
	addr, source netip.Addr // source is invalid where there is no way
}

// sortAddresses puts the addresses of one host in the order in which to try them.
func (r *Resolver) sortAddresses(addrs []netip.Addr) {
	if len(addrs) < 2 {
		return
	}
	all := make([]candidate, len(addrs))
	for i, a := range addrs {
		all[i] = candidate{a, r.source(a)}
	}
	slices.SortStableFunc(all, compareCandidates)
	for i, c := range all {
		addrs[i] = c.addr
	}
}

// sourceAddress asks the system which address it would send from. Nothing is sent.
func sourceAddress(to netip.Addr) netip.Addr {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 9)))
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	if a, ok := conn.LocalAddr().(*net.UDPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// compareCandidates applies the rules of RFC 6724, Section 6 in their order. Those about deprecated
// addresses, home addresses and encapsulation need knowledge of the system that we lack. The rule of the
// longest prefix is for IPv6 only: for IPv4 it would undo the order that DNS gave (round robin).
func compareCandidates(a, b candidate) int {
	if x := prefer(a.source.IsValid(), b.source.IsValid()); x != 0 || !a.source.IsValid() {
		return x // rule 1: avoid what can't be reached
	}
	scopeA, scopeB := scope(a.addr), scope(b.addr)
	if x := prefer(scopeA == scope(a.source), scopeB == scope(b.source)); x != 0 {
		return x // rule 2: prefer matching scope
	}
	policyA, policyB := policyOf(a.addr), policyOf(b.addr)
	if x := prefer(policyA.label == policyOf(a.source).label, policyB.label == policyOf(b.source).label); x != 0 {
		return x // rule 5: prefer matching label
	}
	if policyA.precedence != policyB.precedence {
		return policyB.precedence - policyA.precedence // rule 6: prefer higher precedence
	}
	if scopeA != scopeB {
		return scopeA - scopeB // rule 8: prefer smaller scope
	}
	if a.addr.Is6() && b.addr.Is6() { // rule 9: use longest matching prefix
		return commonPrefix(b.addr, b.source) - commonPrefix(a.addr, a.source)
	}
	return 0 // rule 10: leave the order unchanged
}

// prefer compares two conditions: the one that holds comes first.
func prefer(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// scope gives the scope of an address (RFC 6724, Section 3.1).
func scope(a netip.Addr) int {
	const linkLocal, siteLocal, global = 0x2, 0x5, 0xe
	switch {
	case a.IsLoopback(), a.IsLinkLocalUnicast():
		return linkLocal
	case a.Is6() && a.IsMulticast():
		return int(a.As16()[1] & 0xf)
	case siteLocalPrefix.Contains(a):
		return siteLocal
	}
	return global
}

// siteLocalPrefix is out of use, but has its scope still.
var siteLocalPrefix = netip.MustParsePrefix("fec0::/10")

// policy is a line of the policy table.
type policy struct {
	prefix            netip.Prefix
	precedence, label int
}

// policies is the default policy table (RFC 6724, Section 2.1), longest prefix first.
var policies = []policy{
	{netip.MustParsePrefix("::1/128"), 50, 0},
	{netip.MustParsePrefix("::ffff:0:0/96"), 35, 4},
	{netip.MustParsePrefix("::/96"), 1, 3},
	{netip.MustParsePrefix("2001::/32"), 5, 5},
	{netip.MustParsePrefix("2002::/16"), 30, 2},
	{netip.MustParsePrefix("3ffe::/16"), 1, 12},
	{netip.MustParsePrefix("fec0::/10"), 1, 11},
	{netip.MustParsePrefix("fc00::/7"), 3, 13},
	{netip.MustParsePrefix("::/0"), 40, 1},
}

// policyOf finds the line for an address. IPv4 has one of its own.
func policyOf(a netip.Addr) policy {
	if a.Is4() {
		return policies[1]
	}
	for _, p := range policies {
		if p.prefix.Contains(a) {
			return p
		}
	}
	return policies[len(policies)-1]
}

// commonPrefix counts the leading bits that two IPv6 addresses share, up to the 64 of the network.
func commonPrefix(a, b netip.Addr) int {
	x, y := a.As16(), b.As16()
	for i := range 8 {
		if d := x[i] ^ y[i]; d != 0 {
			return i*8 + bits.LeadingZeros8(d)
		}
	}
	return 64
}
