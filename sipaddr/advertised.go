package sipaddr

import "strconv"

// Advertised is an advertised address: what a client says of itself in the sent-by of its Via,
// with the transport that stands there (RFC 5923, Section 2). It is a claim and proves nothing.
type Advertised struct {
	Host      string    // as written; an IPv6 address keeps its brackets
	Port      uint16    // 0: none was written
	Transport Transport // of the Via
}

// SentBy returns the host, and the port if there is one, as they stand in a Via.
func (a Advertised) SentBy() string {
	if a.Port == 0 {
		return a.Host
	}
	return string(a.AppendSentBy(make([]byte, 0, len(a.Host)+6)))
}

// AppendSentBy appends what SentBy returns to b.
func (a Advertised) AppendSentBy(b []byte) []byte {
	b = append(b, a.Host...)
	if a.Port != 0 {
		b = append(b, ':')
		b = strconv.AppendUint(b, uint64(a.Port), 10)
	}
	return b
}

// EffectivePort returns the port of the sent-by or, without one, the default port of the
// transport, which is 5061 with TLS: RFC 5923, Section 8.2.
func (a Advertised) EffectivePort() uint16 {
	if a.Port != 0 {
		return a.Port
	}
	return a.Transport.DefaultPort()
}

// String returns a as "TLS p1.example.com:5061", the way it stands in a Via.
func (a Advertised) String() string { return a.Transport.String() + " " + a.SentBy() }
