package sip

import "net/netip"

// hostEnd returns the position behind the host that begins at i, or -1 when there is none: a name, an
// IPv4 address, or an IPv6 address in brackets (RFC 3261, Section 25.1).
func hostEnd(s string, i int) int {
	if i < len(s) && s[i] == '[' {
		from := i + 1
		for i < len(s) && s[i] != ']' {
			i++
		}
		if i == len(s) {
			return -1
		}
		if _, ok := parseIPv6(s[from:i]); !ok {
			return -1
		}
		return i + 1
	}
	from, last := i, byte('.')
	for i < len(s) && charClass[s[i]]&charHost != 0 {
		if s[i] == '.' && last == '.' {
			return -1
		}
		last = s[i]
		i++
	}
	if i == from || i-from > 255 {
		return -1
	}
	return i
}

// parseIPv6 reads an IPv6 address without brackets and without a zone.
func parseIPv6(s string) (netip.Addr, bool) {
	if len(s) < 2 || len(s) > 45 {
		return netip.Addr{}, false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != ':' && c != '.' && !is(c, charHex) {
			return netip.Addr{}, false
		}
	}
	a, err := netip.ParseAddr(s)
	return a, err == nil && a.Is6()
}

// parseIP reads an IPv4 address, or an IPv6 address with or without brackets.
func parseIP(host string) (netip.Addr, bool) {
	if host == "" {
		return netip.Addr{}, false
	}
	if host[0] == '[' {
		if host[len(host)-1] != ']' {
			return netip.Addr{}, false
		}
		return parseIPv6(host[1 : len(host)-1])
	}
	if c := host[len(host)-1]; c-'0' > 9 && !is(c, charHex) && c != ':' {
		return netip.Addr{}, false // a name: spare the error value of netip
	}
	dots := 0
	for i := 0; i < len(host); i++ {
		switch c := host[i]; {
		case c == ':':
			return parseIPv6(host)
		case c == '.':
			dots++
		case c-'0' > 9:
			if !is(c, charHex) {
				return netip.Addr{}, false
			}
		}
	}
	if dots != 3 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(host)
	return a, err == nil
}

// port reads ":" and a port at i, with white space around when space is true. It returns the
// position behind it; i when there is no colon, -1 when the port is none.
func port(s string, i int, space bool) (p uint16, next int) {
	j := i
	if space {
		j = skipSpace(s, j)
	}
	if j == len(s) || s[j] != ':' {
		return 0, i
	}
	j++
	if space {
		j = skipSpace(s, j)
	}
	from := j
	for j < len(s) && s[j]-'0' <= 9 {
		j++
	}
	n, ok := number(s[from:j], 65535)
	if !ok || n == 0 {
		return 0, -1
	}
	return uint16(n), j
}
