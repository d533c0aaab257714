package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// The timers of RFC 3261, Table 4 that a user agent over UDP needs.
const (
	timerT1  = 500 * time.Millisecond
	timerT2  = 4 * time.Second
	patience = 64 * timerT1 // Timers B, F and H
)

// phase is how far a leg is.
type phase int

const (
	calling  phase = iota // caller: INVITE sent
	answered              // callee: 200 sent, no ACK yet
	up                    // ACK sent, or received
	leaving               // BYE sent
	gone                  // all over, but for what is sent again
)

// leg is one user agent's part in one call: a state machine that is told messages and the time, and
// puts what is to be sent into its agent's out list. Its agent's lock guards it.
type leg struct {
	agent  *agent
	call   *call
	caller bool
	phase  phase
	began  time.Time

	from, to  string // From and To of our own requests, with the tags
	localTag  string
	remoteTag string
	target    string         // Request-URI of requests inside the dialog: the far Contact
	routes    []string       // Route values of these requests
	next      netip.AddrPort // where our own requests are sent
	seq       int

	branch    string // of our last request but ACK
	invite    *sip.Message
	lastHeard string // for the text of a failure
	rang      bool

	pending   []byte // sent again at `again`
	pendingTo netip.AddrPort
	again     time.Time
	interval  time.Duration
	deadline  time.Time
	hangUp    time.Time // when we hang up; zero: we don't

	ack       []byte // caller: repeated for each 200
	answer    []byte // callee: repeated for each INVITE
	byeSeen   bool
	byeAnswer []byte
}

// fail gives the call up.
func (l *leg) fail(now time.Time, format string, args ...any) {
	l.phase, l.pending = gone, nil
	l.agent.book.fail(l.call, now, format, args...)
}

// end is the good end.
func (l *leg) end(now time.Time) {
	l.phase, l.pending = gone, nil
	l.agent.book.endedOne(l.call, now)
}

// send puts a message on its way; with retransmit it goes out again until something stops it.
func (l *leg) send(to netip.AddrPort, msg []byte, now time.Time, retransmit bool) {
	l.agent.out = append(l.agent.out, datagram{to, msg})
	if retransmit {
		l.pending, l.pendingTo, l.interval = msg, to, timerT1
		l.again, l.deadline = now.Add(timerT1), now.Add(patience)
	}
}

// tick does what is due at now.
func (l *leg) tick(now time.Time) {
	if l.phase == gone {
		return
	}
	if over, _ := l.agent.book.state(l.call, now); over {
		l.phase, l.pending = gone, nil // the other end gave up
		return
	}
	switch {
	case now.After(l.deadline):
		l.timedOut(now)
	case l.pending != nil && !now.Before(l.again):
		l.interval *= 2
		if l.phase != calling { // Timer A knows no T2: RFC 3261, Section 17.1.1.2
			l.interval = min(l.interval, timerT2)
		}
		l.again = now.Add(l.interval)
		l.agent.out = append(l.agent.out, datagram{l.pendingTo, l.pending})
	case l.phase == up && !l.hangUp.IsZero() && !now.Before(l.hangUp):
		l.bye(now)
	}
}

func (l *leg) timedOut(now time.Time) {
	heard := "nothing"
	if l.lastHeard != "" {
		heard = l.lastHeard
	}
	switch l.phase {
	case calling:
		l.fail(now, "no answer to INVITE in %v, last heard %s", patience, heard)
	case answered:
		l.fail(now, "no ACK in %v", patience)
	case up:
		l.fail(now, "the far side never hung up")
	case leaving:
		l.fail(now, "no answer to the %s's BYE in %v, last heard %s", l.role(), patience, heard)
	}
}

func (l *leg) role() string {
	if l.caller {
		return "caller"
	}
	return "callee"
}

// established begins the talking.
func (l *leg) established(now time.Time) {
	l.phase, l.pending = up, nil
	l.deadline = now.Add(l.agent.hold + patience)
	if l.caller != l.call.calleeHangs {
		l.hangUp = now.Add(l.agent.hold)
	}
}

// start sends the INVITE.
func (l *leg) start(now time.Time) {
	l.branch = newBranch()
	raw := l.agent.inviteText(l)
	m, err := sip.Parse(raw)
	if err != nil {
		l.fail(now, "the lab's own INVITE is wrong: %v", err)
		return
	}
	l.invite, l.began = m, now
	l.send(l.next, []byte(raw), now, true)
}

// bye hangs up.
func (l *leg) bye(now time.Time) {
	l.phase, l.branch, l.lastHeard = leaving, newBranch(), ""
	l.seq++
	l.send(l.next, l.agent.requestText(l, sip.MethodBye, l.branch), now, true)
}

// response handles a response to one of our requests.
func (l *leg) response(m *sip.Message, now time.Time) {
	cseq, _ := m.CSeq() // Validate was content with it
	l.lastHeard = strconv.Itoa(m.StatusCode()) + " " + m.Reason()
	switch {
	case m.Count(sip.FieldVia) != 1:
		l.fail(now, "a response to %s has %d Via header fields, want ours alone", cseq.Method, m.Count(sip.FieldVia))
	case cseq.Method == sip.MethodInvite && l.caller && m.Branch() == l.invite.Branch():
		l.inviteResponse(m, now)
	case cseq.Method == sip.MethodBye && m.Branch() == l.branch:
		l.byeResponse(m, now)
	default:
		l.agent.book.stray("%s got a response to a %s that it did not send", l.agent.user, cseq.Method)
	}
}

