package proxy

import (
	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/transaction"
)

// Flow is where one client transaction sends: a connection, or a datagram socket and a far address. It is safe
// for concurrent use. A Flow may also have a method TrustIdentity() bool: when that says false, the headers that
// only a trusted sender may set are removed from responses that come over it (RFC 3325, Section 5). And it may have
// a method Keep() bool: when that says true, requests offer to send keepalives (RFC 6223, Section 4.3).
// And it may have a method Proved(name string) string: it says by which identity the far end, which was authenticated
// as name, is to be authenticated when a request of the same dialog goes to it by IP address.
type Flow interface {
	transaction.Flow
	// Transport returns the flow's transport.
	Transport() sipaddr.Transport
	// AppendVia appends the Via field value for a request that is sent over the flow.
	AppendVia(dst []byte, branch string) []byte
	// URI returns this side's own URI for Record-Route, without lr: "sip:p1.example.com;transport=tls".
	URI() string
}

// Hop says where one request is to be sent, and who must be there. Its URI and texts may be parts of that request, which are used
// for another one once done has returned: what is kept longer is to be a copy.
type Hop struct {
	To sipaddr.Resolved
	// URI is the next-hop URI that was given to RFC 3263: its host is the identity to authenticate
	// (RFC 5922, Section 7.3) unless Reference says another. It is shared: only to be read.
	URI *sip.URI
	// Reference is the identity to authenticate in place of the URI's host, known from the connection that made
	// the dialog; "" when there is none. It is set only when the URI's host is an IP address.
	Reference string
	// LocalDomain is the served domain on whose behalf the request is sent; it decides the certificate and the
	// alias table. "" when no domain is served.
	LocalDomain string
	// Size is the length in bytes of the request about to be sent (a close upper bound), for the change to a
	// congestion-controlled transport that RFC 3261, Section 18.1.1 demands.
	Size int
}

// Network finds addresses and flows for the Core. Each done is called exactly once: at once, on the caller's
// goroutine, when the answer is at hand; later, on another one, when it is not. No method blocks.
type Network interface {
	// Locate applies RFC 3263 to a next-hop URI, which is good until done has returned, as that of a Hop is. The error wraps resolve.ErrNotFound, resolve.ErrTemporary or
	// resolve.ErrUnsupported.
	Locate(u *sip.URI, done func(resolve.Answer, error))
	// Connect finds or makes a flow to one resolved address. The error is a *ConnectError, or any other.
	Connect(h Hop, done func(Flow, error))
	// Reported tells how an address did: false when it did not answer in time, broke or answered 503.
	Reported(to sipaddr.Resolved, ok bool)
}

// ConnectError says why there is no flow to an address. Text goes into a Warning header field, so it names the
// peer and the reason and nothing secret.
type ConnectError struct {
	Text string
	Auth bool // the peer could not prove who it is
	Err  error
}

// Error returns the text, with the cause when there is one.
func (e *ConnectError) Error() string {
	if e.Err == nil {
		return "proxy: " + e.Text
	}
	return "proxy: " + e.Text + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// Source is what was judged about where a request came from. Whoever feeds the transaction layer puts a *Source
// into transaction.Source.Any; a request without one comes from a stranger who may reach served domains only. It
// is not changed once it is there.
type Source struct {
	// Relay: the source may send requests to domains that are not served here.
	Relay bool
	// Inside: such requests may also go to loopback, link-local and private addresses.
	Inside bool
	// TrustIdentity: the source is inside the trust domain of RFC 3325, so that its P-Asserted-Identity and the
	// like are passed on.
	TrustIdentity bool
	// URI is this side's own URI on the flow that the request came over, for Record-Route; "" makes the Core ask
	// the flow itself.
	URI string
	// Reference is the identity that the source proved and under which it can be authenticated again, when a
	// request of the same dialog goes back to it by IP address; "" when it proved none.
	Reference string
}

// stranger is the judgement on a source that nobody judged.
var stranger = &Source{}

func judged(src *transaction.Source) *Source {
	if src != nil {
		switch s := src.Any.(type) {
		case *Source:
			if s != nil {
				return s
			}
		case Source:
			return &s
		}
	}
	return stranger
}

// sourceURI returns our own URI as the source of a request sees it, "" when it is not known.
func sourceURI(src *transaction.Source) string {
	if s := judged(src); s.URI != "" {
		return s.URI
	}
	if f, ok := src.Flow.(Flow); ok {
		return f.URI()
	}
	return ""
}

// sourceTransport returns the transport that a request came over.
func sourceTransport(src *transaction.Source) sipaddr.Transport {
	if f, ok := src.Flow.(Flow); ok {
		return f.Transport()
	}
	return src.Remote.Transport
}
