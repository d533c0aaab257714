package proxy

// RFC 3261, Section 16.3: request validation.

import (
	"errors"
	"strings"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/transaction"
)

const (
	maxForwards = 70 // RFC 3261, Section 16.6 item 3
	maxRoutes   = 70 // Route values; with a hop for each, Max-Forwards would be used up
)

// plan is what the steps from validation to the target set find out about one request: where it is to go and with what changes. It is
// made by one goroutine and only read afterwards.
type plan struct {
	core  *Core
	rules *ruleSet
	req   *sip.Message
	src   *transaction.Source
	from  *Source

	callID      string
	method      string
	maxForwards int  // as received; maxForwards+1 when there was none, so that one less is right
	breadth     int  // RFC 5393 incoming Max-Breadth
	breadthSet  bool // the request says so itself
	loop        loopMark

	// Route information (RFC 3261, Section 16.4).
	uri      *sip.URI // the Request-URI, after mending
	uriText  string
	mended   bool // the Request-URI is another one than was received
	unlast   bool // the last Route value went into the Request-URI
	pops     int  // own Route values taken away at the top
	popped   string
	hasRoute bool     // Route values of others are left
	next     *sip.URI // the first of them
	nextText string
	strict   bool // ... has no lr
	claims   []claim

	dialog  bool   // the request is inside a dialog that we record-routed
	signed  bool   // it shows a dialog token that fits
	claim   claim  // that one
	domain  string // local domain: on whose behalf the request is sent
	local   bool   // for us: answered here
	targets []target

	// Room for the usual case.
	nextURI   sip.URI
	twoClaims [2]claim // of both entries of a double Record-Route
	oneTarget [1]target
}

// newPlan goes from the validation to the target set. The plan is of use for a response even when there is an error.
func (c *Core) newPlan(p *plan, req *sip.Message, src *transaction.Source) *StatusError {
	p.core, p.rules, p.req, p.src, p.from = c, c.rules.Load(), req, src, judged(src)
	p.method, p.callID = req.Method(), req.CallID()
	p.domain = p.rules.first
	if err := p.validate(); err != nil {
		return err
	}
	if err := p.preprocess(); err != nil {
		return err
	}
	p.chooseDomain()
	if err := p.check(); err != nil {
		return err
	}
	return p.chooseTargets()
}

// validate checks what the following steps rely on, and nothing else: a proxy does not look at a Date
// (RFC 3261, Section 16.3 item 1).
func (p *plan) validate() *StatusError {
	if err := p.req.Validate(); err != nil {
		return malformed(err)
	}
	u, err := p.req.URI()
	if err != nil {
		return &StatusError{Status: 400, Warning: "bad Request-URI", Err: err}
	}
	p.uri, p.uriText = u, p.req.RequestURI()
	if u.Headers != "" {
		// RFC 3261, Section 19.1.1 has no headers in a Request-URI; they are never made into header fields.
		return statusError(400, "header fields in the Request-URI")
	}
	if !u.IsSIP() && !strings.EqualFold(u.Scheme, "tel") {
		return statusError(416, "scheme "+shown(u.Scheme))
	}
	n, present, err := p.req.MaxForwards()
	switch {
	case err != nil:
		return &StatusError{Status: 400, Warning: "bad Max-Forwards", Err: err}
	case !present:
		n = maxForwards + 1
	}
	p.maxForwards = n
	return nil
}

// check is the part of the validation that needs to know whether the request is for us.
func (p *plan) check() *StatusError {
	p.local = p.isLocal()
	if p.maxForwards <= 0 && !(p.local && p.method == sip.MethodOptions) {
		return statusError(483, "")
	}
	peer := ""
	if p.rules.byPeer {
		peer = p.src.Peer
	}
	p.loop = p.core.loopHash(p.req, peer)
	if p.loop.in(p.req) {
		return statusError(482, "")
	}
	if p.method == sip.MethodAck {
		return nil // RFC 3261, Section 8.2.2.3: nothing is demanded of an ACK, for nothing could be answered
	}
	var err *StatusError
	if p.breadth, p.breadthSet, err = p.core.incomingBreadth(p.req); err != nil {
		return err
	}
	return unsupported(p.req, sip.FieldProxyRequire)
}

// unsupported refuses a request that demands extensions (RFC 3261, Section 16.3 item 5 and RFC 3261, Section 8.2.2.3): we know of
// none that a proxy would have to do something for.
func unsupported(req *sip.Message, f sip.Field) *StatusError {
	if req.Count(f) == 0 {
		return nil
	}
	var tags []string
	for v := range req.Values(f) {
		if v != "" {
			tags = append(tags, v)
		}
	}
	if len(tags) == 0 {
		return nil
	}
	return &StatusError{Status: 420, Headers: []sip.Line{{Name: "Unsupported", Value: strings.Join(tags, ", ")}}}
}

// malformed returns the response for what could not be parsed.
func malformed(err error) *StatusError {
	switch {
	case errors.Is(err, sip.ErrVersion):
		return &StatusError{Status: 505, Err: err}
	}
	var syntax *sip.SyntaxError
	text := ""
	if errors.As(err, &syntax) {
		text = syntax.Field + ": " + syntax.Text
	}
	if errors.Is(err, sip.ErrTooLong) {
		if syntax != nil && (syntax.Field == "start line" || syntax.Field == "Request-URI") {
			return &StatusError{Status: 414, Err: err}
		}
		return &StatusError{Status: 513, Warning: text, Err: err}
	}
	return &StatusError{Status: 400, Warning: text, Err: err}
}
