package proxy

// RFC 3261, Section 16.9: transport errors, and what else keeps a request from getting anywhere.

import (
	"errors"

	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/transaction"
)

// Failed takes the end of a client transaction that got no final response: a timeout, or a transport error.
func (a *attempt) Failed(_ *transaction.Client, err error) {
	if a.b == nil {
		return // it was answered
	}
	b, ctx, core := a.b, a.b.ctx, a.core
	defer a.leave(ctx)
	timeout := errors.Is(err, transaction.ErrTimeout)
	ctx.mu.Lock()
	if a.over {
		ctx.mu.Unlock()
		return
	}
	a.ended()
	// What the far side has begun to work on is sent to nobody else. Of an INVITE the transaction layer takes
	// leave with a CANCEL.
	fresh := !a.provisional
	replay := fresh && !timeout && !a.replay && !ctx.closed && !a.cancelled && a.flow.Reliable()
	again := !ctx.closed && !a.cancelled && fresh && !(timeout && !ctx.invite)
	ctx.mu.Unlock()
	overload := errors.Is(err, transaction.ErrFull)
	if !overload {
		core.net.Reported(a.to, false)
	}
	switch {
	case overload:
		b.give(&answer{status: 503, attempt: a, err: overloaded(err)})
	case replay:
		// The connection broke under the request. The same bytes on another connection to the same address are a
		// retransmission, which whoever got the first copy knows by its branch.
		core.stats.replays.Add(1)
		b.replay(a, transportError(b.target.hop, err))
	case again && timeout:
		b.failedAt(statusError(408, "no answer from "+hopText(b.target.hop)))
	case again:
		b.failedAt(transportError(b.target.hop, err))
	case timeout:
		b.give(&answer{status: 408, attempt: a, err: statusError(408, "")})
	default:
		b.give(&answer{status: 503, attempt: a, err: transportError(b.target.hop, err)})
	}
}

// give ends a branch with an answer of our own.
func (b *branch) give(got *answer) {
	b.ctx.mu.Lock()
	b.end(got)
	b.ctx.mu.Unlock()
	b.ctx.advance()
}

// replay sends a request again on a new connection to the address that it was sent to before.
func (b *branch) replay(old *attempt, why *StatusError) {
	ctx, p := b.ctx, &b.ctx.plan
	ctx.hold()
	b.core().net.Connect(Hop{To: old.to, URI: b.target.hop, Reference: b.target.reference, LocalDomain: p.domain,
		Size: p.size()}, func(f Flow, err error) {
		defer ctx.drop()
		if err != nil || f.ID() == old.flow.ID() {
			b.failedAt(why)
			return
		}
		a := b.newAttempt(old.to, f)
		a.replay = true // nobody else knows it yet
		if string(f.AppendVia(nil, "")) == string(old.flow.AppendVia(nil, "")) {
			a.branch = old.branch
		}
		b.send(a)
	})
}

// tryNext reports whether a 503 sends the request to the next address (RFC 3263, Section 4.3), and ends the
// attempt if so.
func (a *attempt) tryNext() bool {
	ctx := a.b.ctx
	ctx.mu.Lock()
	defer ctx.mu.Unlock()
	if a.over || a.b.attempt != a || ctx.closed || a.b.at+1 >= len(a.b.addresses) {
		return false
	}
	a.ended()
	return true
}

func locateError(u *sip.URI, err error) *StatusError {
	switch {
	case errors.Is(err, resolve.ErrNotFound):
		return &StatusError{Status: 404, Warning: "no address for " + hopText(u), Err: err}
	case errors.Is(err, resolve.ErrUnsupported):
		return &StatusError{Status: 480, Warning: "no common transport with " + hopText(u), Err: err}
	}
	// RFC 3261, Section 21.5.5: a server that we need, the DNS, did not answer in time.
	return &StatusError{Status: 504, Warning: "looking up " + hopText(u) + " failed", Err: err}
}

func connectError(to sipaddr.Resolved, err error) *StatusError {
	e := &StatusError{Status: 503, Warning: "no connection to " + to.String(), Err: err}
	var c *ConnectError
	if errors.As(err, &c) && c.Text != "" {
		e.Warning = c.Text
	}
	return e
}

func transportError(u *sip.URI, err error) *StatusError {
	return &StatusError{Status: 503, Warning: "the connection to " + hopText(u) + " broke", Err: err}
}

// overloaded is our own 503: we take no more transactions.
func overloaded(err error) *StatusError {
	return &StatusError{Status: 503, Headers: []sip.Line{{Name: "Retry-After", Value: "5"}}, Err: err}
}

// authentication reports whether a peer could not prove who it is. Such a 503 is told to the client as it is:
// every other request that needs that peer would fail in the same way.
func (e *StatusError) authentication() bool {
	var c *ConnectError
	return errors.As(e.Err, &c) && c.Auth
}

// overload reports whether it was us who could not take the request.
func (e *StatusError) overload() bool { return errors.Is(e.Err, transaction.ErrFull) }
