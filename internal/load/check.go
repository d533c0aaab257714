package load

import (
	"strconv"
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

// What is said of a message against what its other end must have sent, or may have made of it on the way.

// matches finds the transaction of the end that a response belongs to: RFC 3261, Section 17.1.3. Neither a
// transaction nor a fault means an earlier one.
func (l *leg) matches(m *sip.Message) (*clientTx, *fault) {
	n := 0
	for range m.Values(sip.FieldVia) {
		n++
	}
	if n != 1 {
		return nil, faulty("response: Via count", "it has %d Via values, want the one of the %s", n, sideNames[l.side])
	}
	number := l.branchNumber(m)
	via, err := m.TopVia()
	if err != nil || number < 1 || number > l.branches || via.SentBy() != l.at.sentBy || via.Transport != l.at.transport.String() {
		value, _ := m.FirstValue(sip.FieldVia)
		return nil, faulty("response: Via", "%q is none that the %s sent, want %s and a branch of %s%s", value, sideNames[l.side], l.at.sentBy, sip.BranchCookie, l.tag)
	}
	var t *clientTx
	switch number {
	case l.inv.branch:
		t = &l.inv
	case l.req.branch:
		t = &l.req
	}
	if t == nil {
		return nil, nil
	}
	cseq, err := m.CSeq()
	if err != nil || cseq.Seq != t.seq || cseq.Method != t.method && !l.cancelled(t, cseq.Method) {
		return nil, faulty("response: CSeq", "it is %d %s, want %d %s", cseq.Seq, cseq.Method, t.seq, t.method)
	}
	if cseq.Method != t.method {
		return nil, nil // to the CANCEL
	}
	return t, nil
}

// branchNumber returns the number that the branch of a response has among those of the end; below 1: it is none of them.
func (l *leg) branchNumber(m *sip.Message) int {
	rest, ours := strings.CutPrefix(m.Branch(), sip.BranchCookie)
	if ours {
		rest, ours = strings.CutPrefix(rest, l.tag)
	}
	number := -1
	if ours && rest != "" && rest[0] == requestBranch {
		number, _ = strconv.Atoi(rest[1:])
	}
	return number
}

// cancelled says whether a CANCEL was sent for an INVITE, which has the same branch.
func (l *leg) cancelled(t *clientTx, method string) bool {
	return t == &l.inv && method == sip.MethodCancel && l.call.over
}

// wrongResponse says what is wrong with a response that belongs to a request of the end.
func (e *engine) wrongResponse(l *leg, t *clientTx, m *sip.Message) *fault {
	from, err1 := m.From()
	to, err2 := m.To()
	if err1 != nil || err2 != nil {
		return faulty("response: From or To", "not understood")
	}
	if from.Tag() != l.tag {
		return faulty("response: From tag", "it is %q, want %q", from.Tag(), l.tag)
	}
	if value, _ := m.Value(sip.FieldFrom); value != l.from {
		return faulty("response: From", "it is %q, want %q", value, l.from)
	}
	if m.StatusCode() == 100 {
		return nil
	}
	status := m.StatusCode()
	want := l.remoteTag
	if far := &l.call.legs[1-l.side]; want == "" && far.phase != absent && status < 300 {
		want = far.tag // both ends are here
	}
	switch tag := to.Tag(); {
	case tag == "":
		return faulty("response: no To tag", "in a %d", status)
	case want != "" && tag != want && (status < 300 || l.phase != inviting):
		return faulty("response: To tag", "it is %q, want %q", tag, want)
	case !sameAddress(l.to, to.Addr):
		return faulty("response: To", "it is %q, want that of %q", to.Addr, l.to)
	}
	if status < 200 || status >= 300 {
		return nil
	}
	if t == &l.inv {
		e.scratch = appendAnswer(e.scratch[:0], l.call, t.seq)
	} else {
		e.scratch = e.scratch[:0]
	}
	if body := m.Body(); string(e.scratch) != body {
		return faulty("response: body", "it has %d bytes that are not the %d that were sent: %q", len(body), len(e.scratch), cut(body))
	}
	return nil
}

// sameAddress says whether the name-addr text has the URI addr.
func sameAddress(text, addr string) bool {
	rest, ok := strings.CutPrefix(text, "<")
	if ok {
		rest, ok = strings.CutPrefix(rest, addr)
	}
	if ok && strings.HasPrefix(rest, ">") {
		return true
	}
	name, err := sip.ParseNameAddr(text)
	return err == nil && name.Addr == addr
}

// cut is the beginning of a text.
func cut(s string) string {
	if len(s) > 200 {
		return s[:200] + "..."
	}
	return s
}

// wrongFirst says what is wrong with a request that begins a call.
func (e *engine) wrongFirst(l *leg, m *sip.Message) *fault {
	from, err := m.From()
	if err != nil || from.Tag() == "" {
		return faulty("request: no From tag", "")
	}
	if f := e.wrongWay(l, m); f != nil {
		return f
	}
	caller := &l.call.legs[callerSide]
	if caller.phase != absent {
		t := caller.tx(m.Method())
		if value, _ := m.Value(sip.FieldFrom); value != caller.from {
			return faulty("request: From", "it is %q, want %q", value, caller.from)
		}
		if value, _ := m.Value(sip.FieldTo); value != caller.to {
			return faulty("request: To", "it is %q, want %q", value, caller.to)
		}
		if cseq, err := m.CSeq(); err != nil || cseq.Method != m.Method() || cseq.Method != t.method || cseq.Seq != t.seq {
			return faulty("request: CSeq", "it is %d %s, want %d %s", cseq.Seq, cseq.Method, t.seq, t.method)
		}
		if value, ok := m.FirstValue(sip.FieldContact); ok && strings.Trim(value, "<>") != caller.contact {
			return faulty("request: Contact", "it is %q, want %q", value, caller.contact)
		}
	}
	return e.wrongBody(l, m)
}

// wrongBody says whether the body of a request is what its sender wrote. That of strangers is taken as it is.
func (e *engine) wrongBody(l *leg, m *sip.Message) *fault {
	if agent, _ := m.Value(sip.FieldUserAgent); !strings.HasPrefix(agent, userAgent) {
		return nil
	}
	cseq, _ := m.CSeq() // Validate was content with it
	e.scratch = appendBody(e.scratch[:0], l.call, m.Method(), cseq.Seq)
	if body := m.Body(); string(e.scratch) != body {
		return faulty("request: body", "it has %d bytes that are not the %d that were sent: %q", len(body), len(e.scratch), cut(body))
	}
	return nil
}

// wrongWay says what is wrong with the way that a request has come: each proxy on it adds a Via and takes one from
// Max-Forwards (RFC 3261, Section 16.6), and all requests of a call come the same way.
func (e *engine) wrongWay(l *leg, m *sip.Message) *fault {
	n := 0
	var last string
	for v := range m.Values(sip.FieldVia) {
		n++
		last = v
	}
	hops, present, err := m.MaxForwards()
	switch {
	case e.cfg.Vias > 0 && n != e.cfg.Vias:
		return faulty("request: Via count", "it has %d Via values, want %d", n, e.cfg.Vias)
	case l.vias > 0 && n != l.vias && l.call.script.calling() && len(l.routes) > 0:
		return faulty("request: Via count", "it has %d Via values, and the first of the call had %d", n, l.vias)
	case err != nil || !present || hops != 71-n:
		return faulty("request: Max-Forwards", "it is %d, want 70 less the %d proxies that Via tells of", hops, n-1)
	}
	far := &l.call.legs[1-l.side]
	if far.phase != absent {
		if via, err := sip.ParseVia(last); err != nil || via.SentBy() != far.at.sentBy ||
			!strings.HasPrefix(strings.TrimPrefix(via.Branch, sip.BranchCookie), far.tag) {
			return faulty("request: Via", "%q is none that the %s sent", last, sideNames[far.side])
		}
	}
	l.vias = n
	return nil
}

// wrongInDialog says what is wrong with a request inside the dialog: RFC 3261, Section 12.2.2.
func (e *engine) wrongInDialog(l *leg, m *sip.Message) *fault {
	from, err1 := m.From()
	to, err2 := m.To()
	cseq, err3 := m.CSeq()
	switch {
	case err1 != nil || err2 != nil || err3 != nil:
		return faulty("request: From, To or CSeq", "not understood")
	case from.Tag() != l.remoteTag || to.Tag() != l.tag:
		return faulty("request: tags", "they are %q and %q, want %q and %q", from.Tag(), to.Tag(), l.remoteTag, l.tag)
	case cseq.Method != m.Method():
		return faulty("request: CSeq", "its method is %s, in a %s", cseq.Method, m.Method())
	case m.Method() != sip.MethodAck && cseq.Seq <= l.remoteSeq && !(l.side == callerSide && l.remoteSeq == 0):
		return faulty("request: CSeq", "it is %d, after %d", cseq.Seq, l.remoteSeq)
	case m.RequestURI() != l.contact:
		return faulty("request: Request-URI", "it is %s, want the Contact %s", m.RequestURI(), l.contact)
	case m.Count(sip.FieldRoute) > 0:
		return faulty("request: Route", "one is left in it")
	}
	if f := e.wrongWay(l, m); f != nil || m.Method() == sip.MethodAck {
		return f
	}
	if m.Method() == sip.MethodInvite && l.side == callerSide && l.call.script.scenario != CalleeReinvite ||
		m.Method() == sip.MethodInvite && l.side == calleeSide && l.call.script.scenario != Reinvite {
		return faulty("unexpected INVITE", "inside a call")
	}
	return e.wrongBody(l, m)
}
