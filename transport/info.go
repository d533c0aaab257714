package transport

import (
	"cmp"
	"crypto/tls"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sipaddr"
)

// ConnInfo tells an operator, and Config.Judge, about a connection. For a source address over UDP
// only Transport, Local and Remote are set.
type ConnInfo struct {
	ID            alias.ConnID
	Direction     alias.Direction
	Transport     sipaddr.Transport
	Local, Remote netip.AddrPort
	LocalDomain   string // with TLS
	// Dialed is the resolved address of a dialed connection, Reference the name its peer proved.
	Dialed    sipaddr.Resolved
	Reference string
	// Peer is who authenticated; nil: nobody.
	Peer              *identity.Peer
	CertificateExpiry time.Time // of the peer's chain; zero without Peer
	TLSVersion        string    // such as "TLS 1.3"; "" without TLS
	CipherSuite       string
	Resumed           bool
	// SCTP says who speaks SCTP for it: "kernel", "udp" for userland over UDP, or "raw" for userland over IP. It is ""
	// over TCP.
	SCTP              string
	Streams           int // of an association with TLS: those with a handshake behind them
	Opened            time.Time
	HandshakeTime     time.Duration // of connecting and TLS together when dialed
	LastUsed          time.Time     // when something was last read or written
	BytesIn, BytesOut uint64        // in: as they came from the socket; out: before encryption
	Queued            int           // bytes that wait to be written
	State             State
	Backwards         bool // requests have come over a dialed connection: the peer reuses it
	// Distrusted is for Config.Judge alone: Update has brought rules under which the peer is not believed any
	// more, or its local domain not served. What it has begun may still come to its end.
	Distrusted bool
}

func (c *Conn) info() ConnInfo {
	i := ConnInfo{
		ID: c.id, Direction: c.direction, Transport: c.ep.advertised.Transport,
		Local: c.local, Remote: c.remote, Dialed: c.dialed, Reference: c.reference, Peer: c.peer,
		Opened: c.opened, HandshakeTime: c.handshake, LastUsed: time.Unix(0, c.lastUsed.Load()),
		BytesIn: c.stream.in.Load(), BytesOut: c.bytesOut.Load(), State: c.State(),
		Backwards: c.backwards.Load(),
	}
	if c.assoc != nil {
		i.SCTP = c.assoc.kind.String()
		c.addLanes(&i)
	}
	if c.peer != nil {
		i.CertificateExpiry = c.peer.NotAfter
	}
	if c.tls != nil {
		cs := c.tls.ConnectionState()
		i.LocalDomain = c.domain.name
		i.TLSVersion, i.CipherSuite = tls.VersionName(cs.Version), tls.CipherSuiteName(cs.CipherSuite)
		i.Resumed = cs.DidResume
	}
	i.Queued = c.queued()
	return i
}

// addLanes adds what is to be said of streams.
func (c *Conn) addLanes(i *ConnInfo) {
	if c.tls == nil {
		return
	}
	c.further.mu.Lock()
	defer c.further.mu.Unlock()
	i.Streams = 1 + len(c.further.list)
	for _, l := range c.further.list {
		i.BytesIn += l.stream.in.Load()
	}
}

// Connections returns what there is to say about each connection, in the order of their ids.
func (t *Transport) Connections() []ConnInfo {
	t.mu.Lock()
	conns := t.connsLocked()
	t.mu.Unlock()
	list := make([]ConnInfo, len(conns))
	for i, c := range conns {
		list[i] = c.info()
	}
	slices.SortFunc(list, func(a, b ConnInfo) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// Connection returns what there is to say about one connection, and false if it is not there.
func (t *Transport) Connection(id alias.ConnID) (ConnInfo, bool) {
	t.mu.Lock()
	c := t.conns[id]
	t.mu.Unlock()
	if c == nil {
		return ConnInfo{}, false
	}
	return c.info(), true
}
