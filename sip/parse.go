package sip

import (
	"strings"
	"unsafe"
)

// Parse indexes one message (RFC 3261, Section 7) and finds the end of its body
// (RFC 3261, Section 18.3).
//
// raw is kept, and everything that the Message hands out is part of it. When there are more bytes
// than Content-Length says, the rest is left out; when there are fewer, that is an error. Without
// Content-Length the body ends where raw does.
//
// On error the Message may still be there: as much of it as was understood, so that it can be
// answered. The error is a *[SyntaxError].
func Parse(raw string) (*Message, error) { return newMessage().parse(raw) }

// ParseBytes is Parse of a copy of b, which belongs to the Message and goes back with it: see [Message.Release]. It is
// meant for messages that are many, and soon done.
func ParseBytes(b []byte) (*Message, error) {
	m, raw := newOwner(b)
	return m.parse(raw)
}

// parse does the work of Parse.
func (m *Message) parse(raw string) (*Message, error) {
	// An element that gets empty lines before the start line passes over them: RFC 3261, Section 7.5.
	for len(raw) >= 2 && raw[0] == '\r' && raw[1] == '\n' {
		raw = raw[2:]
	}
	m.raw, m.body = raw, len(raw)
	p := parser{m: m, raw: raw}
	if !p.startLine() {
		m.Release()
		return nil, p.err
	}
	if p.headerSection() {
		p.cutBody()
	}
	return m, p.err
}

// parser is the state of one Parse.
type parser struct {
	m   *Message
	raw string
	pos int
	err error // the first thing that was wrong
}

// fail keeps the first error, and makes no other: hostile input may break a rule with every byte.
func (p *parser) fail(part, text string, cause error) {
	if p.err == nil {
		p.err = &SyntaxError{Field: part, Text: text, cause: cause}
	}
}

// startLine reads the Request-Line or Status-Line. It returns false when nothing behind it can be
// made sense of.
func (p *parser) startLine() bool {
	const part = "start line"
	end := nextControl(p.raw, 0)
	for end < len(p.raw) && (p.raw[end] != '\r' || end+1 < len(p.raw) && p.raw[end+1] != '\n') {
		if p.raw[end] != '\t' {
			p.fail(part, "control character", nil)
		}
		if p.raw[end] == '\n' {
			break
		}
		end = nextControl(p.raw, end+1)
	}
	if end+2 > len(p.raw) || p.raw[end] != '\r' {
		p.fail(part, "not ended by CRLF", nil)
		return false
	}
	if end > MaxStartLine {
		p.fail(part, "too long", ErrTooLong)
		if end > MaxStartLine+MaxHeader/2 {
			return false // the index could not hold it
		}
	}
	s := p.raw[:end]
	p.pos = end + 2
	p.m.header = uint16(p.pos)
	if len(s) >= 4 && equalFold(s[:4], "SIP/") {
		return p.statusLine(s)
	}
	return p.requestLine(s)
}

// requestLine reads Method SP Request-URI SP SIP-Version (RFC 3261, Section 7.1).
func (p *parser) requestLine(s string) bool {
	const part = "start line"
	i := 0
	for i < len(s) && is(s[i], charToken) {
		i++
	}
	if i == 0 || i == len(s) || s[i] != ' ' {
		p.fail(part, "no method", nil)
		return false
	}
	p.m.methodEnd = uint16(i)
	if i > MaxToken {
		p.fail(part, "method is too long", ErrTooLong)
	}
	j := len(s)
	for j > i && s[j-1] != ' ' {
		j--
	}
	if j == i+1 {
		p.m.targetStart, p.m.targetEnd = uint16(j), uint16(len(s))
		p.fail(part, "no SIP version", nil)
		return true
	}
	p.m.targetStart, p.m.targetEnd = uint16(i+1), uint16(j-1)
	p.version(s[j:])
	// Exactly one space stands between the parts, and none in the Request-URI: RFC 3261, Section 7.1.
	if t := s[i+1 : j-1]; strings.IndexByte(t, ' ') >= 0 || strings.IndexByte(t, '\t') >= 0 {
		p.fail(part, "white space in or around the Request-URI", nil)
	}
	if i+1 >= j-1 {
		p.fail(part, "no Request-URI", nil)
	}
	return true
}

// statusLine reads SIP-Version SP Status-Code SP Reason-Phrase (RFC 3261, Section 7.2).
func (p *parser) statusLine(s string) bool {
	const part = "start line"
	i := 0
	for i < len(s) && s[i] != ' ' {
		i++
	}
	p.version(s[:i])
	// The space before an empty Reason-Phrase is often forgotten, and nothing depends on it.
	if i+4 > len(s) || len(s) > i+4 && s[i+4] != ' ' {
		p.fail(part, "status code is not three digits", nil)
		return false
	}
	code, ok := number(s[i+1:i+4], 699)
	if !ok || code < 100 {
		p.fail(part, "status code is not between 100 and 699", nil)
		return false
	}
	p.m.status = int16(code)
	p.m.reason = uint16(min(i+5, len(s)))
	return true
}

func (p *parser) version(s string) {
	if s == "SIP/2.0" {
		return
	}
	if equalFold(s, "SIP/2.0") {
		p.m.odd = true // it is sent in upper case: RFC 3261, Section 7.1
		return
	}
	if len(s) >= 7 && equalFold(s[:4], "SIP/") {
		for i, dot := 4, 0; i < len(s); i++ {
			if s[i] == '.' && i > 4 && i < len(s)-1 && dot == 0 {
				dot++
			} else if s[i] < '0' || s[i] > '9' {
				break
			}
			if i == len(s)-1 && dot == 1 {
				p.fail("start line", "version is not SIP/2.0", ErrVersion)
				return
			}
		}
	}
	p.fail("start line", "no SIP version", nil)
}

