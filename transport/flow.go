package transport

import (
	"errors"
	"net/netip"

	"github.com/tandem-sip/tandem/sipaddr"
)

// Flow is where a message is sent: one connection, or a UDP socket and an address at the far end.
// It is a small value that may be copied and kept; that it is kept keeps no connection open. The
// zero Flow sends nothing.
type Flow struct {
	conn *Conn
	sock *udpSocket
	to   netip.AddrPort // far address over UDP
	back uint16         // of a Reply: the sent-by port to connect to when conn is gone
}

// Send queues b, which is one whole message or several, or sends the datagram b. It copies b and
// does not block. The errors are ErrClosed and ErrQueueFull for a connection; for UDP ErrTooLarge,
// ErrBadAddress and those of the system, such as that there is no route. Datagrams that are sent while a loop handles
// what came leave together a moment later; an address that the system does not take one for any more is then told of by
// the next Send to it.
//
// A Flow that Reply made, whose connection is gone, makes a new one and returns nil; whether b
// arrived is then counted only (Stats.RepliesLost).
func (f Flow) Send(b []byte) error {
	switch {
	case f.conn != nil:
		err := f.conn.send(b)
		if errors.Is(err, ErrClosed) && f.back != 0 {
			return f.conn.t.sendBack(f, b)
		}
		return err
	case f.sock != nil:
		return f.sock.send(b, f.to)
	}
	return ErrClosed
}

// ID returns the connection's id, which is 0 over UDP.
func (f Flow) ID() uint64 {
	if f.conn == nil {
		return 0
	}
	return uint64(f.conn.id)
}

// IsZero reports whether f is the zero Flow.
func (f Flow) IsZero() bool { return f == Flow{} }

// Reliable reports whether the transport of f delivers by itself: RFC 3261, Section 17.
func (f Flow) Reliable() bool { return f.conn != nil }

// User returns what Config.Judge answered about the far end of a connection, and nil over UDP.
func (f Flow) User() any {
	if f.conn != nil {
		return f.conn.settled().User
	}
	return nil
}

// Transport returns the transport that f really has, which for a large request is TCP where UDP
// was asked for: RFC 3261, Section 18.1.1.
func (f Flow) Transport() sipaddr.Transport { return f.endpoint().advertised.Transport }

// Remote returns the address at the far end.
func (f Flow) Remote() netip.AddrPort {
	if f.conn != nil {
		return f.conn.remote
	}
	return f.to
}

// Local returns the address at this end.
func (f Flow) Local() netip.AddrPort {
	if f.conn != nil {
		return f.conn.local
	}
	return f.endpoint().listen
}

// LocalDomain returns the served domain that a TLS connection belongs to, and "" for all others.
func (f Flow) LocalDomain() string { return f.endpoint().localDomain }

// Advertised returns the advertised address that AppendVia writes.
func (f Flow) Advertised() sipaddr.Advertised { return f.endpoint().advertised }

// AppendVia appends the value of a Via header field for a request that is sent over f, such as
// "SIP/2.0/TLS p1.example.com;branch=z9hG4bK1;alias": with alias over TLS, unless that is switched
// off (RFC 5923, Section 8.1), and with rport over UDP (RFC 3581, Section 3).
func (f Flow) AppendVia(dst []byte, branch string) []byte {
	ep := f.endpoint()
	dst = append(dst, ep.viaHead...)
	dst = append(dst, branch...)
	return append(dst, ep.viaTail...)
}

// URI returns this side's own URI for Record-Route. Over TLS its host is an identity of the
// certificate of the local domain (RFC 5922, Section 7.5).
func (f Flow) URI() string { return f.endpoint().uri }

func (f Flow) endpoint() *endpoint {
	switch {
	case f.conn != nil:
		return f.conn.ep
	case f.sock != nil:
		return f.sock.ep
	}
	return &noEndpoint
}