func (l *leg) inviteResponse(m *sip.Message, now time.Time) {
	status := m.StatusCode()
	switch {
	case l.phase != calling && status >= 200 && status < 300:
		l.send(l.next, l.ack, now, false) // our ACK got lost: RFC 3261, Section 13.2.2.4
	case l.phase != calling:
	case status < 200:
		l.pending = nil
		if status == 180 && !l.rang {
			l.rang = true
			l.agent.book.rang(l.call, now.Sub(l.began))
		}
	case status >= 300:
		l.send(l.next, sip.AppendAck(nil, l.invite, m), now, false)
		l.fail(now, "INVITE was answered %s", l.lastHeard)
	default:
		if problem := l.dialog(m); problem != "" {
			l.fail(now, "200 to INVITE: %s", problem)
			return
		}
		l.agent.book.answered(l.call, now.Sub(l.began))
		l.ack = l.agent.requestText(l, sip.MethodAck, newBranch())
		l.send(l.next, l.ack, now, false)
		l.established(now)
	}
}

// dialog takes what a 200 says about the dialog, or says what is wrong with it.
func (l *leg) dialog(m *sip.Message) string {
	to, err := m.To()
	if err != nil || to.Tag() == "" {
		return "it has no To tag"
	}
	if m.Body() != l.agent.sdp("answer") {
		return "its body is not what the callee sent"
	}
	l.remoteTag = to.Tag()
	l.to, _ = m.Value(sip.FieldTo)
	routes := slices.Collect(m.Values(sip.FieldRecordRoute))
	slices.Reverse(routes) // RFC 3261, Section 12.1.2
	return l.path(m, routes)
}

// path takes the far Contact and the route set, and finds where requests go first.
func (l *leg) path(m *sip.Message, routes []string) string {
	value, _ := m.FirstValue(sip.FieldContact)
	contact, err := sip.ParseNameAddr(value)
	if err != nil {
		return "it has no Contact"
	}
	l.target, l.routes = strings.Clone(contact.Addr), nil
	if len(routes) == 0 {
		return "it has no Record-Route"
	}
	for _, r := range routes {
		l.routes = append(l.routes, strings.Clone(r))
	}
	first, err := sip.ParseNameAddr(routes[0])
	if err != nil {
		return "its Record-Route is not understood"
	}
	uri, err := first.URI()
	if err != nil {
		return "its Record-Route is not understood"
	}
	if _, loose := uri.Param("lr"); !loose {
		return "its Record-Route " + first.Addr + " has no lr parameter"
	}
	ip, ok := uri.IP()
	if next := netip.AddrPortFrom(ip, max(uri.Port, 1)); !ok || next != l.next {
		return fmt.Sprintf("its Record-Route %s does not lead to the agent's own proxy %v", first.Addr, l.next)
	}
	return ""
}

func (l *leg) byeResponse(m *sip.Message, now time.Time) {
	switch status := m.StatusCode(); {
	case l.phase != leaving || status < 200:
	case status == 200:
		l.end(now)
	default:
		l.fail(now, "the %s's BYE was answered %s", l.role(), l.lastHeard)
	}
}

// request handles a request inside the call, and INVITEs that are sent again.
func (l *leg) request(m *sip.Message, from netip.AddrPort, now time.Time) {
	switch m.Method() {
	case sip.MethodInvite:
		if l.answer != nil {
			l.send(from, l.answer, now, false)
		}
		return
	case sip.MethodAck:
		if problem := l.check(m); problem != "" {
			l.fail(now, "ACK: %s", problem)
		} else if l.phase == answered {
			l.established(now)
			if l.byeSeen {
				l.end(now)
			}
		}
		return
	}
	// BYE is all that is left.
	if l.byeAnswer != nil {
		l.send(from, l.byeAnswer, now, false)
		return
	}
	if problem := l.check(m); problem != "" {
		l.send(from, sip.AppendResponse(nil, m, 481, "", ""), now, false)
		l.fail(now, "BYE: %s", problem)
		return
	}
	l.byeAnswer = sip.AppendResponse(nil, m, 200, "", "")
	l.send(from, l.byeAnswer, now, false)
	switch l.phase {
	case answered:
		l.byeSeen = true // it overtook the ACK, which still has to come
	case up:
		l.end(now)
	case leaving:
		l.fail(now, "both sides hung up")
	}
}

// check says what is wrong with a request inside the dialog.
func (l *leg) check(m *sip.Message) string {
	from, ferr := m.From()
	to, terr := m.To()
	switch {
	case ferr != nil || terr != nil:
		return "its From or To is not understood"
	case from.Tag() != l.remoteTag || to.Tag() != l.localTag:
		return fmt.Sprintf("its tags are %q and %q, want %q and %q", from.Tag(), to.Tag(), l.remoteTag, l.localTag)
	case m.RequestURI() != l.agent.contact():
		return fmt.Sprintf("its Request-URI is %s, want %s", m.RequestURI(), l.agent.contact())
	case m.Count(sip.FieldRoute) > 0:
		return "a Route header field is left in it"
	}
	return viaProblem(m)
}

// viaProblem says what is wrong with the way that a request came: one user agent and two proxies.
func viaProblem(m *sip.Message) string {
	n := 0
	for range m.Values(sip.FieldVia) {
		n++
	}
	hops, present, err := m.MaxForwards()
	switch {
	case n != 3:
		return fmt.Sprintf("it has %d Via values, want those of one user agent and two proxies", n)
	case err != nil || !present || hops != 68:
		return fmt.Sprintf("its Max-Forwards is %d, want 70 less two proxies", hops)
	}
	return ""
}
