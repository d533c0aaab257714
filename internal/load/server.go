package load

import (
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

// This file is a user agent server (RFC 3261, Section 8.2) with its transactions (RFC 3261, Section 17.2) and its part
// of the dialogs (RFC 3261, Section 12).

// receive handles a message that came to a place, and from where an answer to it goes to.
func (e *engine) receive(m *sip.Message, at *place, from path, now instant) {
	c := e.calls[m.CallID()]
	switch {
	case c != nil && !m.IsRequest() && c.legs[at.side].phase != absent:
		e.response(&c.legs[at.side], m, now)
	case !m.IsRequest():
		e.counters.UnknownResponses++
		e.stray(m, "a response to nothing that was sent")
	case c == nil:
		e.begun(m, at, from, now)
	case c.legs[at.side].phase != absent:
		e.request(&c.legs[at.side], m, from, now)
	case at.side == calleeSide && !c.over && !tagged(m):
		e.join(c, m, at, from, now)
	default:
		e.refuse(m, from)
	}
}

// tagged says whether a request is inside a dialog.
func tagged(m *sip.Message) bool {
	to, err := m.To()
	return err != nil || to.Tag() != ""
}

// refuse answers a request that belongs to nothing here.
func (e *engine) refuse(m *sip.Message, from path) {
	e.counters.UnknownRequests++
	e.stray(m, "a request that belongs to no call")
	e.reply(m, from, 481)
}

// reply answers a request that belongs to no call.
func (e *engine) reply(m *sip.Message, from path, status int) {
	if m.Method() != sip.MethodAck {
		e.scratch2 = sip.AppendResponse(e.scratch2[:0], m, status, "", e.run+"x")
		e.out.copy(from, e.scratch2)
	}
}

// begun takes a request that somebody else began. Whoever calls itself takes none from others but OPTIONS, by which
// elements see whether it is alive.
func (e *engine) begun(m *sip.Message, at *place, from path, now instant) {
	method := m.Method()
	var s *script
	for _, other := range scripts {
		if other.method == method && (s == nil || other.scenario == Call) {
			s = other
		}
	}
	switch {
	case at.side == callerSide || e.cfg.calls() || s == nil || tagged(m):
		if method == sip.MethodOptions && !tagged(m) {
			e.counters.UnknownRequests++
			e.reply(m, from, 200)
			return
		}
		e.refuse(m, from)
		return
	case e.open >= maxOpen:
		e.lose(e.taken, method+": too many calls in progress", now)
		e.reply(m, from, 503)
		return
	}
	if method == sip.MethodOptions || method == sip.MethodInvite || method == sip.MethodRegister || method == sip.MethodMessage {
		c := e.newCall(strings.Clone(m.CallID()), s, e.taken)
		e.taken.begun++
		if told, ring, hold, ok := readOffer(m.Body()); ok && method == sip.MethodInvite {
			c.script, c.ring, c.hold = told, ring, hold
		}
		e.join(c, m, at, from, now)
	}
}

// join has the callee take the first request of a call.
func (e *engine) join(c *call, m *sip.Message, at *place, from path, now instant) {
	l := &c.legs[calleeSide]
	c.open++
	l.phase, l.at, l.path = inviting, at, from
	l.tag = e.run + "d" + strings.TrimPrefix(c.legs[callerSide].tag, e.run)
	if c.legs[callerSide].phase == absent {
		e.placed++
		l.tag = e.run + "e" + itoa(int(e.placed))
	}
	user := "callee"
	if uri, err := m.URI(); err == nil && uri.User != "" {
		user = strings.Clone(uri.User)
	}
	l.contact = at.contactOf("sip:" + user + "@")
	cseq, _ := m.CSeq() // Validate was content with it
	l.remoteSeq = cseq.Seq
	if f := e.wrongFirst(l, m); f != nil {
		e.reply(m, from, 400)
		e.fail(l, m, f, now)
		return
	}
	if m.Method() != sip.MethodInvite {
		e.answerOther(l, m)
		e.end(l, now)
		return
	}
	from1, _ := m.From()
	l.remoteTag = strings.Clone(from1.Tag())
	to, _ := m.Value(sip.FieldTo)
	l.from = to + ";tag=" + l.tag
	value, _ := m.Value(sip.FieldFrom)
	l.to = strings.Clone(value)
	if f := l.takeRoutes(m, e.cfg.Vias); f != nil {
		e.reply(m, from, 400)
		e.fail(l, m, f, now)
		return
	}
	u := &l.uas
	u.branch, u.seq, u.request = strings.Clone(m.Branch()), cseq.Seq, m
	u.answer = e.appendResponse(u.answer[:0], l, m, 180)
	e.out.copy(from, u.answer)
	if c.ring > 0 {
		l.ringUntil = now + c.ring
	} else {
		e.answer(l, now)
	}
	e.set(l)
}

// answer sends the 200 to the INVITE that the end has got, and has it repeated until the ACK.
func (e *engine) answer(l *leg, now instant) {
	u := &l.uas
	u.answer = e.appendResponse(u.answer[:0], l, u.request, 200)
	u.request, u.unacked = nil, true
	u.interval, u.deadline = e.cfg.T1, now+e.cfg.Timeout
	u.again = now + u.interval
	e.out.copy(l.path, u.answer)
}

// answerOther answers a request but INVITE with 200, and keeps the answer.
func (e *engine) answerOther(l *leg, m *sip.Message) {
	s := &l.srv
	s.branch = strings.Clone(m.Branch())
	s.answer = e.appendResponse(s.answer[:0], l, m, 200)
	e.out.copy(l.path, s.answer)
}

// request handles a request that came to an end which was there before.
func (e *engine) request(l *leg, m *sip.Message, from path, now instant) {
	method := m.Method()
	switch {
	case method == sip.MethodInvite && m.Branch() == l.uas.branch:
		e.repeated(from, l.uas.answer)
		return
	case method == sip.MethodAck:
		e.ack(l, m, now)
		e.set(l)
		return
	case method == sip.MethodCancel:
		e.cancelled(l, m, from, now)
		return
	case l.srv.branch != "" && m.Branch() == l.srv.branch:
		e.repeated(from, l.srv.answer)
		return
	case l.call.over:
		e.counters.Late++
		e.reply(m, from, 481)
		return
	}
	f := e.wrongInDialog(l, m)
	if f == nil && method != sip.MethodBye && method != sip.MethodInvite {
		f = faulty("unexpected "+method, "inside a call")
	}
	if f != nil {
		e.reply(m, from, 400)
		e.fail(l, m, f, now)
		return
	}
	cseq, _ := m.CSeq()
	l.remoteSeq = cseq.Seq
	l.path = from
	if method == sip.MethodInvite {
		u := &l.uas
		if u.unacked { // its ACK was overtaken; who sends this has got the 200
			u.overtaken = u.seq
			e.acked(l, now)
		}
		u.branch, u.seq, u.request = strings.Clone(m.Branch()), cseq.Seq, m
		e.answer(l, now)
		e.set(l)
		return
	}
	e.bye(l, m, now)
	e.set(l)
}

// repeated answers a request that came again.
func (e *engine) repeated(from path, answer []byte) {
	e.counters.RepeatsReceived++
	if len(answer) > 0 {
		e.counters.Repeated++
		e.out.copy(from, answer)
	}
}

func (e *engine) bye(l *leg, m *sip.Message, now instant) {
	e.answerOther(l, m)
	switch {
	case l.phase == up && len(l.actions) > 0:
		e.fail(l, m, faulty("unexpected BYE", "this end was to hang up"), now)
	case l.uas.unacked:
		l.byeSeen = true // it overtook the ACK, which still has to come
	case l.phase == up:
		e.end(l, now)
	default:
		e.fail(l, m, faulty("unexpected BYE", "before the call was answered"), now)
	}
}

// ack takes the ACK for a 200.
func (e *engine) ack(l *leg, m *sip.Message, now instant) {
	cseq, _ := m.CSeq() // Validate was content with it
	u := &l.uas
	switch {
	case l.call.over:
		e.counters.Late++
		return
	case !u.unacked && cseq.Seq == u.seq, cseq.Seq == u.overtaken:
		e.counters.RepeatsReceived++
		return
	}
	f := e.wrongInDialog(l, m)
	if f == nil && cseq.Seq != u.seq {
		if ofRefusal(m) {
			e.counters.UnknownRequests++
			return
		}
		f = faulty("request: CSeq", "the ACK has %d, want %d of the INVITE", cseq.Seq, u.seq)
	}
	if f != nil {
		e.fail(l, m, f, now)
		return
	}
	e.acked(l, now)
}

// ofRefusal says whether an ACK of ours is that of an INVITE which a proxy refused, such as to challenge it. A proxy that
// keeps no state passes it on, and whoever gets it has nothing to do: RFC 3261, Section 16.11.
func ofRefusal(m *sip.Message) bool {
	agent, _ := m.Value(sip.FieldUserAgent)
	var last string
	for last = range m.Values(sip.FieldVia) {
	}
	via, err := sip.ParseVia(last)
	return err == nil && strings.HasPrefix(agent, userAgent) && strings.IndexByte(via.Branch, requestBranch) >= 0
}

// acked notes that the far end has got the 200.
func (e *engine) acked(l *leg, now instant) {
	l.uas.unacked, l.uas.again, l.uas.deadline = false, never, never
	switch {
	case l.byeSeen:
		l.phase = up
		e.end(l, now)
	case l.phase == inviting:
		e.established(l, now)
	}
}

// cancelled answers a CANCEL: RFC 3261, Section 9.2. Nobody here cancels a call that has not failed.
func (e *engine) cancelled(l *leg, m *sip.Message, from path, now instant) {
	if m.Branch() != l.uas.branch {
		e.reply(m, from, 481)
		return
	}
	e.reply(m, from, 200)
	if u := &l.uas; u.request != nil {
		u.answer = e.appendResponse(u.answer[:0], l, u.request, 487)
		e.out.copy(from, u.answer)
	}
	e.fail(l, m, faulty("cancelled", "before the call was answered"), now)
}
