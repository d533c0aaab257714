package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/transaction"
)

// ResponseContext gathers what becomes of one forwarded request (RFC 3261, Section 16.7). It lives as long as the
// server transaction waits for a final response, or one of its client transactions for theirs, and is used again for
// another request when everybody has dropped it.
type ResponseContext struct {
	core    *Core
	plan    plan
	invite  bool
	started time.Time
	span    Span   // nil: nobody follows the request
	back    []byte // parameters with a dialog token for requests that come back to the sender; empty for none

	// users counts who may still touch the context: whoever runs in it, client transactions that may say more, look-ups
	// and dials in progress, timers. A CANCEL finds it by the server transaction, and holds it only if it is still
	// that one's.
	users atomic.Int32

	// mu guards the fields below, and those of the branches and attempts. It is not held while another room is
	// called.
	mu        sync.Mutex
	tx        *transaction.Server // nil: none, the context is not in use
	targets   []target
	next      int // first target that was not begun
	group     int // q of the targets that were begun last
	running   int // branches that have not ended
	left      int // Max-Breadth that no branch has
	branches  []*branch
	answers   []answer   // final responses to choose from
	final     bool       // a final response was forwarded, or given up, or none is awaited yet
	closed    bool       // no new branches
	cancelled bool       // the client cancelled the request
	reasons   []sip.Line // why the branches are cancelled: RFC 3326

	// Room for the usual case, one branch with one attempt and its answer.
	onePointer [1]*branch
	oneAnswer  [1]answer
	oneBranch  branch
	oneAttempt *attempt // nil: somebody needs it longer than the context
}

// branch is the way of a request to one target, over as many addresses as it takes.
type branch struct {
	ctx     *ResponseContext
	target  target
	breadth int

	// The methods of those names, made once.
	whenLocated   func(resolve.Answer, error)
	whenConnected func(Flow, error)

	// Guarded by the context's lock.
	addresses []sipaddr.Resolved
	at        int      // the address that is tried
	attempt   *attempt // the newest
	ended     bool
	failure   *StatusError // why the last address failed
	timer     branchTimer  // Timer C
}

// answer is a final response to choose from: one received, or one that we make ourselves.
type answer struct {
	status  int
	resp    *sip.Message
	attempt *attempt
	err     *StatusError
}

// newContext returns a context for a request, which the caller has to drop.
func (c *Core) newContext(tx *transaction.Server, started time.Time) *ResponseContext {
	ctx, ok := c.contexts.Get().(*ResponseContext)
	if !ok {
		ctx = &ResponseContext{core: c}
		ctx.oneBranch.whenLocated, ctx.oneBranch.whenConnected = ctx.oneBranch.located, ctx.oneBranch.connected
	}
	ctx.users.Store(1)
	ctx.started = started
	ctx.mu.Lock()
	ctx.tx, ctx.final = tx, true
	ctx.branches, ctx.answers = ctx.onePointer[:0], ctx.oneAnswer[:0]
	ctx.mu.Unlock()
	return ctx
}

// hold keeps the context from being used for another request until the next drop.
func (ctx *ResponseContext) hold() { ctx.users.Add(1) }

// drop says that one user is done with the context.
func (ctx *ResponseContext) drop() {
	if ctx.users.Add(-1) > 0 {
		return
	}
	if ctx.span != nil {
		ctx.span.End()
		ctx.span = nil
	}
	ctx.mu.Lock()
	if !ctx.final || ctx.running != 0 {
		ctx.mu.Unlock()
		return // it is left to the garbage collector
	}
	ctx.clear()
	ctx.mu.Unlock()
	ctx.core.contexts.Put(ctx)
}

// clear lets go of everything that belongs to the request, and keeps what serves the next one: memory and a timer.
// The lock is held.
func (ctx *ResponseContext) clear() {
	b, a := &ctx.oneBranch, ctx.oneAttempt
	ctx.plan.req.Release()
	ctx.plan = plan{}
	ctx.tx, ctx.targets, ctx.branches, ctx.answers, ctx.reasons = nil, nil, nil, nil, nil
	ctx.back = ctx.back[:0]
	ctx.invite, ctx.closed, ctx.cancelled = false, false, false
	ctx.next, ctx.group, ctx.left = 0, 0, 0
	ctx.onePointer, ctx.oneAnswer = [1]*branch{}, [1]answer{}
	*b = branch{whenLocated: b.whenLocated, whenConnected: b.whenConnected, timer: b.timer}
	if a != nil {
		*a = attempt{}
	}
}

// begin starts forwarding, once the plan is made.
func (ctx *ResponseContext) begin() {
	p := &ctx.plan
	if recordRoutes(p.method) {
		ctx.back = p.appendBack(ctx.back)
	}
	ctx.mu.Lock()
	ctx.invite = p.method == sip.MethodInvite
	ctx.final = false
	ctx.left, ctx.targets = p.breadth, p.targets
	ctx.mu.Unlock()
	if ctx.invite {
		ctx.tx.Attach(ctx)
	}
	p.core.stats.active.Add(1)
	ctx.advance()
}

// advance starts the branches that may run now, and sends the best final response when none is left. It is
// called after each change, with the lock free.
func (ctx *ResponseContext) advance() {
	for {
		ctx.mu.Lock()
		b := ctx.pick()
		if b != nil {
			ctx.mu.Unlock()
			b.locate()
			continue
		}
		finish := ctx.running == 0 && !ctx.final
		var best answer
		var answers []answer
		if finish {
			ctx.final, ctx.closed = true, true
			answers, ctx.answers = ctx.answers, nil
			best = ctx.choose(answers)
		}
		ctx.mu.Unlock()
		if finish {
			ctx.release()
			ctx.finish(best, answers)
		}
		return
	}
}

// pick returns the next branch to start, nil when there is none or when it has to wait: for those with a higher q
// (serial forking), or for Max-Breadth (RFC 5393, Section 5.5). The lock is held.
func (ctx *ResponseContext) pick() *branch {
	targets := ctx.targets
	if ctx.closed || ctx.next == len(targets) || ctx.left == 0 {
		return nil
	}
	t := targets[ctx.next]
	if ctx.running > 0 && t.q != ctx.group {
		return nil
	}
	same := 1
	for ctx.next+same < len(targets) && targets[ctx.next+same].q == t.q {
		same++
	}
	b := &ctx.oneBranch
	if b.ctx != nil {
		b = new(branch)
		b.whenLocated, b.whenConnected = b.located, b.connected
	}
	b.ctx, b.target, b.breadth = ctx, t, share(ctx.left, same)
	ctx.left -= b.breadth
	ctx.group = t.q
	ctx.next++
	ctx.running++
	ctx.branches = append(ctx.branches, b)
	return b
}

// end says that a branch has come to its end, with a final response to choose from or without one. The lock is
// held; advance has to follow.
func (b *branch) end(a *answer) {
	if b.ended {
		return
	}
	b.ended = true
	ctx := b.ctx
	ctx.running--
	ctx.left += b.breadth // RFC 5393, Section 5.3.3.1
	if a != nil && !ctx.final {
		ctx.answers = append(ctx.answers, *a)
	}
}

// release forgets the context where CANCELs look for it: the server transaction lives longer.
func (ctx *ResponseContext) release() {
	if ctx.invite {
		ctx.tx.Attach(nil)
	}
	ctx.plan.core.stats.active.Add(-1)
}
