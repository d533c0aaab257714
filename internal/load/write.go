package load

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// The texts of a session: each end can make what the other must have sent, and so tell whether a byte of it was
// changed on the way.
const (
	sdpHead = "v=0\r\no=- 1 "
	sdpTail = " IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0 8 96 101\r\n" +
		"a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n" +
		"a=fmtp:101 0-16\r\na=sendrecv\r\n"
	offerAttribute  = "a=x-load-offer:"
	answerAttribute = "a=x-load-answer:"
)

// appendOffer writes the session description of an INVITE. It says what becomes of the call, for a callee that
// cannot know.
func appendOffer(dst []byte, c *call, seq uint32) []byte {
	dst = append(dst, sdpHead...)
	dst = strconv.AppendUint(dst, uint64(seq), 10)
	dst = append(dst, sdpTail+offerAttribute...)
	dst = append(dst, c.script.scenario...)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, c.ring.Microseconds(), 10)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, c.hold.Microseconds(), 10)
	dst = append(dst, ' ')
	dst = append(dst, c.id...)
	return append(dst, "\r\n"...)
}

// longestTold is the longest time that a body may ask a callee for.
const longestTold = time.Hour

// readOffer takes out of a body what becomes of the call, and says whether it is one of ours.
func readOffer(body string) (s *script, ring, hold time.Duration, ok bool) {
	_, line, ok := strings.Cut(body, "\r\n"+offerAttribute)
	if !ok {
		return nil, 0, 0, false
	}
	line, _, _ = strings.Cut(line, "\r\n")
	words := strings.Split(line, " ")
	if len(words) != 4 {
		return nil, 0, 0, false
	}
	s = scripts[Scenario(words[0])]
	ringing, err1 := strconv.ParseInt(words[1], 10, 64)
	holding, err2 := strconv.ParseInt(words[2], 10, 64)
	most := longestTold.Microseconds()
	if s == nil || !s.calling() || err1 != nil || err2 != nil || ringing < 0 || ringing > most || holding < 0 || holding > most {
		return nil, 0, 0, false
	}
	return s, time.Duration(ringing) * time.Microsecond, time.Duration(holding) * time.Microsecond, true
}

// appendAnswer writes the session description of a 200.
func appendAnswer(dst []byte, c *call, seq uint32) []byte {
	dst = append(dst, sdpHead...)
	dst = strconv.AppendUint(dst, uint64(seq), 10)
	dst = append(dst, sdpTail+answerAttribute...)
	dst = append(dst, c.id...)
	return append(dst, "\r\n"...)
}

// appendText writes the body of a MESSAGE.
func appendText(dst []byte, c *call) []byte {
	return append(append(dst, "load "...), c.id...)
}

// appendBody writes the body that the end sends with a request, empty for most.
func appendBody(dst []byte, c *call, method string, seq uint32) []byte {
	switch method {
	case sip.MethodInvite:
		return appendOffer(dst, c, seq)
	case sip.MethodMessage:
		return appendText(dst, c)
	}
	return dst
}

// appendBranch writes a branch of the end: RFC 3261, Section 8.1.1.7. The kind tells ACKs from other requests.
func appendBranch(dst []byte, l *leg, kind byte, number int) []byte {
	dst = append(dst, sip.BranchCookie...)
	dst = append(dst, l.tag...)
	dst = append(dst, kind)
	return strconv.AppendInt(dst, int64(number), 10)
}

// The kinds of branches: of requests, and of ACKs for 2xx responses.
const (
	requestBranch = '.'
	ackBranch     = '-'
)

