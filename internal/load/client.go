package load

import (
	"slices"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// This file is a user agent client (RFC 3261, Section 8.1) with its transactions (RFC 3261, Section 17.1) and its part
// of the dialogs (RFC 3261, Section 12).

// tx returns the transaction that a method belongs to.
func (l *leg) tx(method string) *clientTx {
	if method == sip.MethodInvite {
		return &l.inv
	}
	return &l.req
}

// start sends a request that was due at intended.
func (e *engine) start(l *leg, method string, m measure, intended, now instant) {
	for i := range l.challenges {
		l.challenges[i].try = 0
	}
	e.send(l, method, m, 0, intended, now)
}

// send sends a request for the first time, or again with another answer to a challenge.
func (e *engine) send(l *leg, method string, m measure, tries uint8, intended, now instant) {
	t := l.tx(method)
	l.seq++
	l.branches++
	t.state, t.method, t.seq, t.branch, t.measure, t.tries, t.intended = trying, method, l.seq, l.branches, m, tries, intended
	t.raw = e.appendRequest(t.raw[:0], l, method, t.seq, requestBranch, t.branch, "")
	t.deadline, t.again = now+e.cfg.Timeout, never
	if !l.at.reliable() {
		t.interval = e.cfg.T1
		t.again = now + t.interval
	}
	e.counters.RequestsSent++
	e.out.copy(l.path, t.raw)
}

// wake does what is due for an end.
func (e *engine) wake(l *leg, now instant) {
	e.repeat(l, &l.inv, now)
	e.repeat(l, &l.req, now)
	if u := &l.uas; u.again <= now {
		u.interval = min(2*u.interval, timerT2*e.cfg.T1) // RFC 3261, Section 13.3.1.4
		u.again = now + u.interval
		e.counters.Repeated++
		e.out.copy(l.path, u.answer)
	}
	switch {
	case l.call.over:
	case l.inv.deadline <= now:
		e.expired(l, &l.inv, now)
	case l.req.deadline <= now:
		e.expired(l, &l.req, now)
	case l.uas.deadline <= now:
		e.fail(l, nil, faulty("no ACK", "%v after the 200", e.cfg.Timeout), now)
	case l.giveUp <= now:
		e.fail(l, nil, faulty("no BYE", "%v after it was due", e.cfg.Timeout), now)
	case l.ringUntil <= now:
		l.ringUntil = never
		e.answer(l, now)
	case l.actAt <= now:
		e.perform(l, now)
	}
	e.set(l)
}

// repeat sends a request again whose time has come: RFC 3261, Section 17.1.1.2 and RFC 3261, Section 17.1.2.2.
func (e *engine) repeat(l *leg, t *clientTx, now instant) {
	if t.again > now {
		return
	}
	t.interval *= 2
	if t != &l.inv {
		t.interval = min(t.interval, timerT2*e.cfg.T1)
	}
	t.again = now + t.interval
	e.counters.Repeated++
	e.out.copy(l.path, t.raw)
}

// expired gives up on a request that has no final response. One that may still be worked on is cancelled.
func (e *engine) expired(l *leg, t *clientTx, now instant) {
	heard := "nothing was heard"
	if t.state == proceeding {
		heard = "only a provisional response came"
		if t == &l.inv {
			e.scratch2 = e.appendCancel(e.scratch2[:0], l)
			e.out.copy(l.path, e.scratch2)
		}
	}
	e.fail(l, nil, faulty(t.method+": timeout", "%s in %v", heard, e.cfg.Timeout), now)
}

// appendCancel writes the CANCEL for the INVITE of the end: RFC 3261, Section 9.1.
func (e *engine) appendCancel(dst []byte, l *leg) []byte {
	return e.appendRequest(dst, l, sip.MethodCancel, l.inv.seq, requestBranch, l.inv.branch, "")
}

// response handles a response that came to an end.
func (e *engine) response(l *leg, m *sip.Message, now instant) {
	t, f := l.matches(m)
	switch {
	case l.call.over:
		e.counters.Late++
		if f == nil && t == &l.inv && m.StatusCode() >= 200 {
			e.answeredLate(l, m, now)
		}
		return
	case f != nil:
		e.fail(l, m, f, now)
		return
	case t == nil: // to an earlier request of the end
		e.counters.RepeatsReceived++
		if cseq, _ := m.CSeq(); cseq.Method == sip.MethodInvite && m.StatusCode() >= 300 {
			e.sendAck(l, m, cseq.Seq, l.branchNumber(m)) // a challenge, and its ACK got lost
		}
		return
	}
	if f := e.wrongResponse(l, t, m); f != nil {
		e.fail(l, m, f, now)
		return
	}
	status := m.StatusCode()
	switch {
	case t.state == completed:
		if status >= 200 {
			e.counters.RepeatsReceived++
			if t == &l.inv {
				e.acknowledge(l, m) // the ACK got lost: RFC 3261, Section 13.2.2.4
			}
		}
	case status < 200:
		e.provisional(l, t, m, now)
	default:
		e.final(l, t, m, now)
	}
	e.set(l)
}

// answeredLate takes a final response to the INVITE of a call that is over. A call that stands only now is ended.
func (e *engine) answeredLate(l *leg, m *sip.Message, now instant) {
	stands := m.StatusCode() < 300 && l.inv.state != completed && l.dialog(m, 0) == nil
	l.inv.state = completed
	e.acknowledge(l, m)
	if stands {
		e.start(l, sip.MethodBye, byeTo200, now, now)
		l.quiet()
	}
}

func (e *engine) provisional(l *leg, t *clientTx, m *sip.Message, now instant) {
	if t.state == trying {
		t.state = proceeding
	}
	switch {
	case t == &l.inv:
		t.again = never
	case t.again != never:
		t.interval = timerT2 * e.cfg.T1
		t.again = now + t.interval
	}
	if m.StatusCode() == 180 && t == &l.inv && l.phase == inviting && !l.rang {
		l.rang = true
		l.call.tally.record(inviteTo180, now-t.intended)
	}
}

func (e *engine) final(l *leg, t *clientTx, m *sip.Message, now instant) {
	t.state, t.again, t.deadline = completed, never, never
	status, want := m.StatusCode(), 200
	first := l.phase == inviting
	if first {
		want = e.cfg.Expect
	}
	if status >= 300 && t == &l.inv {
		e.acknowledge(l, m)
	}
	if e.challenged(l, t, m, now) {
		return
	}
	if status != want {
		e.refused(l, t, m, now)
		return
	}
	if !first || t.measure == inviteTo200 && status >= 300 {
		l.call.tally.record(t.measure, now-t.intended)
	} else {
		e.answered(l.call, t.measure, now-t.intended)
	}
	switch {
	case t.method == sip.MethodBye, !l.call.script.calling(), status >= 300:
		e.end(l, now)
	case first:
		if f := l.dialog(m, e.cfg.Vias); f != nil {
			e.fail(l, m, f, now)
			return
		}
		e.acknowledge(l, m)
		e.established(l, now)
	default: // the answer to a re-INVITE
		e.acknowledge(l, m)
		e.acted(l, now)
	}
}

// refused is a final response that is not the one that was expected.
func (e *engine) refused(l *leg, t *clientTx, m *sip.Message, now instant) {
	status := m.StatusCode()
	if _, early := m.Value(sip.FieldRetryAfter); early && status == 503 {
		l.call.tally.turnedAway++
	}
	if status < 300 && t == &l.inv && l.dialog(m, e.cfg.Vias) == nil {
		e.acknowledge(l, m)
	}
	e.fail(l, m, faulty(t.method+": status "+itoa(status), "%s", m.Reason()), now)
}

// acknowledge answers a final response to the last INVITE: RFC 3261, Section 17.1.1.3, or for a 2xx
// RFC 3261, Section 13.2.2.4.
func (e *engine) acknowledge(l *leg, m *sip.Message) { e.sendAck(l, m, l.inv.seq, l.inv.branch) }

func (e *engine) sendAck(l *leg, m *sip.Message, seq uint32, branch int) {
	kind := byte(requestBranch)
	if m.StatusCode() < 300 {
		kind = ackBranch
	}
	to, _ := m.Value(sip.FieldTo)
	e.scratch2 = e.appendRequest(e.scratch2[:0], l, sip.MethodAck, seq, kind, branch, to)
	e.counters.RequestsSent++
	e.out.copy(l.path, e.scratch2)
}

// dialog takes what a 2xx to INVITE says about the dialog: RFC 3261, Section 12.1.2.
func (l *leg) dialog(m *sip.Message, vias int) *fault {
	to, err := m.To()
	if err != nil || to.Tag() == "" {
		return faulty("response: no To tag", "")
	}
	l.remoteTag = strings.Clone(to.Tag())
	value, _ := m.Value(sip.FieldTo)
	l.to = strings.Clone(value)
	if f := l.takeRoutes(m, vias); f != nil {
		return f
	}
	slices.Reverse(l.routes)
	return nil
}

// takeRoutes takes the far Contact and the Record-Route values of a message, in their order.
func (l *leg) takeRoutes(m *sip.Message, vias int) *fault {
	value, _ := m.FirstValue(sip.FieldContact)
	contact, err := sip.ParseNameAddr(value)
	if err != nil {
		return faulty("no Contact", "in what makes a dialog")
	}
	l.target = strings.Clone(contact.Addr)
	l.routes = l.routes[:0]
	for r := range m.Values(sip.FieldRecordRoute) {
		l.routes = append(l.routes, strings.Clone(r))
		if uri := routeURI(r); uri == nil {
			return faulty("bad Record-Route", "%s is not understood", r)
		} else if _, loose := uri.Param("lr"); !loose {
			return faulty("bad Record-Route", "%s has no lr parameter", r)
		}
	}
	if vias > 1 && len(l.routes) == 0 {
		return faulty("no Record-Route", "though there are %d proxies between", vias-1)
	}
	return nil
}

func routeURI(route string) *sip.URI {
	name, err := sip.ParseNameAddr(route)
	if err != nil {
		return nil
	}
	uri, err := name.URI()
	if err != nil {
		return nil
	}
	return uri
}

// established begins what happens while the call is up.
func (e *engine) established(l *leg, now instant) {
	l.phase, l.since = up, now
	l.actions = l.call.script.actions[l.side]
	if len(l.actions) == 0 {
		// The far end, when it is here, knows better what went wrong, and gives up a little earlier.
		l.giveUp = now + l.call.hold + e.cfg.Timeout + timerT2*e.cfg.T1
		return
	}
	l.actAt = l.actTime()
	if e.leaving {
		e.hurry(l, now)
	}
	if l.actAt <= now {
		e.perform(l, now)
	}
}

// actTime is when the next action is due: the actions are spread evenly, the last one at the end.
func (l *leg) actTime() instant {
	return l.since + l.call.hold*time.Duration(l.act+1)/time.Duration(len(l.actions))
}

// perform does the next action.
func (e *engine) perform(l *leg, now instant) {
	due := l.actAt
	l.actAt = never
	switch l.actions[l.act] {
	case sendReinvite:
		e.start(l, sip.MethodInvite, reinviteTo200, due, now)
	case sendBye:
		e.start(l, sip.MethodBye, byeTo200, due, now)
	}
	l.call.tally.record(lateness, now-due)
}

// acted goes on to the action after one that was answered.
func (e *engine) acted(l *leg, now instant) {
	l.act++
	if l.act < len(l.actions) {
		l.actAt = l.actTime()
	}
	if e.leaving {
		e.hurry(l, now)
	}
}
