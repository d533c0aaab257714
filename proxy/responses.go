package proxy

// RFC 3261, Section 16.7: response processing.

import (
	"strconv"
	"strings"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/transaction"
)

// Response takes a response of the attempt's client transaction.
func (a *attempt) Response(_ *transaction.Client, resp *sip.Message) {
	core, ctx := a.b.core(), a.b.ctx
	status := resp.StatusCode()
	core.stats.received.countStatus(status)
	a.reportOnce(status)
	switch {
	case status < 200:
		a.provisionalResponse(resp, status)
	case viaCount(resp) < 2:
		// RFC 3261, Section 16.7 item 3: the response was meant for us and goes no further. A final one ends the
		// attempt all the same.
		a.finalResponse(answer{status: 502, attempt: a, err: statusError(502, "next hop answered without our Via")})
	case status < 300:
		a.success(resp, status)
	default:
		if status == 503 && a.tryNext() {
			a.b.failedAt(statusError(503, "next hop "+hopText(a.b.target.hop)+" is overloaded"))
			return
		}
		if ctx.recurse(a, resp) {
			return
		}
		a.finalResponse(answer{status: status, resp: resp, attempt: a})
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
		a.b.core().net.Reported(a.to, status != 503)
	}
}

func (a *attempt) provisionalResponse(resp *sip.Message, status int) {
	ctx := a.b.ctx
	ctx.mu.Lock()
	a.provisional = true
	if a.timerC != nil && !a.over && status > 100 {
		// RFC 3261, Section 16.7 item 2. After a CANCEL the time is not prolonged.
		if !a.cancelled {
			a.timerC.Reset(ctx.plan.rules.timerC)
		}
	}
	// RFC 4320, Section 4.1: to other requests there is no provisional response but 100, which each hop makes.
	forward := status > 100 && ctx.invite && !ctx.final && !a.over
	ctx.mu.Unlock()
	if forward && viaCount(resp) >= 2 {
		ctx.forward(answer{status: status, resp: resp, attempt: a}, nil)
	}
}

// success forwards a 2xx at once: the first, and to an INVITE each further one (RFC 3261, Section 16.7 item 5).
func (a *attempt) success(resp *sip.Message, status int) {
	ctx := a.b.ctx
	ctx.mu.Lock()
	a.ended()
	first := !ctx.final
	var pending []*transaction.Client
	if first {
		ctx.final, ctx.closed = true, true
		ctx.answers = nil
	}
	a.b.end(nil)
	if ctx.invite && first {
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
		ctx.forward(answer{status: status, resp: resp, attempt: a}, nil)
	}
	cancelAll(pending, reasons)
	if first && ctx.invite {
		ctx.slim(a)
	}
}

// slim lets go of the request once it is settled. The transactions of an INVITE wait another half minute for more
// 2xx, and for a call that went one way these need next to nothing.
func (ctx *ResponseContext) slim(a *attempt) {
	ctx.mu.Lock()
	defer ctx.mu.Unlock()
	b := a.b
	if ctx.cancelled || len(ctx.branches) != 1 || b.attempt != a {
		return // others may still be reading
	}
	p := &ctx.plan
	b.target.reference, b.target.hop, b.target.uri = strings.Clone(b.target.proved()), nil, ""
	b.addresses, ctx.targets = nil, nil
	*p = plan{core: p.core, rules: p.rules, from: p.from, callID: strings.Clone(p.callID), domain: p.domain, method: sip.MethodInvite}
}

// finalResponse keeps a final response other than 2xx to choose from. A 6xx ends the search
// (RFC 3261, Section 16.7 item 5).
func (a *attempt) finalResponse(got answer) {
	ctx := a.b.ctx
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

// forward sends a response upstream, without our Via (RFC 3261, Section 16.7 items 3 and 7 to 9). others are the
// responses whose challenges are added to it.
func (ctx *ResponseContext) forward(got answer, others []answer) {
	core := ctx.plan.core
	status := got.status
	e := got.resp.Edit()
	e.RemoveFirst(sip.FieldVia)
	got.attempt.rewriteRecordRoute(&e, got.resp)
	if !trusts(got.attempt.flow) {
		removeAll(&e, got.resp, ctx.plan.rules.untrusted)
	} else if !ctx.plan.from.TrustIdentity {
		removePrivate(&e, got.resp)
	}
	if status == 401 || status == 407 {
		addChallenges(&e, got, others)
	}
	if status == 503 {
		// The next hop being overloaded does not mean that we are: RFC 3261, Section 16.7 item 6.
		status = 500
		e.SetStatus(status, sip.ReasonPhrase(status))
		e.RemoveAll("Retry-After")
	}
	b := getBuffer()
	*b = e.AppendTo(*b)
	core.respond(ctx.tx, *b, status)
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
