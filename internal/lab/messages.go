package lab

import (
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

// newBranch makes a branch parameter (RFC 3261, Section 8.1.1.7).
func newBranch() string { return "z9hG4bK" + rand.Text() }

// contact is the URI under which the agent is reached directly.
func (a *agent) contact() string { return "sip:" + a.user + "@" + a.addr.String() }

// sdp is a session description. The two ends of all calls use the same two, so that each can tell
// whether a byte of it was changed on the way.
func (a *agent) sdp(kind string) string {
	return "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=" + kind + "\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" +
		"m=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=sendrecv\r\n"
}

// inviteText writes the INVITE of a leg.
func (a *agent) inviteText(l *leg) string {
	var b strings.Builder
	a.head(&b, l, sip.MethodInvite, l.branch)
	fmt.Fprintf(&b, "Contact: <%s>\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\n", a.contact())
	body := a.sdp("offer")
	fmt.Fprintf(&b, "Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return b.String()
}

// requestText writes ACK or BYE.
func (a *agent) requestText(l *leg, method, branch string) []byte {
	var b strings.Builder
	a.head(&b, l, method, branch)
	b.WriteString("Content-Length: 0\r\n\r\n")
	return []byte(b.String())
}

// head writes what all requests have.
func (a *agent) head(b *strings.Builder, l *leg, method, branch string) {
	fmt.Fprintf(b, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %v;branch=%s;rport\r\nMax-Forwards: 70\r\n", method, l.target, a.addr, branch)
	for _, r := range l.routes {
		fmt.Fprintf(b, "Route: %s\r\n", r)
	}
	fmt.Fprintf(b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n", l.from, l.to, l.call.id, l.seq, method)
}

// answerText writes a response that makes a dialog (RFC 3261, Section 12.1.1).
func (a *agent) answerText(l *leg, m *sip.Message, status int, body string) []byte {
	var extra []sip.Line
	for r := range m.Values(sip.FieldRecordRoute) {
		extra = append(extra, sip.Line{Name: "Record-Route", Value: r})
	}
	extra = append(extra, sip.Line{Name: "Contact", Value: "<" + a.contact() + ">"})
	if body == "" {
		return sip.AppendResponse(nil, m, status, "", l.localTag, extra...)
	}
	extra = append(extra, sip.Line{Name: "Content-Type", Value: "application/sdp"})
	text := string(sip.AppendResponse(nil, m, status, "", l.localTag, extra...))
	text = strings.TrimSuffix(text, "Content-Length: 0\r\n\r\n")
	return fmt.Appendf(nil, "%sContent-Length: %d\r\n\r\n%s", text, len(body), body)
}
