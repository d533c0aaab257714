package sip

import (
	"strconv"
	"unsafe"
)

// Edit is a list of changes to a message: cuts, replacements and insertions that AppendTo writes in
// one pass over the bytes. The zero Edit is of no use; [Message.Edit] makes one. It lives on the
// stack, and up to twelve changes with 512 bytes of text cost no allocation. A text may come in
// parts, which are put together; none is kept. Texts must not hold line ends; control characters in
// them are written as spaces.
//
// Changes speak of the message as it was received, not of what earlier changes inserted, except that
// RemoveFirst and RemoveLast go on where the last one stopped, and Set changes what an earlier Set
// wrote.
type Edit struct {
	m     *Message
	n     int
	used  int // bytes of room
	more  []op
	spill []byte // texts that found no place in room
	ops   [inlineOps]op
	room  [512]byte // the texts of the changes; of an insertion the whole line
}

const inlineOps = 12

type opKind uint8

const (
	opFront opKind = iota // a new line at pos, above other new ones there
	opBack                // a new line at pos, below other new ones there
	opSet                 // the same, made by Set
	opCut                 // bytes from pos to end go
	opText                // bytes from pos to end become the text
)

func (k opKind) inserts() bool { return k <= opSet }

type op struct {
	pos, end uint16
	kind     opKind
	field    Field
	from, to uint32 // the text, in room and behind it in spill
}

// Edit begins a list of changes.
func (m *Message) Edit() Edit { return Edit{m: m} }

func (e *Edit) at(i int) *op {
	if i < inlineOps {
		return &e.ops[i]
	}
	return &e.more[i-inlineOps]
}

func (e *Edit) push(o op) {
	if e.n < inlineOps {
		e.ops[e.n] = o
	} else {
		e.more = append(e.more[:e.n-inlineOps], o)
	}
	e.n++
}

// drop removes the changes of one kind of bytes from a to b, insertions apart.
func (e *Edit) drop(a, b int) {
	k := 0
	for i := 0; i < e.n; i++ {
		o := *e.at(i)
		if !o.kind.inserts() && int(o.pos) >= a && int(o.end) <= b {
			continue
		}
		*e.at(k) = o
		k++
	}
	e.n = k
}

func (e *Edit) cut(a, b int) { e.push(op{pos: uint16(a), end: uint16(b), kind: opCut}) }

// text replaces the bytes from a to b, also when they were replaced before.
func (e *Edit) text(a, b int, parts []string) {
	for i := 0; i < e.n; i++ {
		if o := e.at(i); o.kind == opText && int(o.pos) == a && int(o.end) == b {
			e.put(o, parts)
			return
		}
	}
	o := op{pos: uint16(a), end: uint16(b), kind: opText}
	e.put(&o, parts)
	e.push(o)
}

func (e *Edit) insert(pos int, kind opKind, f Field, name string, parts []string) {
	o := op{pos: uint16(pos), end: uint16(pos), kind: kind, field: f}
	e.putLine(&o, name, parts)
	e.push(o)
}

// covered says whether the bytes from a to b are cut.
func (e *Edit) covered(a, b int) bool {
	for i := 0; i < e.n; i++ {
		if o := e.at(i); o.kind == opCut && int(o.pos) <= a && b <= int(o.end) {
			return true
		}
	}
	return false
}

// SetRequestURI replaces the Request-URI of a request.
func (e *Edit) SetRequestURI(uri ...string) {
	if e.m.status == 0 {
		e.text(int(e.m.targetStart), int(e.m.targetEnd), uri)
	}
}

// SetStatus replaces the status code and reason phrase of a response. An empty reason stands for the
// usual one.
func (e *Edit) SetStatus(code int, reason string) {
	if e.m.status != 0 {
		if reason == "" {
			reason = ReasonPhrase(code)
		}
		e.text(len("SIP/2.0 "), int(e.m.header)-2, []string{strconv.Itoa(code), " ", reason})
	}
}

// Prepend inserts a header field line before the first one of its kind; when there is none, right
// behind the Vias. Of two Prepends of the same kind the later stands above.
func (e *Edit) Prepend(f Field, value ...string) {
	e.insert(e.before(f), opFront, f, f.String(), value)
}

// PrependBytes is Prepend for a value that is not a string. It keeps nothing of value.
func (e *Edit) PrependBytes(f Field, value []byte) {
	part := [1]string{unsafe.String(unsafe.SliceData(value), len(value))}
	e.insert(e.before(f), opFront, f, f.String(), part[:])
}

// before returns where a new first line of the kind goes.
func (e *Edit) before(f Field) int {
	if i := e.m.firstLine(f); i >= 0 && f != FieldOther {
		return int(e.m.line(i).start)
	}
	i := e.m.firstLine(FieldVia)
	if i < 0 || f == FieldVia {
		return int(e.m.header)
	}
	for i+1 < int(e.m.count) && e.m.line(i+1).field == FieldVia {
		i++
	}
	return e.m.next(e.m.line(i))
}

