package proxy

import (
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/transaction"
)

// upstream is all that it takes to forward a response to a request that was sent to one address
// (RFC 3261, Section 16.7 items 3 and 8). It does not change once the request is sent.
type upstream struct {
	core  *Core
	rules *ruleSet
	src   *transaction.Source // where the request came from
	flow  Flow                // what it was sent over

	// Of a request that may make a dialog: our URIs in the upper and lower Record-Route value, and the parameters of both.
	far, near, back string // near is "" when there is one value, far when there is none

	// What is signed for the client, so that its further requests go on to the far side.
	callID            string
	reference, domain string // see claim
	reach             reach
}

// signed is what was signed last, for the next response of the same dialog: 180 and 200 have the same. The zero value is
// nothing.
type signed struct {
	done   bool
	to     string // the value of Record-Route or Contact whose URI is next on the far side
	params string
}

// rewrite makes of a response that was received what goes upstream, without our Via.
func (u *upstream) rewrite(e *sip.Edit, resp *sip.Message, last *signed) {
	e.RemoveFirst(sip.FieldVia)
	if u.far != "" {
		u.rewriteRecordRoute(e, resp, last)
	}
	if !trusts(u.flow) {
		removeAll(e, resp, &u.rules.untrusted)
	} else if !judged(u.src).TrustIdentity {
		removePrivate(e, resp)
	}
}

// late is told of further 2xx to an INVITE that was answered by one: those that come again, and those of other
// branches of a fork downstream (RFC 6026, Section 7.2). They are forwarded without a transaction
// (RFC 3261, Section 16.7 item 9). This is all that is kept of a call for the half minute in which they may come.
type late struct{ upstream }

// Response forwards a 2xx.
func (l *late) Response(_ *transaction.Client, resp *sip.Message) {
	l.core.stats.received.countStatus(resp.StatusCode())
	if viaCount(resp) >= 2 {
		var none signed
		e := resp.Edit()
		l.rewrite(&e, resp, &none)
		b := getBuffer()
		*b = e.AppendTo(*b)
		l.sendBack(*b, resp.StatusCode())
		putBuffer(b)
	}
	resp.Release()
}

// Failed is not called any more.
func (l *late) Failed(*transaction.Client, error) {}

// sendBack sends a response without a transaction.
func (u *upstream) sendBack(b []byte, status int) {
	u.core.stats.sent.countStatus(status)
	if err := u.src.Flow.Send(b); err != nil {
		u.core.stats.undelivered.Add(1)
	}
}
