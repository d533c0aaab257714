package resolve

import (
	"net/netip"
	"testing"
)

// TestSortAddresses holds RFC 6724, Section 6, by the examples of RFC 6724, Section 10.2 and some of our own.
func TestSortAddresses(t *testing.T) {
	tests := []struct {
		name    string
		sources map[string]string // destination to source; none: no way there
		in      []string
		want    string
	}{
		{"prefer matching scope", map[string]string{"2001:db8:1::1": "2001:db8:1::2", "198.51.100.121": "169.254.13.78"},
			[]string{"198.51.100.121", "2001:db8:1::1"}, "2001:db8:1::1, 198.51.100.121"},
		{"prefer matching scope, the other way", map[string]string{"2001:db8:1::1": "fe80::1", "198.51.100.121": "198.51.100.117"},
			[]string{"2001:db8:1::1", "198.51.100.121"}, "198.51.100.121, 2001:db8:1::1"},
		{"prefer higher precedence", map[string]string{"2001:db8:1::1": "2001:db8:1::2", "10.1.2.3": "10.1.2.4"},
			[]string{"10.1.2.3", "2001:db8:1::1"}, "2001:db8:1::1, 10.1.2.3"},
		{"prefer smaller scope", map[string]string{"2001:db8:1::1": "2001:db8:1::2", "fe80::1": "fe80::2"},
			[]string{"2001:db8:1::1", "fe80::1"}, "fe80::1, 2001:db8:1::1"},
		{"prefer matching label", map[string]string{"2002:c633:6401::1": "2002:c633:6401::2", "2001:db8:1::1": "2002:c633:6401::2"},
			[]string{"2001:db8:1::1", "2002:c633:6401::1"}, "2002:c633:6401::1, 2001:db8:1::1"},
		{"longest prefix", map[string]string{"2001:db8:1::1": "2001:db8:2::2", "2001:db8:2::1": "2001:db8:2::2"},
			[]string{"2001:db8:1::1", "2001:db8:2::1"}, "2001:db8:2::1, 2001:db8:1::1"},
		{"IPv4 stays as DNS had it", map[string]string{"192.0.2.1": "198.51.100.2", "198.51.100.1": "198.51.100.2"},
			[]string{"192.0.2.1", "198.51.100.1"}, "192.0.2.1, 198.51.100.1"},
		{"no way to IPv6", map[string]string{"192.0.2.1": "192.0.2.9"}, []string{"2001:db8::1", "192.0.2.1"}, "192.0.2.1, 2001:db8::1"},
		{"no way at all", nil, []string{"192.0.2.1", "2001:db8::1"}, "192.0.2.1, 2001:db8::1"},
		{"loopback", map[string]string{"127.0.0.1": "127.0.0.1", "::1": "::1"}, []string{"127.0.0.1", "::1"}, "::1, 127.0.0.1"},
		{"one", nil, []string{"192.0.2.1"}, "192.0.2.1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &Resolver{source: func(to netip.Addr) netip.Addr {
				if s := test.sources[to.String()]; s != "" {
					return netip.MustParseAddr(s)
				}
				return netip.Addr{}
			}}
			var addrs []netip.Addr
			for _, s := range test.in {
				addrs = append(addrs, netip.MustParseAddr(s))
			}
			if r.sortAddresses(addrs); joinAddrs(addrs) != test.want {
				t.Errorf("got %s, want %s", joinAddrs(addrs), test.want)
			}
		})
	}
}

// TestSourceAddress asks the system.
func TestSourceAddress(t *testing.T) {
	if a := sourceAddress(netip.MustParseAddr("127.0.0.1")); a != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("got %v", a)
	}
}
