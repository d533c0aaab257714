package transaction

import (
	"errors"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// Flow is where a transaction sends: a connection, or a datagram socket with a far address. Its methods
// may be called from several goroutines at once.
type Flow interface {
	// Send queues the bytes of one message. It copies them and never blocks.
	Send(b []byte) error
	// ID names the connection; it is 0 for datagrams, and never used twice otherwise.
	ID() uint64
	// Reliable reports whether what was sent arrives without being sent again.
	Reliable() bool
	// Transport is what the flow runs over.
	Transport() sipaddr.Transport
	// Identity is a stable text for whoever authenticated at the far end, empty if nobody did. A response
	// is taken from another connection than the request's only if its Source has the same text.
	Identity() string
}

// Source is where a message came from. It is kept as long as the server transaction, and not changed.
type Source struct {
	Flow        Flow             // the way back: where responses go, RFC 3261, Section 18.2.2
	Remote      sipaddr.Resolved // source address and transport
	LocalDomain string           // the served domain that the peer asked for, empty if it named none
	Peer        string           // configured name of the peer, empty if it has none
	// Identity is a stable text for whoever authenticated, empty if nobody did. It is part of the
	// matching: a CANCEL, an ACK, a retransmission or a response from a source with another text belongs
	// to another transaction, whatever its branch.
	Identity string
	// Shares limit the server transactions of the parties that the source belongs to: its address, its
	// identity. With one of them spent, a new request is answered 503 with Retry-After. Nil: no limit.
	Shares [2]*Share
	Any    any // the caller's, not looked at
}

// User is what sits above the layer and works on requests: the transaction user of RFC 3261, Section 5.
// Its methods are called on the goroutine that brought the message, without a lock held, and must not
// block. They may call the layer.
type User interface {
	// Request hands over a request that made a server transaction: never an ACK, never a CANCEL. The
	// 100 for an INVITE is the layer's to send (Timers.Trying). req may be kept: the user is one of
	// those who may release it, and the transaction another, until its final response.
	Request(tx *Server, req *sip.Message, src *Source)
	// Ack hands over an ACK that acknowledges no final response of a server transaction here but a 2xx,
	// to be forwarded without state. Like any ACK it is never answered.
	Ack(req *sip.Message, src *Source)
	// Cancel tells that the client canceled the INVITE of tx, which has no final response yet. The CANCEL
	// has been answered. It is called at most once for a transaction, and after Request has returned.
	Cancel(tx *Server, cancel *sip.Message)
	// ServerFailed tells that a response of tx could not be delivered: a *TransportError, after which the
	// transaction goes on, or ErrTimeout when no ACK came for the final response of an INVITE, or when
	// another request was given no final response in time.
	ServerFailed(tx *Server, err error)
}

// ClientUser is whoever started a client transaction. Its methods are called one after the other for
// one transaction, without a lock held, and must not block. They may call the layer. They may be called
// before Start has returned.
type ClientUser interface {
	// Response hands over a response: each provisional one, one final response, and for an INVITE each
	// further 2xx: RFC 6026, Section 7.2. resp may be kept.
	Response(c *Client, resp *sip.Message)
	// Failed tells that there will be no final response: ErrTimeout or a *TransportError. It is called at
	// most once, never after a final response, and is the last call.
	Failed(c *Client, err error)
}

// Sentinels that Failed, ServerFailed, Start and Respond give.
var (
	// ErrTimeout: timer B, F, H, Cancel or Abandon fired.
	ErrTimeout = errors.New("transaction: timeout")
	// ErrEnded: the transaction is over, or has its final response.
	ErrEnded = errors.New("transaction: final response was given already")
	// ErrProvisional: RFC 4320, Section 4.1 forbids this provisional response.
	ErrProvisional = errors.New("transaction: provisional response not allowed")
	// ErrFull: there are Config.MaxTransactions client transactions already.
	ErrFull = errors.New("transaction: too many transactions")
	// ErrBranch: a client transaction with this branch and method exists.
	ErrBranch = errors.New("transaction: branch is in use")
	// ErrMethod: there is no client transaction for an ACK.
	ErrMethod = errors.New("transaction: an ACK has no transaction")
)

// TransportError is the error for a message that could not be delivered.
type TransportError struct {
	Err error // what the flow said, or why the connection closed
}

// Error says why the message could not be delivered.
func (e *TransportError) Error() string { return "transaction: not delivered: " + e.Err.Error() }

// Unwrap returns what the flow said.
func (e *TransportError) Unwrap() error { return e.Err }
