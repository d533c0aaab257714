package proxy

// RFC 3261, Section 16.8: Timer C.

import (
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/transaction"
)

const minTimerC = 3 * time.Minute // RFC 3261, Section 16.6 item 11: Timer C must be longer

// branchTimer is Timer C of a branch's newest attempt. While it runs, or is about to fire, it holds the context.
type branchTimer struct {
	timer *time.Timer // nil until it is needed; used again
	runs  bool
	late  int // calls that were stopped too late, and are to do nothing
}

// startTimer starts Timer C. The lock is held.
func (b *branch) startTimer() {
	t, d := &b.timer, b.ctx.plan.rules.timerC
	b.ctx.hold()
	t.runs = true
	if t.timer == nil {
		t.timer = time.AfterFunc(d, b.timeC)
		return
	}
	t.timer.Reset(d)
}

// prolongTimer has Timer C start again, if it runs. The lock is held.
func (b *branch) prolongTimer() {
	t := &b.timer
	if t.runs && !t.timer.Reset(b.ctx.plan.rules.timerC) {
		t.late++
		b.ctx.hold()
	}
}

// stopTimer stops Timer C. The lock is held, and the context by somebody else.
func (b *branch) stopTimer() {
	t := &b.timer
	if !t.runs {
		return
	}
	t.runs = false
	if t.timer.Stop() {
		b.ctx.drop()
	} else {
		t.late++
	}
}

// timeC is called when Timer C of an INVITE has fired. What rings too long is cancelled; what never answered, or
// not even to the CANCEL, counts as 408.
func (b *branch) timeC() {
	ctx := b.ctx
	defer ctx.drop()
	ctx.mu.Lock()
	a := b.attempt
	if b.timer.late > 0 {
		b.timer.late--
		ctx.mu.Unlock()
		return
	}
	b.timer.runs = false
	if a.over || a.client == nil {
		ctx.mu.Unlock()
		return
	}
	core := ctx.core
	if a.provisional && !a.cancelled {
		a.cancelled = true
		client := a.client
		ctx.mu.Unlock()
		core.stats.timerC.Add(1)
		// The transaction layer ends the transaction when no final response follows (RFC 3261, Section 9.1).
		client.Cancel(sip.Line{Name: "Reason", Value: `SIP;cause=408;text="Request Timeout"`})
		return
	}
	ctx.mu.Unlock()
	core.stats.timerC.Add(1)
	a.finalResponse(ctx, answer{status: 408, attempt: a, err: statusError(408, "")})
}

// pending returns the client transactions that have no final response and no CANCEL yet, and marks them as
// cancelled. A CANCEL goes out now or as soon as a provisional response allows it. The lock is held.
func (ctx *ResponseContext) pending() []*transaction.Client {
	var clients []*transaction.Client
	for _, b := range ctx.branches {
		a := b.attempt
		if a == nil || a.over || a.cancelled || a.client == nil {
			continue
		}
		a.cancelled = true
		clients = append(clients, a.client)
	}
	return clients
}

func cancelAll(clients []*transaction.Client, reasons []sip.Line) {
	for _, c := range clients {
		c.Cancel(reasons...)
	}
}
