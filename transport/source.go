package transport

import (
	"net/netip"
	"time"

	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sipaddr"
)

// Source says where a message came from. All messages of a connection share one, so nobody changes
// it; it may be kept as long as it is needed.
type Source struct {
	// Flow leads back: the connection that the message came over, or the address that the datagram
	// came from.
	Flow Flow
	// Remote is the source address, Local the address it was sent to.
	Remote, Local netip.AddrPort
	Transport     sipaddr.Transport
	// LocalDomain is the served domain that the client asked for by SNI, or that this side dialed
	// for. It is "" without TLS.
	LocalDomain string
	// Peer is who authenticated by a certificate. Nil: nobody.
	Peer *identity.Peer
	// User is what Config.Judge answered.
	User any

	generation uint64        // of the domains that it was judged under
	pingEvery  time.Duration // by configuration; 0: no pings
}