// Append inserts a header field line behind the last one of its kind; when there is none, right
// behind the Vias. Of two Appends of the same kind the later stands below.
func (e *Edit) Append(f Field, value ...string) {
	pos := -1
	for i := e.m.firstLine(f); i >= 0 && f != FieldOther; i = e.m.nextLine(f, i+1) {
		pos = e.m.next(e.m.line(i))
	}
	if pos < 0 {
		pos = e.before(f)
	}
	e.insert(pos, opBack, f, f.String(), value)
}

// Add inserts a header field line at the end of the header section.
func (e *Edit) Add(name string, value ...string) {
	e.insert(e.m.headerEnd(), opBack, FieldOf(name), name, value)
}

// headerEnd returns where the last header field line ends.
func (m *Message) headerEnd() int {
	if m.count == 0 {
		return int(m.header)
	}
	return m.next(m.line(int(m.count) - 1))
}

// Set replaces the value of the first line of the kind; when there is none, it adds a line at the end
// of the header section.
func (e *Edit) Set(f Field, value ...string) {
	for i := 0; i < e.n; i++ {
		if o := e.at(i); o.kind == opSet && o.field == f {
			e.putLine(o, f.String(), value)
			return
		}
	}
	for i := e.m.firstLine(f); i >= 0 && f != FieldOther; i = e.m.nextLine(f, i+1) {
		l := e.m.line(i)
		if e.covered(int(l.start), e.m.next(l)) {
			continue
		}
		e.drop(int(l.val), int(l.end))
		e.text(int(l.val), int(l.end), value)
		return
	}
	e.insert(e.m.headerEnd(), opSet, f, f.String(), value)
}

// SetInt is Set with a number for a value.
func (e *Edit) SetInt(f Field, value int) {
	var room [20]byte
	b := strconv.AppendInt(room[:0], int64(value), 10)
	part := [1]string{unsafe.String(unsafe.SliceData(b), len(b))}
	e.Set(f, part[:]...)
}

// RemoveFirst removes the first value of the kind that is still there: only it, when others stand on
// the same line, else the line. It says whether there was one.
func (e *Edit) RemoveFirst(f Field) bool {
	if f == FieldOther {
		return false
	}
	for i := e.m.firstLine(f); i >= 0; i = e.m.nextLine(f, i+1) {
		l := e.m.line(i)
		if e.covered(int(l.start), e.m.next(l)) {
			continue
		}
		first, next := -1, -1
		firstEnd := 0
		for list := e.m.list(l); list.next(); {
			if e.covered(list.start, list.end) {
				continue
			}
			if first >= 0 {
				next = list.start
				break
			}
			first, firstEnd = list.start, list.end
		}
		if first < 0 {
			continue
		}
		if next < 0 {
			e.cutLine(l)
		} else {
			e.drop(first, firstEnd)
			e.cut(first, next)
		}
		return true
	}
	return false
}

// RemoveLast removes the last value of the kind that is still there: only it, when others stand on
// the same line, else the line. It says whether there was one.
func (e *Edit) RemoveLast(f Field) bool {
	if f == FieldOther {
		return false
	}
	found := -1
	var start, end, before int // the last value, and the end of the one before it on its line
	for i := e.m.firstLine(f); i >= 0; i = e.m.nextLine(f, i+1) {
		l := e.m.line(i)
		if e.covered(int(l.start), e.m.next(l)) {
			continue
		}
		for list := e.m.list(l); list.next(); {
			if e.covered(list.start, list.end) {
				continue
			}
			if found == i {
				before = end
			} else {
				found, before = i, -1
			}
			start, end = list.start, list.end
		}
	}
	if found < 0 {
		return false
	}
	if before < 0 {
		e.cutLine(e.m.line(found))
	} else {
		e.drop(start, end)
		e.cut(before, end)
	}
	return true
}

// ReplaceValue replaces the i-th comma-separated value of the kind over all lines, counted from 0 in
// the message as received. It says whether there is one that was not removed.
func (e *Edit) ReplaceValue(f Field, i int, value ...string) bool {
	if f == FieldOther {
		return false
	}
	for n := e.m.firstLine(f); n >= 0; n = e.m.nextLine(f, n+1) {
		for list := e.m.list(e.m.line(n)); list.next(); i-- {
			if i > 0 {
				continue
			}
			if i < 0 || e.covered(list.start, list.end) {
				return false
			}
			e.text(list.start, list.end, value)
			return true
		}
	}
	return false
}

// RemoveAll removes every line with that name, in any case, long or compact, and those that earlier
// changes inserted.
func (e *Edit) RemoveAll(name string) {
	f := FieldOf(name)
	for i := e.m.firstLine(f); i >= 0; i = e.m.nextLine(f, i+1) {
		l := e.m.line(i)
		if f != FieldOther || equalFold(e.m.name(l), name) {
			e.cutLine(l)
		}
	}
	k := 0
	for i := 0; i < e.n; i++ {
		o := *e.at(i)
		if o.kind.inserts() && o.field == f && (f != FieldOther || named(e.written(&o), name)) {
			continue
		}
		*e.at(k) = o
		k++
	}
	e.n = k
}

func (e *Edit) cutLine(l *line) {
	e.drop(int(l.start), e.m.next(l))
	e.cut(int(l.start), e.m.next(l))
}