// appendRequest writes a request of the end. to overrides its To where that is not empty.
func (e *engine) appendRequest(dst []byte, l *leg, method string, seq uint32, kind byte, branch int, to string) []byte {
	dst = append(dst, method...)
	dst = append(dst, ' ')
	dst = append(dst, l.target...)
	dst = append(dst, " SIP/2.0\r\nVia: "...)
	dst = append(dst, l.at.via...)
	dst = appendBranch(dst, l, kind, branch)
	dst = append(dst, ";rport"...)
	if e.cfg.Alias {
		dst = append(dst, ";alias"...)
	}
	dst = append(dst, "\r\nMax-Forwards: 70\r\n"...)
	for _, r := range l.routes {
		dst = append(dst, "Route: "...)
		dst = append(dst, r...)
		dst = append(dst, "\r\n"...)
	}
	if to == "" {
		to = l.to
	}
	dst = append(dst, "From: "...)
	dst = append(dst, l.from...)
	dst = append(dst, "\r\nTo: "...)
	dst = append(dst, to...)
	dst = append(dst, "\r\nCall-ID: "...)
	dst = append(dst, l.call.id...)
	dst = append(dst, "\r\nCSeq: "...)
	dst = strconv.AppendUint(dst, uint64(seq), 10)
	dst = append(dst, ' ')
	dst = append(dst, method...)
	dst = append(dst, "\r\n"...)
	dst = e.appendCredentials(dst, l, method)
	dst = append(dst, "User-Agent: "...)
	dst = append(dst, userAgent...)
	if e.cfg.Version != "" {
		dst = append(dst, '/')
		dst = append(dst, e.cfg.Version...)
	}
	dst = append(dst, "\r\n"...)
	switch method {
	case sip.MethodInvite, sip.MethodOptions, sip.MethodRegister:
		dst = append(dst, "Contact: <"...)
		dst = append(dst, l.contact...)
		dst = append(dst, ">\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE\r\n"...)
	}
	switch method {
	case sip.MethodInvite:
		dst = append(dst, "Content-Type: application/sdp\r\n"...)
	case sip.MethodMessage:
		dst = append(dst, "Content-Type: text/plain\r\n"...)
	case sip.MethodOptions:
		dst = append(dst, "Accept: application/sdp\r\n"...)
	}
	e.scratch = appendBody(e.scratch[:0], l.call, method, seq)
	return e.withBody(dst, e.scratch)
}

const userAgent = "tandem-load"

// withBody ends a message.
func (e *engine) withBody(dst, body []byte) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, body...)
}

// noBody is how sip.AppendResponse ends a message.
var noBody = []byte("Content-Length: 0\r\n\r\n")

// appendResponse writes a response of the end. One to an INVITE that makes or keeps a dialog has Record-Route and
// Contact (RFC 3261, Section 12.1.1), and a 2xx to it a session description.
func (e *engine) appendResponse(dst []byte, l *leg, m *sip.Message, status int) []byte {
	invite := m.Method() == sip.MethodInvite && status > 100 && status < 300
	start := len(dst)
	dst = sip.AppendResponse(dst, m, status, "", l.tag)
	if !invite && m.Method() != sip.MethodRegister {
		return dst
	}
	dst = dst[:start+len(bytes.TrimSuffix(dst[start:], noBody))]
	if !invite { // the binding that was asked for: RFC 3261, Section 10.3
		if contact, ok := m.Value(sip.FieldContact); ok {
			dst = append(append(append(dst, "Contact: "...), contact...), ";expires=3600\r\n"...)
		}
		return e.withBody(dst, nil)
	}
	for r := range m.Values(sip.FieldRecordRoute) {
		dst = append(append(append(dst, "Record-Route: "...), r...), "\r\n"...)
	}
	dst = append(append(append(dst, "Contact: <"...), l.contact...), ">\r\n"...)
	if status < 200 {
		return e.withBody(dst, nil)
	}
	dst = append(dst, "Content-Type: application/sdp\r\n"...)
	cseq, _ := m.CSeq() // Validate was content with it
	e.scratch = appendAnswer(e.scratch[:0], l.call, cseq.Seq)
	return e.withBody(dst, e.scratch)
}
