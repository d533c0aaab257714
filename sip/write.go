package sip

import (
	"slices"
	"strconv"
	"strings"
)

// AppendTo appends the changed message. What was not changed is written byte for byte, except that
// the version in the start line is written in upper case, that the topmost Via gets what SetReceived
// said, and that Content-Length is added when it is missing, and brought onto one line when it is folded.
func (e *Edit) AppendTo(dst []byte) []byte {
	m := e.m
	e.unfoldLength()
	var room [64]uint16
	order := room[:0]
	for i := 0; i < e.n; i++ {
		k := len(order)
		order = append(order, uint16(i))
		if e.n > len(room) {
			continue
		}
		for ; k > 0 && e.less(uint16(i), order[k-1]); k-- {
			order[k] = order[k-1]
		}
		order[k] = uint16(i)
	}
	if e.n > len(room) {
		slices.SortStableFunc(order, func(a, b uint16) int {
			switch {
			case e.less(a, b):
				return -1
			case e.less(b, a):
				return 1
			}
			return 0
		})
	}
	pos := 0
	if m.odd {
		if m.status != 0 {
			dst, pos = append(dst, "SIP/2.0"...), len("SIP/2.0")
		} else {
			end := int(m.header) - len("\r\n")
			e.text(end-len("SIP/2.0"), end, "SIP/2.0")
			out := e.appendOdd(dst, order)
			e.n--
			return out
		}
	}
	return e.appendOps(dst, pos, order)
}

// unfoldLength brings Content-Length onto one line (RFC 3261, Section 7.3.1): a receiver that does not know folding
// would look for the end of the message elsewhere.
func (e *Edit) unfoldLength() {
	i := e.m.firstLine(FieldContentLength)
	if i < 0 {
		return
	}
	l := e.m.line(i)
	from, to := int(l.nameEnd), int(l.next)-len("\r\n")
	if strings.IndexByte(e.m.raw[from:to], '\n') < 0 {
		return
	}
	for i := 0; i < e.n; i++ {
		if o := e.at(i); o.kind != opInsert && int(o.end) > int(l.start) && int(o.pos) < int(l.next) && int(o.pos) != from {
			return // it is changed or cut
		}
	}
	e.text(from, to, ": "+e.m.value(l))
}

// appendOdd writes a request whose version is in lower case: the last change mends it and stands
// behind the one of the Request-URI, before all others.
func (e *Edit) appendOdd(dst []byte, order []uint16) []byte {
	last := uint16(e.n - 1)
	k := 0
	for k < len(order) && e.less(order[k], last) {
		k++
	}
	return e.appendOps(dst, 0, slices.Insert(slices.Clone(order), k, last))
}

// less orders changes by position, insertions before the rest, and insertions among themselves.
func (e *Edit) less(i, j uint16) bool {
	a, b := e.at(int(i)), e.at(int(j))
	if a.pos != b.pos {
		return a.pos < b.pos
	}
	if (a.kind == opInsert) != (b.kind == opInsert) {
		return a.kind == opInsert
	}
	return a.order < b.order
}

func (e *Edit) appendOps(dst []byte, pos int, order []uint16) []byte {
	m := e.m
	end := m.headerEnd()
	length := m.firstLine(FieldContentLength) >= 0
	for _, i := range order {
		o := e.at(int(i))
		if int(o.pos) < pos {
			continue // inside what an earlier change took away
		}
		dst = m.appendRaw(dst, pos, int(o.pos))
		pos = int(o.end)
		switch o.kind {
		case opText:
			dst = appendText(dst, o.value)
		case opInsert:
			dst = appendLine(dst, o.name, o.value)
			length = length || o.field == FieldContentLength
		case opCut:
			if l := m.firstLine(FieldContentLength); l >= 0 && int(o.pos) == int(m.line(l).start) {
				length = false
			}
		}
	}
	if pos < end {
		dst = m.appendRaw(dst, pos, end)
	}
	if !length {
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(m.raw)-m.body), 10)
		dst = append(dst, "\r\n"...)
	}
	dst = append(dst, "\r\n"...)
	return append(dst, m.raw[m.body:]...)
}

// appendLine appends one header field line.
func appendLine(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = appendText(dst, value)
	return append(dst, "\r\n"...)
}

// appendText appends text for one line: a control character would tear the message, so that it
// becomes a space.
func appendText(dst []byte, s string) []byte {
	n := len(dst)
	dst = append(dst, s...)
	for i := nextControl(s, 0); i < len(s); i = nextControl(s, i+1) {
		dst[n+i] = ' '
	}
	return dst
}
