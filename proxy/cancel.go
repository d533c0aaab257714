package proxy

// RFC 3261, Section 16.10: CANCEL processing.

import (
	"strings"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/transaction"
)

// Cancel cancels all that is pending for an INVITE whose client sent CANCEL. The transaction layer has answered the
// CANCEL already.
func (c *Core) Cancel(tx *transaction.Server, cancel *sip.Message) {
	c.stats.requests.count(sip.MethodCancel)
	ctx, ok := tx.Attached().(*ResponseContext)
	if !ok {
		return // it was answered meanwhile
	}
	ctx.mu.Lock()
	if ctx.tx != tx || ctx.final || ctx.cancelled {
		ctx.mu.Unlock()
		return // it may be another request's by now
	}
	ctx.hold()
	defer ctx.drop()
	ctx.cancelled, ctx.closed = true, true
	ctx.reasons = reasonsOf(cancel)
	pending := ctx.pending()
	reasons := ctx.reasons
	for _, b := range ctx.branches {
		if b.attempt == nil || b.attempt.over {
			// Nothing was sent to this target yet, or it is between two addresses: there is nobody to wait for.
			b.end(nil)
		}
	}
	ctx.mu.Unlock()
	cancelAll(pending, reasons)
	ctx.advance()
}

// reasonsOf returns the Reason header fields of a CANCEL, which are passed on hop by hop (RFC 3326, Section 2).
func reasonsOf(cancel *sip.Message) []sip.Line {
	if cancel == nil {
		return nil
	}
	var lines []sip.Line
	for name, value := range cancel.Lines() {
		if strings.EqualFold(name, "Reason") {
			lines = append(lines, sip.Line{Name: "Reason", Value: value})
		}
	}
	return lines
}
