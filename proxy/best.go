package proxy

// RFC 3261, Section 16.7 items 6 and 7: the best of the final responses.

import (
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

// choose returns the best of the final responses: a 6xx if there is one, else one of the lowest class, and among
// those one that says how to ask better. Of equals the earlier wins. Without any it is our own 408, or 487 when
// the request was cancelled.
func (ctx *ResponseContext) choose(answers []answer) answer {
	best, rank := answer{}, 0
	for _, a := range answers {
		if r := rankOf(a); best.status == 0 || r < rank {
			best, rank = a, r
		}
	}
	switch {
	case ctx.cancelled && ctx.invite && (best.status == 0 || best.err != nil):
		return answer{status: 487, err: statusError(487, "")}
	case best.status == 0:
		return answer{status: 408, err: statusError(408, "")}
	}
	return best
}

// rankOf orders final responses, the best first.
func rankOf(a answer) int {
	class := a.status / 100
	if class == 6 {
		class = 0
	}
	r := class * 10
	switch a.status {
	case 401, 407, 415, 420, 484: // these help the client to ask better
	case 408:
		r += 3 // somebody else's answer says more
	case 487:
		r += 2 // we may have caused it
	case 503:
		r += 3
	default:
		r++
	}
	if a.err != nil && a.err.authentication() {
		r-- // why a peer was refused is what the operator looks for
	}
	return r
}

// finish sends the final response that was chosen.
func (ctx *ResponseContext) finish(best answer, answers []answer) {
	if best.resp != nil {
		ctx.responded(best.status)
		best.attempt.forward(best.resp, best.status, answers)
		return
	}
	if best.status == 408 && !ctx.invite {
		// RFC 4320, Section 4.2: it would come too late to be of use to anybody. The transaction ends with it, unsent.
		_ = ctx.tx.Respond(nil, 408)
		return
	}
	err := best.err
	if err.Status == 503 && !err.authentication() && !err.overload() {
		// RFC 3261, Section 16.7 item 6.
		c := *err
		c.Status, c.Reason = 500, ""
		err = &c
	}
	ctx.responded(err.Status)
	ctx.plan.core.reject(ctx.tx, ctx.plan.req, ctx.plan.domain, err)
}

// addChallenges adds the challenges of all other branches, unchanged, so that the client can answer them all at
// once.
func addChallenges(e *sip.Edit, best *attempt, answers []answer) {
	for _, a := range answers {
		if a.resp == nil || a.attempt == best || a.status != 401 && a.status != 407 {
			continue
		}
		for name, value := range a.resp.Lines() {
			if strings.EqualFold(name, "WWW-Authenticate") || strings.EqualFold(name, "Proxy-Authenticate") {
				e.Add(name, value)
			}
		}
	}
}
