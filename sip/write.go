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
	n, used := e.n, e.used
	if m.odd {
		from := 0
		if m.status == 0 {
			from = int(m.header) - len("SIP/2.0\r\n")
		}
		e.text(from, from+len("SIP/2.0"), []string{"SIP/2.0"})
	}
	var room [16]uint64
	order := room[:0]
	if e.n > len(room) {
		order = make([]uint64, 0, e.n)
	}
	for i := 0; i < e.n; i++ {
		k := len(order)
		key := e.key(i)
		order = append(order, key)
		if e.n > len(room) {
			continue
		}
		for ; k > 0 && key < order[k-1]; k-- {
			order[k] = order[k-1]
		}
		order[k] = key
	}
	if e.n > len(room) {
		slices.Sort(order)
	}
	if cap(dst)-len(dst) < len(m.raw) {
		const added = len("Content-Length: 262144\r\n;received=;rport=65535") + len("2001:db8:1111:2222:3333:4444:5555:6666")
		dst = slices.Grow(dst, len(m.raw)+e.used+len(e.spill)+added)
	}
	dst = e.appendOps(dst, order)
	e.n, e.used = n, used
	return dst
}

// key orders changes by position, insertions before the rest, and insertions among themselves: those
// to the front from the last to the first, the others as they were made. The number of the change
// stands in its last 32 bits, negated in those to the front.
func (e *Edit) key(i int) uint64 {
	o := e.at(i)
	pos := uint64(o.pos) << 48
	switch {
	case o.kind == opFront:
		return pos | uint64(^uint32(i))
	case o.kind.inserts():
		return pos | 1<<32 | uint64(i)
	}
	return pos | 2<<32 | uint64(i)
}

// keyed returns the change that a key was made for.
func (e *Edit) keyed(key uint64) *op {
	if key>>32&3 == 0 {
		return e.at(int(^uint32(key)))
	}
	return e.at(int(uint32(key)))
}

// unfoldLength brings Content-Length onto one line (RFC 3261, Section 7.3.1): a receiver that does not know folding
// would look for the end of the message elsewhere.
func (e *Edit) unfoldLength() {
	i := e.m.firstLine(FieldContentLength)
	if i < 0 {
		return
	}
	l := e.m.line(i)
	from, to := e.m.nameEnd(l), e.m.next(l)-len("\r\n")
	if strings.IndexByte(e.m.raw[from:to], '\n') < 0 {
		return
	}
	for i := 0; i < e.n; i++ {
		if o := e.at(i); !o.kind.inserts() && int(o.end) > int(l.start) && int(o.pos) < e.m.next(l) && int(o.pos) != from {
			return // it is changed or cut
		}
	}
	e.text(from, to, []string{": ", e.m.value(l)})
}

func (e *Edit) appendOps(dst []byte, order []uint64) []byte {
	m, pos := e.m, 0
	end := m.headerEnd()
	lengthAt := -1
	if i := m.firstLine(FieldContentLength); i >= 0 {
		lengthAt = int(m.line(i).start)
	}
	length := lengthAt >= 0
	for _, key := range order {
		o := e.keyed(key)
		if int(o.pos) < pos {
			continue // inside what an earlier change took away
		}
		dst = m.appendRaw(dst, pos, int(o.pos))
		pos = int(o.end)
		switch {
		case o.kind == opText:
			dst = append(dst, e.written(o)...)
		case o.kind == opCut:
			length = length && int(o.pos) != lengthAt
		default:
			dst = append(dst, e.written(o)...)
			length = length || o.field == FieldContentLength
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
