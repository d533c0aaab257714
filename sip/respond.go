package sip

import (
	"strconv"
	"strings"
)

// Line is a header field line to be written.
type Line struct{ Name, Value string }

// AppendResponse appends a response to the request without a body (RFC 3261, Section 8.2.6): its Via
// lines with what SetReceived said, From, To, Call-ID and CSeq copied as they were written, for a 100
// also Timestamp, then the extra lines. To gets toTag when the request has no tag there, toTag is not
// empty, and status is above 100. An empty reason stands for the usual one.
//
// The request may be partial, as an erroneous Parse returns it: what is missing is left out.
func AppendResponse(dst []byte, req *Message, status int, reason, toTag string, extra ...Line) []byte {
	if reason == "" {
		reason = ReasonPhrase(status)
	}
	dst = append(dst, "SIP/2.0 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = appendText(dst, reason)
	dst = append(dst, "\r\n"...)
	for i := req.firstLine(FieldVia); i >= 0; i = req.nextLine(FieldVia, i+1) {
		l := req.line(i)
		dst = req.appendRaw(dst, int(l.start), req.next(l))
	}
	dst = req.appendFirst(dst, FieldFrom)
	if i := req.firstLine(FieldTo); i >= 0 {
		l := req.line(i)
		dst = append(dst, req.raw[l.start:l.end]...)
		if status > 100 && toTag != "" && !req.hasToTag() {
			dst = append(dst, ";tag="...)
			dst = appendText(dst, toTag)
		}
		dst = append(dst, "\r\n"...)
	}
	dst = req.appendFirst(dst, FieldCallID)
	dst = req.appendCSeq(dst)
	if status == 100 {
		dst = req.appendFirst(dst, FieldTimestamp) // RFC 3261, Section 8.2.6.1
	}
	for i := range extra {
		dst = appendLine(dst, extra[i].Name, extra[i].Value)
	}
	return append(dst, "Content-Length: 0\r\n\r\n"...)
}

// appendFirst appends the first line of the kind as it was written.
func (m *Message) appendFirst(dst []byte, f Field) []byte {
	if i := m.firstLine(f); i >= 0 {
		l := m.line(i)
		dst = append(dst, m.raw[l.start:m.next(l)]...)
	}
	return dst
}

// appendCSeq appends the CSeq line as it was written. Of one that cannot be understood, folded lines
// are left out: somebody may have hidden another header field there.
func (m *Message) appendCSeq(dst []byte) []byte {
	if _, err := m.CSeq(); err == nil {
		return m.appendFirst(dst, FieldCSeq)
	}
	i := m.firstLine(FieldCSeq)
	if i < 0 {
		return dst
	}
	l := m.line(i)
	s := m.raw[l.start:l.end]
	if fold := strings.IndexByte(s, '\r'); fold >= 0 {
		s = s[:fold]
	}
	dst = append(dst, s...)
	return append(dst, "\r\n"...)
}

// hasToTag says whether To has a tag. In a To that cannot be parsed it looks behind the last ">".
func (m *Message) hasToTag() bool {
	if to, err := m.To(); err == nil {
		return to.Tag() != ""
	}
	v, _ := m.Value(FieldTo)
	from := 0
	for i := 0; i < len(v); i++ {
		if v[i] == '>' {
			from = i + 1
		}
	}
	for i := from; i+4 <= len(v); i++ {
		if equalFold(v[i:i+4], "tag=") {
			return true
		}
	}
	return false
}

// AppendAck appends the ACK for a response above 299 to an INVITE (RFC 3261, Section 17.1.1.3). sent
// is the INVITE as it was sent, resp the response.
func AppendAck(dst []byte, sent, resp *Message) []byte {
	dst = appendDerived(dst, sent, MethodAck, resp)
	return append(dst, "Content-Length: 0\r\n\r\n"...)
}

// AppendCancel appends the CANCEL for a request (RFC 3261, Section 9.1) with extra lines, such as
// Reason. sent is the request as it was sent.
func AppendCancel(dst []byte, sent *Message, extra ...Line) []byte {
	dst = appendDerived(dst, sent, MethodCancel, sent)
	for i := range extra {
		dst = appendLine(dst, extra[i].Name, extra[i].Value)
	}
	return append(dst, "Content-Length: 0\r\n\r\n"...)
}

// appendDerived appends what ACK and CANCEL have in common: the Request-URI, the topmost Via and no
// other, the Route lines, From, Call-ID and the number in CSeq of the request; To of another message.
func appendDerived(dst []byte, sent *Message, method string, to *Message) []byte {
	dst = append(dst, method...)
	dst = append(dst, ' ')
	dst = append(dst, sent.RequestURI()...)
	dst = append(dst, " SIP/2.0\r\nVia: "...)
	if start, end, ok := sent.viaValue(); ok {
		dst = sent.appendRaw(dst, start, end)
	}
	dst = append(dst, "\r\nMax-Forwards: 70\r\n"...)
	for i := sent.firstLine(FieldRoute); i >= 0; i = sent.nextLine(FieldRoute, i+1) {
		l := sent.line(i)
		dst = append(dst, sent.raw[l.start:sent.next(l)]...)
	}
	dst = sent.appendFirst(dst, FieldFrom)
	dst = to.appendFirst(dst, FieldTo)
	dst = sent.appendFirst(dst, FieldCallID)
	c, err := sent.CSeq()
	if err != nil {
		return dst
	}
	dst = append(dst, "CSeq: "...)
	dst = strconv.AppendUint(dst, uint64(c.Seq), 10)
	dst = append(dst, ' ')
	dst = append(dst, method...)
	return append(dst, "\r\n"...)
}
