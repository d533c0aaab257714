package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sipaddr"
)

// The errors without data.
var (
	// ErrClosed says that the connection, or the whole transport, carries nothing any more.
	ErrClosed = errors.New("transport: closed")
	// ErrQueueFull says that too much waits to be written, or too many requests wait for one dial.
	ErrQueueFull = errors.New("transport: queue full")
	// ErrTooManyDials says that MaxDials dials are in progress.
	ErrTooManyDials = errors.New("transport: too many dials in progress")
	// ErrTooManyConnections says that MaxConnections connections are open.
	ErrTooManyConnections = errors.New("transport: too many connections")
	// ErrNoListener says that nothing listens with the transport and address family of a hop, so
	// that there is no address to send from.
	ErrNoListener = errors.New("transport: no listener to send from")
	// ErrUnknownDomain says that the local domain of a hop is not served here.
	ErrUnknownDomain = errors.New("transport: local domain not served")
	// ErrBadAddress says that an address can be nobody's: unspecified, broadcast or multicast.
	ErrBadAddress = errors.New("transport: not an address to send to")
	// ErrTooLarge says that a message is larger than a datagram can be.
	ErrTooLarge = errors.New("transport: message too large for a datagram")

	errSlow      = errors.New("transport: message took too long")
	errStalled   = errors.New("transport: peer takes nothing")
	errTruncated = errors.New("transport: connection ended without a closure alert")
	errPanic     = errors.New("transport: handler panicked")
	errNoPong    = errors.New("transport: ping not answered")
	errWedged    = errors.New("transport: requests and a ping not answered")
	errExpired   = errors.New("transport: certificate of the peer has expired")
	errTrust     = errors.New("transport: peer is no longer trusted")
)

// ListenError is returned by Open for the listen address that could not be bound.
type ListenError struct {
	Index  int // in Config.Listen
	Listen Listen
	Err    error
}

// Error names the listen address and the cause.
func (e *ListenError) Error() string { return fmt.Sprintf("transport: listen %s: %v", e.Listen, e.Err) }

// Unwrap returns the cause.
func (e *ListenError) Unwrap() error { return e.Err }

// DialError is returned when no connection could be made to an address.
type DialError struct {
	To        sipaddr.Resolved
	Refused   bool // the peer refused or reset: nothing listens there
	Timeout   bool // no answer in time
	Handshake bool // TCP connected, and the TLS handshake failed for a reason other than identity
	Err       error
}

// Error names the address and the cause.
func (e *DialError) Error() string {
	what := "connect to"
	if e.Handshake {
		what = "handshake with"
	}
	return fmt.Sprintf("transport: %s %s: %v", what, e.To, e.Err)
}

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.Err }

// AuthError is returned when a server did not prove the name that it had to:
// RFC 5922, Section 7.3. The connection has been closed and nothing was sent over it.
type AuthError struct {
	To        sipaddr.Resolved
	Reference string   // the name that was wanted
	Names     []string // the identities that its certificate has, at most eight of them
	Err       error    // from the room identity; nil when there was no name to ask for
}

// Error says in plain words which peer it was, what its certificate says and what was wanted. It
// has no line break and no quotation mark, so that it can stand in a Warning header field.
func (e *AuthError) Error() string { return "transport: " + e.Text() }

// Text returns what Error returns, without the name of the room in front.
func (e *AuthError) Text() string {
	if e.Reference == "" {
		return fmt.Sprintf("no name is known to authenticate %s by", netAddr(e.To.AddrPort))
	}
	names := "its certificate has no SIP identity"
	if len(e.Names) > 0 {
		names = "its certificate has the identities " + strings.Join(e.Names, ", ")
	}
	// The reason goes before the names, of which there may be many: a Warning has room for 200 bytes.
	why := names
	var refused *identity.VerifyError
	switch {
	case errors.As(e.Err, &refused) && refused.Reason == identity.ReasonMismatch:
		// the names say it all
	case refused != nil && refused.Reason == identity.ReasonNoIdentity:
		why = names + " (" + refused.Text + ")"
	case refused != nil:
		why = refused.Text + "; " + names
	case e.Err != nil && len(e.Names) > 0:
		why = e.Err.Error() + "; " + names
	case e.Err != nil:
		why = e.Err.Error() // nothing may have been shown
	}
	s := fmt.Sprintf("peer %s is not authenticated as %s: %s", netAddr(e.To.AddrPort), e.Reference, why)
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '\\':
			return '\''
		case r < ' ' || r == 0x7f:
			return ' '
		}
		return r
	}, s)
}

// Unwrap returns the cause.
func (e *AuthError) Unwrap() error { return e.Err }

func netAddr(ap netip.AddrPort) string { return ap.String() }
