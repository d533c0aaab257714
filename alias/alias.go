// Package alias is the connection alias table of RFC 5923: which open connection may carry a
// request to a resolved address and a domain, and why not another. It is pure: it holds numbers of
// connections and no connections, reads no clock and takes no locks.
package alias

import (
	"time"

	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sipaddr"
)

// ConnID is the number of a connection, the alias descriptor of RFC 5923, Section 5. The owner of
// the connections gives each a number of its own and never gives it again; 0 is no connection.
type ConnID uint64

// Direction tells who opened a connection.
type Direction uint8

// The directions.
const (
	Dialed   Direction = iota // this side opened it, and is its client: RFC 5923, Section 8.1
	Accepted                  // the peer opened it, and said alias: RFC 5923, Section 8.2
)

// String returns "dialed" or "accepted".
func (d Direction) String() string {
	if d == Accepted {
		return "accepted"
	}
	return "dialed"
}

// MarshalText returns what String returns.
func (d Direction) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Row is one line of an alias table: over this connection this address can be reached, and these
// domains have been authenticated there.
type Row struct {
	// Resolved is the address that RFC 3263 led to, for a dialed connection, or the source IP
	// address with the port and transport of the Via, for an accepted one: RFC 5923, Section 5.
	Resolved    sipaddr.Resolved
	Identities  identity.Set // all of the peer's certificate
	LocalDomain string       // on whose behalf the connection is there: RFC 5923, Section 9.3
	Fingerprint [32]byte     // SHA-256 of the peer's certificate
	NotAfter    time.Time    // when that certificate ends; zero: it is not asked for
	Conn        ConnID
	Direction   Direction
	MadeBy      string    // the Call-ID of the request that made the row, or "dial"; cut by Add
	LastUsed    time.Time // of the last reuse, or of the row's making
}

// Verdict says of one row whether it would do, and why not.
type Verdict struct {
	Row    Row
	Reason Reason
}

// Decision is the answer to the question which connection may carry a request. With the Reason
// Reuse it is Conn, and otherwise none: a new connection has to be opened.
type Decision struct {
	Conn       ConnID
	Reason     Reason
	Basis      Basis     // what was relaxed, whether there is reuse or not
	Considered []Verdict // the rows of the address, in the order of choice; only from Explain
}

// Reuse reports whether the connection Conn carries the request.
func (d Decision) Reuse() bool {
	return d.Reason == Reuse || d.Reason == ReuseByConfiguredReference || d.Reason == ReuseByDialog
}

// On returns d as the answer to a question whose reference had that basis, with a reason that tells
// so.
func (d Decision) On(b Basis) Decision {
	d.Basis = b
	if d.Reuse() {
		d.Reason = [...]Reason{ByURI: Reuse, ByConfiguration: ReuseByConfiguredReference, ByDialog: ReuseByDialog}[b]
	}
	return d
}

// Basis tells where the reference came from, the name that a peer has to prove. All but the first
// are for next hops that are IP addresses, which no certificate proves, and are used only where that
// is configured.
type Basis uint8

// The bases.
const (
	ByURI           Basis = iota // the host of the next-hop URI: RFC 5922, Section 7.3
	ByConfiguration              // the name that is configured for the peer at the address
	ByDialog                     // the name that the peer proved when the dialog was made
)

// String returns "uri", "configured_reference" or "dialog".
func (b Basis) String() string {
	switch b {
	case ByConfiguration:
		return "configured_reference"
	case ByDialog:
		return "dialog"
	}
	return "uri"
}

// MarshalText returns what String returns.
func (b Basis) MarshalText() ([]byte, error) { return []byte(b.String()), nil }
