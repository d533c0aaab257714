package siptest

import (
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

// toTag is the tag that the peer gives itself in the dialog of a request: the same each time.
func (r *Received) toTag() string {
	return fmt.Sprintf("%s-%08x", r.Conn.p.tag, crc32.ChecksumIEEE([]byte(r.CallID())))
}

// Response writes a response to the request as RFC 3261, Section 8.2.6 says, with the Record-Route of the
// request and a Contact where a dialog may come of it. Further lines such as "Retry-After: 5" follow; one
// that begins with a CRLF is the body.
func (r *Received) Response(status int, lines ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %d %s\r\n", status, sip.ReasonPhrase(status))
	for name, value := range r.Lines() {
		switch sip.FieldOf(name) {
		case sip.FieldVia, sip.FieldFrom, sip.FieldCallID, sip.FieldCSeq:
			b.WriteString(name + ": " + value + "\r\n")
		case sip.FieldTo:
			b.WriteString(name + ": " + value)
			if to, err := r.To(); err == nil && to.Tag() == "" && status > 100 {
				b.WriteString(";tag=" + r.toTag())
			}
			b.WriteString("\r\n")
		case sip.FieldRecordRoute:
			if status > 100 && status < 300 {
				b.WriteString(name + ": " + value + "\r\n")
			}
		}
	}
	if r.Method() == "INVITE" && status > 100 && status < 300 {
		c := r.Conn
		at := c.local
		if l, ok := c.p.Listening(c.transport); ok {
			at = l
		}
		fmt.Fprintf(&b, "Contact: <sip:%s@%s;transport=%s>\r\n", c.p.cfg.Name, at, c.transport.URIParam())
	}
	body := ""
	for _, line := range lines {
		if text, ok := strings.CutPrefix(line, "\r\n"); ok {
			body = text
		} else {
			b.WriteString(line + "\r\n")
		}
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return b.String()
}

// Reply sends a response back to where the request came from: over UDP to the source address, whatever
// the Via says.
func (r *Received) Reply(status int, lines ...string) {
	r.Conn.p.t.Helper()
	if err := r.Conn.TrySend(r.Response(status, lines...)); err != nil {
		r.Conn.p.t.Errorf("siptest: %s answers %d: %v", r.Conn, status, err)
	}
}

// AnswerAll is for PeerConfig.Handle: an endpoint that takes every call at once, with 100, 180 and 200, and
// says 200 to everything else. CANCEL gets a 200 and nothing more, for it is always too late.
func AnswerAll(r *Received) {
	switch r.Method() {
	case "ACK":
	case "INVITE":
		r.answer(100)
		r.answer(180)
		r.answer(200, "Content-Type: application/sdp", "\r\n"+SDP(r.Conn.local.Addr().String()))
	default:
		r.answer(200)
	}
}

// Answer is for PeerConfig.Handle: an endpoint that gives everything but ACK one answer.
func Answer(status int, lines ...string) func(*Received) {
	return func(r *Received) {
		if r.Method() != "ACK" {
			r.answer(status, lines...)
		}
	}
}

// answer is Reply for a reader's goroutine: that the connection has gone away is not its fault.
func (r *Received) answer(status int, lines ...string) {
	if err := r.Conn.TrySend(r.Response(status, lines...)); err != nil {
		r.Conn.p.wire.add("%s answers %d: %v", r.Conn, status, err)
	}
}
