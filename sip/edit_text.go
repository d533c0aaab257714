package sip

import (
	"slices"
	"unsafe"
)

// space returns n bytes for the text of a change.
func (e *Edit) space(o *op, n int) []byte {
	if e.used+n <= len(e.room) {
		from := e.used
		e.used += n
		o.from, o.to = uint32(from), uint32(from+n)
		return e.room[from:e.used]
	}
	from := len(e.spill)
	e.spill = slices.Grow(e.spill, n)[:from+n]
	o.from, o.to = uint32(len(e.room)+from), uint32(len(e.room)+from+n)
	return e.spill[from:]
}

// written returns the text of a change.
func (e *Edit) written(o *op) []byte {
	if o.from < uint32(len(e.room)) {
		return e.room[o.from:o.to]
	}
	return e.spill[o.from-uint32(len(e.room)) : o.to-uint32(len(e.room))]
}

// put writes the text of a change.
func (e *Edit) put(o *op, parts []string) {
	b := e.space(o, size(parts))
	join(b, parts)
	scrub(b)
}

// putLine writes the text of an insertion.
func (e *Edit) putLine(o *op, name string, parts []string) {
	b := e.space(o, len(name)+len(": \r\n")+size(parts))
	i := copy(b, name)
	i += copy(b[i:], ": ")
	i += join(b[i:], parts)
	scrub(b[:i])
	copy(b[i:], "\r\n")
}

func size(parts []string) int {
	n := 0
	for _, s := range parts {
		n += len(s)
	}
	return n
}

func join(b []byte, parts []string) int {
	n := 0
	for _, s := range parts {
		n += copy(b[n:], s)
	}
	return n
}

// scrub makes spaces of control characters, which would tear the message.
func scrub(b []byte) {
	s := unsafe.String(unsafe.SliceData(b), len(b))
	for i := nextControl(s, 0); i < len(b); i = nextControl(s, i+1) {
		b[i] = ' '
	}
}

// named says whether a line that was inserted has the name.
func named(line []byte, name string) bool {
	n := len(name)
	return len(line) > n && line[n] == ':' && equalFold(unsafe.String(unsafe.SliceData(line), n), name)
}
