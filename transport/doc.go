// Package transport has the sockets and connections, and answers in one place, reuse.go, which
// connection carries a request: RFC 3261, Section 18 and RFC 5923, Section 8.
//
// A Transport listens for UDP, TCP and SCTP, with TLS and without, reads messages and gives each to the Handler, on the
// goroutine that read it. Whoever wants to send a request asks Flow for a way to a resolved
// address; whoever wants to answer one uses the Flow of its Source, or Reply when the connection
// may have gone in the meantime.
//
// # Who may send requests over which connection
//
// Over TLS a connection carries requests both ways, if the alias table of the local domain says
// so: the resolved address is in a row, and the name that the peer must prove is one of the
// identities of that row (RFC 5923, Section 8.1 and RFC 5923, Section 8.2). A table changes at three
// moments only: a dial was authenticated; a request with the alias parameter came over an accepted
// connection whose client is authenticated; a connection began to close. Besides, Update takes back
// what a new policy declines, a connection that is suspected loses its rows for a time (suspect.go), and of two
// with one peer, because both sides dialed at once, one is preferred (settle.go). Over plain TCP and SCTP requests go over connections that were
// dialed, never over accepted ones (RFC 5923, Section 9.3).
//
// # SCTP
//
// A connection over SCTP is an association (RFC 4168). Without TLS each message is one of SCTP, on stream zero and
// unordered; with TLS a stream carries it (RFC 3436), and the side that opened the association is the client. It may open
// TLS on further streams (lanes.go), each with the same peer.
//
// # Goroutines
//
// Each listener has one goroutine. Each connection has two, one that reads and one that writes,
// and for a moment a third that does the handshake and another that waits when it is being closed.
// Each dial has one. A connection that is idle holds no buffer, unless it runs over SCTP; then it also has a goroutine that
// accepts further streams, if it was accepted with TLS, one for each of those, and what the room sctp has for it.
//
// # Locks
//
// Transport.mu guards the register of connections and the life of the transport; domain.mu the
// alias table, the plain connections and the dials of one local domain; Conn.mu the write queue of
// one connection; refusals.mu what refused TCP of late. They never nest: none of them is taken while another is held, and none is held
// across I/O or a call to the Handler, to a callback, or into another room but alias, whose tables
// are values that domain.mu guards. Transport.updating lets one Update run at a time; it is taken
// before all others, and by nobody else.
package transport
