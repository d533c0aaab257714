// Package sctp has SCTP associations and their streams, over the kernel's SCTP or over one of its own:
// RFC 9260, RFC 6951, and what SIP and TLS ask of them, RFC 4168 and RFC 3436.
//
// Open gives a Provider for one set of local addresses. It listens and dials; what comes of both is an
// Association. An association is used in one of two ways, and never in both:
//
//   - for messages (SIP over SCTP): Serve hands out every message of every stream, and Send sends one;
//   - for streams (TLS over SCTP): OpenStream and AcceptStream give a net.Conn for each bidirectional
//     stream, ordered, which puts each TLS record in a message of its own.
//
// # Providers
//
// The userland provider makes the handshake, looks after tags, ports and addresses, notices peers that are
// gone or began anew, and leaves the transfer of data to a module. It carries packets over UDP, or over IP,
// where the kernel has no SCTP and the process may open such sockets. A packet that is not certain to come
// from the peer of an association never reaches that association, and nothing is remembered of a peer that
// has not shown that it can be reached at its address: the cookie of the handshake holds all of it, signed.
//
// The kernel provider has a socket for each association, on the runtime's poller. It is multihomed where it has
// several addresses. Over UDP it loses bursts of large messages on some versions of Linux, unless gso and
// tx-sctp-segmentation are off on the interface; so it uses UDP only where a port of the peer is configured.
//
// # Goroutines
//
// A userland Provider has two goroutines, one that reads its socket and one that looks for peers which are
// silent. Each association has three of the module's, and while it is served one for each stream on which
// the peer has sent. A listener in the kernel has one, and an association there none: whoever waits for something
// of it reads for all.
//
// # Locks
//
// stack.mu guards which associations and listeners there are, association.mu the state of one of them,
// userStream.mu the sending on one stream, deadline.mu one deadline; in the kernel's case kernel.mu and
// kernelAssociation.mu the same as the first two. None is held across I/O but userStream.mu, which waits for room
// in the send buffer.
package sctp
