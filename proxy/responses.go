package proxy

// RFC 3261, Section 16.7: response processing.

import (
	"strconv"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/transaction"
)

// Response takes a response of the attempt's client transaction.
func (a *attempt) Response(client *transaction.Client, resp *sip.Message) {
	status := resp.StatusCode()
	a.core.stats.received.countStatus(status)
	if a.b == nil {
		// It came while the one that settled the attempt was being forwarded.
		if viaCount(resp) >= 2 {
			a.forward(resp, status, nil)
		}
		resp.Release()
		return
	}
	ctx := a.b.ctx
	last := status >= 300 || status >= 200 && !ctx.invite
	a.reportOnce(status)
	switch {
	case status < 200:
		a.provisionalResponse(resp, status)
	case viaCount(resp) < 2:
		// RFC 3261, Section 16.7 item 3: the response was meant for us and goes no further. A final one ends the
		// attempt all the same.
		a.finalResponse(ctx, answer{status: 502, attempt: a, err: statusError(502, "next hop answered without our Via")})
	case status < 300:
		a.success(ctx, client, resp, status)
	case status == 503 && a.tryNext():
		a.b.failedAt(statusError(503, "next hop "+hopText(a.b.target.hop)+" is overloaded"))
	case ctx.recurse(a, resp):
	default:
		a.finalResponse(ctx, answer{status: status, resp: resp, attempt: a})
	}
	if status < 300 {
		resp.Release() // others are kept to choose from, and the transaction may still acknowledge them
	}
	if last {
		a.leave(ctx)
	}
}

// reportOnce tells the Network how the address does, with the first response that says something about it.
func (a *attempt) reportOnce(status int) {
	ctx := a.b.ctx
	ctx.mu.Lock()
	first := !a.answered
	a.answered = true
	ctx.mu.Unlock()
	if first || status == 503 {
		a.core.net.Reported(a.to, status != 503)
	}
}

func (a *attempt) provisionalResponse(resp *sip.Message, status int) {
	ctx := a.b.ctx
	ctx.mu.Lock()
	a.provisional = true
	if !a.over && !a.cancelled && status > 100 && a.b.attempt == a {
		// RFC 3261, Section 16.7 item 2. After a CANCEL the time is not prolonged.
		a.b.prolongTimer()
	}
	// RFC 4320, Section 4.1: to other requests there is no provisional response but 100, which each hop makes.
	forward := status > 100 && ctx.invite && !ctx.final && !a.over
	ctx.mu.Unlock()
	if forward && viaCount(resp) >= 2 {
		ctx.responded(status)
		a.forward(resp, status, nil)
	}
}

// success forwards a 2xx at once: the first, and to an INVITE each further one (RFC 3261, Section 16.7 item 5).
func (a *attempt) success(ctx *ResponseContext, client *transaction.Client, resp *sip.Message, status int) {
	ctx.mu.Lock()
	a.ended()
	first := !ctx.final
	var pending []*transaction.Client
	if first {
		ctx.final, ctx.closed = true, true
		ctx.answers = nil
	}
	a.b.end(nil)
	if ctx.invite && first && len(ctx.branches) > 1 {
		// RFC 3326, Section 2.
		ctx.reasons = []sip.Line{{Name: "Reason", Value: `SIP;cause=200;text="Call completed elsewhere"`}}
		pending = ctx.pending()
	}
	reasons := ctx.reasons
	ctx.mu.Unlock()
	if first {
		ctx.release()
	}
	if first || ctx.invite {
		ctx.responded(status)
		a.forward(resp, status, nil)
	}
	cancelAll(pending, reasons)
	if ctx.invite {
		a.settle(ctx, client)
	}
}

// settle parts an attempt from its context and its client transaction after a 2xx to an INVITE.
func (a *attempt) settle(ctx *ResponseContext, client *transaction.Client) {
	ctx.mu.Lock()
	if a.b.timer.late > 0 {
		ctx.mu.Unlock()
		return // somebody is about to look at it
	}
	a.b = nil
	if ctx.oneAttempt == a {
		ctx.oneAttempt = nil // the transaction may have something for it still
	}
	ctx.mu.Unlock()
	client.HandOver(&late{a.upstream})
	a.leave(ctx)
}

// finalResponse keeps a final response other than 2xx to choose from. A 6xx ends the search
// (RFC 3261, Section 16.7 item 5).
func (a *attempt) finalResponse(ctx *ResponseContext, got answer) {
	ctx.mu.Lock()
	if a.over || a.b.attempt != a {
		ctx.mu.Unlock()
		return
	}
	a.ended()
	a.b.end(&got)
	var pending []*transaction.Client
	if got.status >= 600 && !ctx.closed {
		ctx.closed = true
		if ctx.invite {
			ctx.reasons = []sip.Line{{Name: "Reason", Value: "SIP;cause=" + strconv.Itoa(got.status)}}
			pending = ctx.pending()
		}
	}
	reasons := ctx.reasons
	ctx.mu.Unlock()
	cancelAll(pending, reasons)
	ctx.advance()
}

// forward sends a response upstream (RFC 3261, Section 16.7 items 3 and 7 to 9). others are the responses whose
// challenges are added to it.
func (a *attempt) forward(resp *sip.Message, status int, others []answer) {
	e := resp.Edit()
	a.rewrite(&e, resp, &a.signed)
	if status == 401 || status == 407 {
		addChallenges(&e, a, others)
	}
	if status == 503 {
		// The next hop being overloaded does not mean that we are: RFC 3261, Section 16.7 item 6.
		status = 500
		e.SetStatus(status, sip.ReasonPhrase(status))
		e.RemoveAll("Retry-After")
	}
	b := getBuffer()
	*b = e.AppendTo(*b)
	if err := a.tx.Respond(*b, status); err == nil {
		a.core.stats.sent.countStatus(status)
	} else if status < 300 && status >= 200 && a.tx.Method() == sip.MethodInvite {
		// Another final response went upstream before, and the transaction takes no 2xx after it. It is forwarded all
		// the same: RFC 3261, Section 16.7 items 5 and 9.
		a.sendBack(*b, status)
	} else {
		a.core.stats.sent.countStatus(status)
		a.core.stats.undelivered.Add(1)
	}
	putBuffer(b)
}

// viaCount counts Via values as far as it matters: none, one, or more.
func viaCount(resp *sip.Message) int {
	n := 0
	for range resp.Values(sip.FieldVia) {
		if n++; n == 2 {
			break
		}
	}
	return n
}
