package sip

import "strings"

// list walks over the comma-separated values of one header field line. Commas inside quoted strings,
// angle brackets and, where the field has them, comments do not separate (RFC 3261, Section 7.3.1).
type list struct {
	s        string // the whole message; offsets count in it
	pos      int    // where to go on
	limit    int    // end of the field value
	comments bool

	start, end int  // the current value, trimmed
	empty      bool // an empty value was passed over
}

func (m *Message) list(l *line) list {
	return list{s: m.raw, pos: int(l.val), limit: int(l.end), comments: l.field.hasComments()}
}

// next moves to the next value that is not empty and says whether there is one.
func (l *list) next() bool {
	for l.pos <= l.limit {
		if l.pos == l.limit && l.start == 0 && l.end == 0 {
			return false // a field without a value holds no values, rather than an empty one
		}
		start := l.pos
		end := l.comma()
		l.pos = end + 1
		for start < end && isSpace(l.s[start]) {
			start++
		}
		for end > start && isSpace(l.s[end-1]) {
			end--
		}
		l.start, l.end = start, end
		if start < end {
			return true
		}
		l.empty = true
	}
	return false
}

// comma returns where the value at pos ends: at the next comma that separates, or at the limit.
func (l *list) comma() int {
	s, i := l.s[:l.limit], l.pos
	if strings.IndexByte(s[i:], ',') < 0 {
		return len(s) // most lines have one value
	}
	for ; i < len(s); i++ {
		if !is(s[i], charList) {
			continue
		}
		switch s[i] {
		case ',':
			return i
		case '"':
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case '<':
			gt := strings.IndexByte(s[i:], '>')
			if gt < 0 {
				return len(s)
			}
			i += gt
		case '(':
			if !l.comments {
				continue
			}
			for depth := 1; depth > 0; {
				if i++; i >= len(s) {
					break
				}
				switch s[i] {
				case '(':
					depth++
				case ')':
					depth--
				case '\\':
					i++
				}
			}
		}
	}
	return len(s)
}

// params walks over ";name=value" parameters of a header field value, with white space around the
// separators and quoted values (RFC 3261, Section 7.3.1).
type params struct {
	s   string
	pos int

	start, end  int // the current parameter in s, from its ";" to behind its value
	name, value string
	has         bool // there is a value, maybe an empty quoted one
	token       bool // the value is a token
	bad         bool // the rest is no list of parameters
}

// next moves to the next parameter and says whether there is one.
func (p *params) next() bool {
	s, i := p.s, p.pos
	if i < len(s) && s[i] <= ' ' {
		i = skipSpace(s, i)
	}
	if i == len(s) {
		return false
	}
	p.bad = true // until the end of the parameter has been seen
	if s[i] != ';' {
		return false
	}
	p.start = i
	if i++; i < len(s) && s[i] <= ' ' {
		i = skipSpace(s, i)
	}
	from := i
	for i < len(s) && charClass[s[i]]&charToken != 0 {
		i++
	}
	if i == from {
		return false
	}
	p.name, p.value, p.has, p.token = s[from:i], "", false, false
	p.end = i
	if i < len(s) && s[i] <= ' ' {
		i = skipSpace(s, i)
	}
	if i < len(s) && s[i] == '=' {
		if i = p.readValue(i + 1); i < 0 {
			return false
		}
	}
	if i < len(s) && s[i] != ';' {
		return false
	}
	p.pos, p.bad = i, false
	return true
}

// readValue reads the value behind a "=" and returns the position behind it and its white space, -1 when there is none.
func (p *params) readValue(i int) int {
	s := p.s
	if i < len(s) && s[i] <= ' ' {
		i = skipSpace(s, i)
	}
	from := i
	if i < len(s) && s[i] == '"' {
		if i = quoted(s, i); i < 0 {
			return -1
		}
	} else {
		common := ^uint16(0)
		for i < len(s) {
			class := charClass[s[i]]
			if class&charValue == 0 {
				break
			}
			common &= class
			i++
		}
		if i == from {
			return -1
		}
		p.token = common&charToken != 0
	}
	p.value, p.has, p.end = s[from:i], true, i
	if i < len(s) && s[i] <= ' ' {
		i = skipSpace(s, i)
	}
	return i
}

// quoted returns the position behind the quoted string that begins at i, or -1 when it does not end.
func quoted(s string, i int) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return -1
}

// param finds a parameter by name, in any case.
func param(s, name string) (value string, ok bool) {
	p := params{s: s}
	for p.next() {
		if equalFold(p.name, name) {
			return p.value, true
		}
	}
	return "", false
}

// Unquote returns the text of a quoted string without its quotes and escapes. Text that is not
// quoted comes back as it is.
func Unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			b := append(make([]byte, 0, len(s)), s[:i]...)
			for ; i < len(s); i++ {
				if s[i] == '\\' && i+1 < len(s) {
					i++
				}
				b = append(b, s[i])
			}
			return string(b)
		}
	}
	return s
}
