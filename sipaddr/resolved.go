package sipaddr

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
)

// Resolved is a resolved address: where RFC 3263 leads for a next hop, and the key under which a
// connection is found again (RFC 5923, Section 2). It is comparable. Make one with NewResolved or
// ParseResolved, so that equal addresses are equal values; the zero value is no address.
type Resolved struct {
	netip.AddrPort
	Transport Transport
}

// ParseError is the error for text that is no transport or no address.
type ParseError struct {
	What string // "transport", "address", "port" or "resolved address"
	Text string // the text, cut to a length that fits a log line
}

// Error says what could not be understood.
func (e *ParseError) Error() string { return fmt.Sprintf("sipaddr: bad %s %q", e.What, e.Text) }

// NewResolved returns the resolved address of ap over t. An IPv4 address that is written as an
// IPv6 one becomes IPv4, because they are one destination. It refuses with a *ParseError an
// invalid address, an address with a zone (which means something on this machine alone and can
// come from no DNS), port 0 and an Unknown transport.
func NewResolved(ap netip.AddrPort, t Transport) (Resolved, error) {
	switch {
	case !ap.Addr().IsValid() || ap.Addr().Zone() != "":
		return Resolved{}, &ParseError{What: "address", Text: ap.Addr().String()}
	case ap.Port() == 0:
		return Resolved{}, &ParseError{What: "port", Text: "0"}
	case t.known() == Unknown:
		return Resolved{}, &ParseError{What: "transport", Text: t.String()}
	}
	return Resolved{AddrPort: netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), Transport: t}, nil
}

// ParseResolved reads what Resolved.String writes, such as "tls:192.0.2.1:5061". The port may be
// left out for the default one of the transport: "tls:192.0.2.1" and "tls:[2001:db8::1]".
func ParseResolved(s string) (Resolved, error) {
	bad := &ParseError{What: "resolved address", Text: cut(s)}
	token, rest, ok := strings.Cut(s, ":")
	t, known := ParseTransport(token)
	if !ok || !known {
		return Resolved{}, bad
	}
	ap, err := netip.ParseAddrPort(rest)
	if err != nil {
		bare := rest
		if strings.HasPrefix(rest, "[") && strings.HasSuffix(rest, "]") {
			bare = rest[1 : len(rest)-1]
		}
		addr, err := netip.ParseAddr(bare)
		if err != nil || addr.Is6() != (bare != rest) {
			return Resolved{}, bad
		}
		ap = netip.AddrPortFrom(addr, t.DefaultPort())
	}
	r, err := NewResolved(ap, t)
	if err != nil {
		return Resolved{}, bad
	}
	return r, nil
}

// IsValid reports whether r could have come from NewResolved, but for the form of its IP address.
func (r Resolved) IsValid() bool {
	return r.AddrPort.IsValid() && r.Port() != 0 && r.Addr().Zone() == "" && r.Transport.known() != Unknown
}

// String returns r as "tls:192.0.2.1:5061" or "udp:[2001:db8::1]:5060".
func (r Resolved) String() string { return string(r.AppendTo(make([]byte, 0, 64))) }

// AppendTo appends what String returns to b.
func (r Resolved) AppendTo(b []byte) []byte {
	b = append(b, r.Transport.URIParam()...)
	b = append(b, ':')
	return r.AddrPort.AppendTo(b)
}

// Compare orders resolved addresses by IP address, port and transport.
func (r Resolved) Compare(o Resolved) int {
	if c := r.AddrPort.Compare(o.AddrPort); c != 0 {
		return c
	}
	return cmp.Compare(r.Transport, o.Transport)
}

// The methods below stand in the way of those of the embedded netip.AddrPort, which would write
// and read the address without its transport.

// AppendText appends what String returns.
func (r Resolved) AppendText(b []byte) ([]byte, error) {
	if r == (Resolved{}) {
		return b, nil
	}
	return r.AppendTo(b), nil
}

// MarshalText returns what String returns, and nothing for the zero value.
func (r Resolved) MarshalText() ([]byte, error) { return r.AppendText(nil) }

// UnmarshalText reads what MarshalText wrote.
func (r *Resolved) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*r = Resolved{}
		return nil
	}
	p, err := ParseResolved(string(text))
	if err != nil {
		return err
	}
	*r = p
	return nil
}

// AppendBinary is AppendText.
func (r Resolved) AppendBinary(b []byte) ([]byte, error) { return r.AppendText(b) }

// MarshalBinary is MarshalText.
func (r Resolved) MarshalBinary() ([]byte, error) { return r.MarshalText() }

// UnmarshalBinary is UnmarshalText.
func (r *Resolved) UnmarshalBinary(b []byte) error { return r.UnmarshalText(b) }

// cut shortens s for an error text.
func cut(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
