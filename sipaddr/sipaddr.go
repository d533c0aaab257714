// Package sipaddr has the transports that SIP runs over and the two kinds of address that
// RFC 5923, Section 2 tells apart: the advertised address of a Via and the resolved address that
// a next-hop URI leads to.
package sipaddr

import "strings"

// Transport is a transport protocol as SIP names it. The zero value is Unknown.
type Transport uint8

// The transports, by the token that stands for each in a Via.
const (
	Unknown Transport = iota
	UDP               // RFC 3261, Section 18
	TCP               // RFC 3261, Section 18
	TLS               // TLS over TCP: RFC 3261, Section 26.3.1
	SCTP              // RFC 4168, Section 3
	TLSSCTP           // TLS over SCTP: RFC 4168, Section 3
)

// transports holds what is known of each Transport, indexed by it.
var transports = [...]struct {
	token    string
	param    string
	reliable bool
	secure   bool
	port     uint16
}{
	Unknown: {token: "UNKNOWN", param: "unknown"},
	UDP:     {token: "UDP", param: "udp", port: 5060},
	TCP:     {token: "TCP", param: "tcp", reliable: true, port: 5060},
	TLS:     {token: "TLS", param: "tls", reliable: true, secure: true, port: 5061},
	SCTP:    {token: "SCTP", param: "sctp", reliable: true, port: 5060},
	TLSSCTP: {token: "TLS-SCTP", param: "tls-sctp", reliable: true, secure: true, port: 5061},
}

// ParseTransport returns the transport that a Via or a transport parameter calls token, in any
// case of its letters. It reports false, and Unknown, for a token that it does not know. It does
// not allocate.
func ParseTransport(token string) (Transport, bool) {
	for t := UDP; t <= TLSSCTP; t++ {
		if strings.EqualFold(transports[t].token, token) {
			return t, true
		}
	}
	return Unknown, false
}

func (t Transport) known() Transport {
	if int(t) >= len(transports) {
		return Unknown
	}
	return t
}

// String returns the token of t in a Via, such as "TLS-SCTP"; it is "UNKNOWN" for Unknown.
func (t Transport) String() string { return transports[t.known()].token }

// URIParam returns the value of a transport parameter that asks for t, such as "tls".
func (t Transport) URIParam() string { return transports[t.known()].param }

// Reliable reports whether t delivers by itself what it was given, so that no transaction over
// it retransmits: RFC 3261, Section 17.
func (t Transport) Reliable() bool { return transports[t.known()].reliable }

// Secure reports whether t is TLS over something. Only such a transport can be reused backwards:
// RFC 5923, Section 9.3.
func (t Transport) Secure() bool { return transports[t.known()].secure }

// OverSCTP reports whether the transport is SCTP, with TLS or without (RFC 4168).
func (t Transport) OverSCTP() bool { return t == SCTP || t == TLSSCTP }

// DefaultPort returns the port that is meant when none is given: 5060, or 5061 with TLS
// (RFC 3261, Section 19.1.2 and RFC 5923, Section 8.2). It is 0 for Unknown.
func (t Transport) DefaultPort() uint16 { return transports[t.known()].port }

// MarshalText returns the lower-case form of t, as in a transport parameter.
func (t Transport) MarshalText() ([]byte, error) { return []byte(t.URIParam()), nil }

// UnmarshalText sets t from the token text, in any case of its letters.
func (t *Transport) UnmarshalText(text []byte) error {
	p, ok := ParseTransport(string(text))
	if !ok {
		return &ParseError{What: "transport", Text: cut(string(text))}
	}
	*t = p
	return nil
}
