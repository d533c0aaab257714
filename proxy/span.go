package proxy

import (
	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sip"
)

// Span is told how one request goes, from its arrival to its final response. Its methods may be called from several
// goroutines, must be quick, and may look at what they are given until they return.
type Span interface {
	// Locating says that the addresses of a next hop are looked up; what it returns is told the answer.
	Locating(u *sip.URI) func(resolve.Answer, error)
	// Connecting says that a flow is asked for; what it returns is told the answer.
	Connecting(h Hop) func(Flow, error)
	// Responded says that a response went upstream.
	Responded(status int)
	// End says that nothing more happens.
	End()
}

// watchLocate has a span know of a look-up.
func watchLocate(s Span, u *sip.URI, done func(resolve.Answer, error)) func(resolve.Answer, error) {
	end := s.Locating(u)
	return func(a resolve.Answer, err error) {
		end(a, err)
		done(a, err)
	}
}

// watchConnect has a span know of the search for a flow.
func watchConnect(s Span, h Hop, done func(Flow, error)) func(Flow, error) {
	end := s.Connecting(h)
	return func(f Flow, err error) {
		end(f, err)
		done(f, err)
	}
}

// responded tells the span of a context, if there is one, of a response that went upstream.
func (ctx *ResponseContext) responded(status int) {
	if ctx.span != nil {
		ctx.span.Responded(status)
	}
}
