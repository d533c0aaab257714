package proxy

// RFC 3261, Section 16.6 items 7 to 11: where to, and sending there.

import (
	"time"

	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/transaction"
)

// attempt is one client transaction: a request to one address. It is the transaction's user, so that what a
// transaction says late is never taken for what its successor says.
type attempt struct {
	upstream
	b      *branch // nil: a 2xx settled it
	tx     *transaction.Server
	to     sipaddr.Resolved
	branch string
	signed signed

	// Guarded by the context's lock.
	client      *transaction.Client // nil until the transaction layer has returned it
	holds       bool                // the context, for the client transaction may say more
	provisional bool                // a provisional response came, 100 included
	answered    bool                // any response came
	cancelled   bool                // CANCEL was asked for
	over        bool                // a final response came, or the transaction failed
	replay      bool                // sent again on another connection to the same address
}

// locate looks up the addresses of the branch's target.
func (b *branch) locate() {
	b.ctx.hold()
	done := b.whenLocated
	if s := b.ctx.span; s != nil {
		done = watchLocate(s, b.target.hop, done)
	}
	b.core().net.Locate(b.target.hop, done)
}

func (b *branch) located(ans resolve.Answer, err error) {
	var addresses []sipaddr.Resolved
	var failure *StatusError
	switch {
	case err != nil:
		failure = locateError(b.target.hop, err)
	case len(ans.Addresses) == 0:
		failure = locateError(b.target.hop, resolve.ErrNotFound)
	default:
		if addresses = usable(ans.Addresses, b.target.reach); len(addresses) == 0 {
			failure = statusError(403, "next hop is a special address")
		}
	}
	ctx := b.ctx
	ctx.mu.Lock()
	b.addresses, b.failure = addresses, failure
	ctx.mu.Unlock()
	b.connect()
	ctx.drop()
}

// connect asks for a flow to the next address; without one the branch ends.
func (b *branch) connect() {
	ctx := b.ctx
	ctx.mu.Lock()
	if ctx.closed || b.at == len(b.addresses) {
		b.exhausted()
		ctx.mu.Unlock()
		ctx.advance()
		return
	}
	to := b.addresses[b.at]
	ctx.mu.Unlock()
	p := &ctx.plan
	ctx.hold()
	hop, done := Hop{To: to, URI: b.target.hop, Reference: b.target.reference, LocalDomain: p.domain, Size: p.size()}, b.whenConnected
	if ctx.span != nil {
		done = watchConnect(ctx.span, hop, done)
	}
	p.core.net.Connect(hop, done)
}

// exhausted ends a branch that has no address left (RFC 3261, Section 16.6 item 7). The lock is held.
func (b *branch) exhausted() {
	switch {
	case b.failure != nil:
		b.end(&answer{status: b.failure.Status, err: b.failure})
	default:
		b.end(nil)
	}
}

func (b *branch) connected(f Flow, err error) {
	ctx := b.ctx
	ctx.mu.Lock()
	to := b.addresses[b.at]
	ctx.mu.Unlock()
	if err != nil {
		b.core().stats.connectErrors.Add(1)
		b.failedAt(connectError(to, err))
	} else {
		b.send(b.newAttempt(to, f))
	}
	ctx.drop()
}

// newAttempt makes an attempt; the first of a context has its place there.
func (b *branch) newAttempt(to sipaddr.Resolved, f Flow) *attempt {
	ctx := b.ctx
	ctx.mu.Lock()
	defer ctx.mu.Unlock()
	a := ctx.oneAttempt
	if a == nil || a.b != nil {
		a = new(attempt)
		if ctx.oneAttempt == nil {
			ctx.oneAttempt = a
		}
	}
	p := &ctx.plan
	a.upstream = upstream{core: p.core, rules: p.rules, src: p.src, flow: f}
	a.b, a.tx, a.to = b, ctx.tx, to
	return a
}

func (b *branch) core() *Core { return b.ctx.core }

// failedAt notes why an address was of no use, and goes on with the next one.
func (b *branch) failedAt(why *StatusError) {
	b.ctx.mu.Lock()
	b.at++
	if b.failure == nil || !b.failure.authentication() {
		b.failure = why
	}
	b.ctx.mu.Unlock()
	b.connect()
}

// send forwards the request over a flow, in a client transaction of its own with a branch of its own.
func (b *branch) send(a *attempt) {
	ctx := b.ctx
	ctx.mu.Lock()
	if ctx.closed {
		b.exhausted()
		ctx.mu.Unlock()
		ctx.advance()
		return
	}
	b.attempt = a
	ctx.mu.Unlock()

	p := &ctx.plan
	if a.branch == "" {
		a.branch = newBranch(p.loop)
	}
	raw := getBuffer()
	*raw = p.write(*raw, a, &b.target, b.breadth, ctx.back)
	b.start(a, *raw)
	putBuffer(raw)
}

// start hands a written request to the transaction layer, and sets Timer C.
func (b *branch) start(a *attempt, raw []byte) {
	ctx, core := b.ctx, b.core()
	method := ctx.plan.method
	ctx.hold()
	ctx.mu.Lock()
	a.holds = true
	ctx.mu.Unlock()
	client, err := core.layer.Start(raw, a.branch, method, a.flow, a)
	if err != nil {
		a.Failed(nil, err)
		return
	}
	core.stats.forwarded.count(method)
	if !ctx.started.IsZero() {
		core.forwarded(time.Since(ctx.started))
	}
	ctx.mu.Lock()
	a.client = client
	cancel := false
	if !a.over {
		if ctx.invite {
			b.startTimer()
		}
		// The request may have been cancelled, or answered elsewhere, while it was being sent.
		cancel = ctx.invite && ctx.closed && !a.cancelled
		a.cancelled = a.cancelled || cancel
	}
	reasons := ctx.reasons
	ctx.mu.Unlock()
	if cancel {
		client.Cancel(reasons...)
	}
}

// ended stops the timer of an attempt whose transaction is over. The lock is held.
func (a *attempt) ended() {
	a.over = true
	if a.b.attempt == a {
		a.b.stopTimer()
	}
}

// leave is called when the client transaction has said the last that it says.
func (a *attempt) leave(ctx *ResponseContext) {
	ctx.mu.Lock()
	held := a.holds
	a.holds = false
	ctx.mu.Unlock()
	if held {
		ctx.drop()
	}
}

var _ transaction.ClientUser = (*attempt)(nil)

// hopText names a next hop in a Warning.
func hopText(u *sip.URI) string { return shown(u.Host) }
