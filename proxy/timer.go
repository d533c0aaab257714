package proxy

// RFC 3261, Section 16.8: Timer C.

import (
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/transaction"
)

const minTimerC = 3 * time.Minute // RFC 3261, Section 16.6 item 11: Timer C must be longer

// timeC is called when Timer C of an INVITE has fired. What rings too long is cancelled; what never answered, or
// not even to the CANCEL, counts as 408.
func (a *attempt) timeC() {
	ctx := a.b.ctx
	ctx.mu.Lock()
	if a.over || a.client == nil {
		ctx.mu.Unlock()
		return
	}
	core := ctx.plan.core // a 2xx may let go of the plan as soon as the lock is given back
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
	a.finalResponse(answer{status: 408, attempt: a, err: statusError(408, "")})
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