// headerSection indexes the header field lines. It returns false when the section has no end within
// the limits, so that there is no body.
func (p *parser) headerSection() bool {
	const part = "header section"
	raw := p.raw
	limit := p.pos + MaxHeader
	for {
		if p.pos >= len(raw) {
			p.fail(part, "not ended by an empty line", nil)
			return false
		}
		if raw[p.pos] == '\r' && p.pos+1 < len(raw) && raw[p.pos+1] == '\n' {
			p.m.body = p.pos + 2
			return true
		}
		if p.m.count == MaxLines {
			p.fail(part, "too many header field lines", ErrTooLong)
			return false
		}
		if !p.plainLine(limit) && !p.headerLine(limit) {
			return false
		}
	}
}

// plainLine indexes a header field line as most are: a known name, a colon right behind it, and a
// value that begins and ends on the line and holds no control character. It returns false and has
// done nothing when the line is another one.
func (p *parser) plainLine(limit int) bool {
	raw, start := p.raw, p.pos
	f, n := fieldAt(unsafe.Slice(unsafe.StringData(raw), len(raw))[start:])
	if n == 0 {
		return false
	}
	i := start + n + 1
	if i < len(raw) && raw[i] == ' ' {
		i++
	}
	end := nextControl(raw, i)
	if end+2 >= len(raw) || end+2 > limit || raw[end] != '\r' || raw[end+1] != '\n' ||
		raw[end+2] == ' ' || raw[end+2] == '\t' || raw[i] == ' ' || raw[end-1] == ' ' {
		return false
	}
	p.pos = end + 2
	p.m.add(line{start: uint16(start), val: uint16(i), end: uint16(end), field: f, nameLen: uint8(n)})
	return true
}

// headerLine indexes one header field line with its folding (RFC 3261, Section 7.3.1). A line that
// breaks the rules is an error, and left out of the index when it would tear a copy of itself.
func (p *parser) headerLine(limit int) bool {
	raw, start := p.raw, p.pos
	i := start
	for i < len(raw) && is(raw[i], charToken) {
		i++
	}
	nameEnd := i
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\t') {
		i++
	}
	named := nameEnd > start && i < len(raw) && raw[i] == ':'
	if named {
		i++
	}
	end, ok := p.lineEnd(i, limit)
	if end < 0 {
		return false
	}
	p.pos = end + 2
	if !named {
		p.fail("header section", "a line without a header field name", nil)
		return true
	}
	if !ok {
		return true
	}
	val := i
	for val < end && isSpace(raw[val]) {
		val++
	}
	stop := end
	for stop > val && isSpace(raw[stop-1]) {
		stop--
	}
	f := FieldOf(raw[start:nameEnd])
	p.m.add(line{
		start: uint16(start), val: uint16(val), end: uint16(stop),
		field: f, nameLen: uint8(min(nameEnd-start, longName)),
	})
	return true
}

// lineEnd returns the position of the CRLF that ends the header field line, where i is in it; -1 when
// there is none within the limit. ok is false when the line holds a bare CR, bare LF or NUL.
func (p *parser) lineEnd(i, limit int) (end int, ok bool) {
	const part = "header section"
	raw := p.raw
	q := quoting{pos: i}
	ok = true
	for {
		i = nextControl(raw, i)
		if i+2 > limit {
			p.fail(part, "too long", ErrTooLong)
			return -1, false
		}
		if i >= len(raw) {
			p.fail(part, "not ended by an empty line", nil)
			return -1, false
		}
		switch c := raw[i]; {
		case c == '\t':
		case c == '\r' && i+1 < len(raw) && raw[i+1] == '\n':
			if i+2 == len(raw) || raw[i+2] != ' ' && raw[i+2] != '\t' {
				return i, ok
			}
			i++
		case c == '\r' || c == '\n':
			p.fail(part, "bare CR or LF", nil)
			ok = false
		case !q.pair(raw, i):
			p.fail(part, "control character", nil)
			ok = ok && c != 0
		}
		i++
	}
}

// quoting finds out whether a control character is the second half of a quoted-pair inside a quoted
// string, the one place where it may stand (RFC 3261, Section 25.1). It goes over a line once,
// however many characters are asked about.
type quoting struct {
	pos int
	in  bool
}

func (q *quoting) pair(s string, at int) bool {
	for q.pos < at {
		switch s[q.pos] {
		case '"':
			q.in = !q.in
		case '\\':
			if q.in {
				if q.pos++; q.pos == at {
					q.pos++
					return true
				}
			}
		}
		q.pos++
	}
	return false
}

// add appends a line to the index.
func (m *Message) add(l line) {
	i := m.count
	m.count++
	if i < inlineLines {
		m.lines[i] = l
	} else {
		m.more = append(m.more, l)
	}
	bit := uint64(1) << l.field
	if m.present&bit != 0 {
		m.repeated |= bit
		return
	}
	m.present |= bit
	m.first[l.field] = uint8(min(i, lateLine))
}

// cutBody finds the end of the body (RFC 3261, Section 18.3).
func (p *parser) cutBody() {
	m := p.m
	n, present, err := m.ContentLength()
	have := len(m.raw) - m.body
	switch {
	case err != nil:
		if p.err == nil {
			p.err = err
		}
	case present && n > have:
		p.fail("Content-Length", "larger than the body", ErrContentLength)
	case present:
		m.raw = m.raw[:m.body+n]
	case have > MaxBody:
		p.fail("body", "too long", ErrTooLong)
	}
}
