package sip

// CSeq is the value of a CSeq header field (RFC 3261, Section 20.16).
type CSeq struct {
	Seq    uint32
	Method string
}

// Parse reads the value of a CSeq header field. The result refers to s.
func (c *CSeq) Parse(s string) error {
	i := 0
	for i < len(s) && !isSpace(s[i]) {
		i++
	}
	// The sequence number must fit in 32 bits: RFC 3261, Section 8.1.1.5.
	n, ok := number(s[:i], 1<<32-1)
	if !ok {
		return bad("CSeq", "sequence number is not a number below 2**32")
	}
	method := s[skipSpace(s, i):]
	if !all(method, charToken) {
		return bad("CSeq", "method is not a token")
	}
	c.Seq, c.Method = uint32(n), method
	return nil
}

// CSeq returns the CSeq of the message, parsed once.
func (m *Message) CSeq() (CSeq, error) {
	if m.cseqState == parsed {
		return m.cseq, nil
	}
	v, ok := m.Value(FieldCSeq)
	if !ok {
		return CSeq{}, bad("CSeq", "missing")
	}
	var c CSeq
	err := c.Parse(v)
	if m.cseqState == untouched {
		if err != nil {
			m.cseqState = broken
		} else {
			m.cseq, m.cseqState = c, parsed
		}
	}
	return c, err
}

// MaxForwards returns the value of Max-Forwards (RFC 3261, Section 20.22): between 0 and 255.
func (m *Message) MaxForwards() (n int, present bool, err error) {
	v, ok := m.Value(FieldMaxForwards)
	if !ok {
		return 0, false, nil
	}
	u, ok := number(v, 255)
	if !ok {
		return 0, true, bad("Max-Forwards", "not a number between 0 and 255")
	}
	return int(u), true, nil
}

// ContentLength returns the value of Content-Length (RFC 3261, Section 20.14), at most MaxBody. A
// second one is an error even when it is the same.
func (m *Message) ContentLength() (n int, present bool, err error) {
	const part = "Content-Length"
	i := m.firstLine(FieldContentLength)
	if i < 0 {
		return 0, false, nil
	}
	if m.repeated&(1<<FieldContentLength) != 0 {
		return 0, true, &SyntaxError{Field: part, Text: "repeated", cause: ErrContentLength}
	}
	v := m.value(m.line(i))
	u, ok := number(v, MaxBody)
	if !ok {
		if allDigits(v) {
			return 0, true, tooLong(part, "larger than a body may be")
		}
		return 0, true, &SyntaxError{Field: part, Text: "not a number", cause: ErrContentLength}
	}
	return int(u), true, nil
}

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i]-'0' > 9 {
			return false
		}
	}
	return s != ""
}
