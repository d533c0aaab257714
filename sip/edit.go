package sip

import "strconv"

// Edit is a list of changes to a message: cuts, replacements and insertions that AppendTo writes in
// one pass over the bytes. The zero Edit is of no use; [Message.Edit] makes one. It lives on the
// stack, and up to twelve changes cost no allocation. Texts that are handed in must not hold line
// ends; control characters in them are written as spaces.
//
// Changes speak of the message as it was received, not of what earlier changes inserted, except that
// RemoveFirst and RemoveLast go on where the last one stopped, and Set changes what an earlier Set
// wrote.
type Edit struct {
	m     *Message
	n     int
	ops   [inlineOps]op
	more  []op
	front int // counts down: the place of the next Prepend among insertions at one position
	back  int // counts up: the place of the next insertion behind others
}

const inlineOps = 12

type opKind uint8

const (
	opInsert opKind = iota // a new line "name: value" at pos
	opCut                  // bytes from pos to end go
	opText                 // bytes from pos to end become value
)

type op struct {
	pos, end int32
	order    int32 // among insertions at the same position
	kind     opKind
	set      bool // an insertion made by Set
	field    Field
	name     string
	value    string
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
		if o.kind != opInsert && int(o.pos) >= a && int(o.end) <= b {
			continue
		}
		*e.at(k) = o
		k++
	}
	e.n = k
}

func (e *Edit) cut(a, b int) { e.push(op{pos: int32(a), end: int32(b), kind: opCut}) }

// text replaces the bytes from a to b, also when they were replaced before.
func (e *Edit) text(a, b int, value string) {
	for i := 0; i < e.n; i++ {
		if o := e.at(i); o.kind == opText && int(o.pos) == a && int(o.end) == b {
			o.value = value
			return
		}
	}
	e.push(op{pos: int32(a), end: int32(b), kind: opText, value: value})
}

func (e *Edit) insert(pos int, front bool, f Field, name, value string) *op {
	o := op{pos: int32(pos), end: int32(pos), kind: opInsert, field: f, name: name, value: value}
	if front {
		e.front--
		o.order = int32(e.front)
	} else {
		e.back++
		o.order = int32(e.back)
	}
	e.push(o)
	return e.at(e.n - 1)
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
func (e *Edit) SetRequestURI(uri string) {
	if e.m.status == 0 {
		from := len(e.m.method) + 1
		e.text(from, from+len(e.m.target), uri)
	}
}

// SetStatus replaces the status code and reason phrase of a response. An empty reason stands for the
// usual one.
func (e *Edit) SetStatus(code int, reason string) {
	if e.m.status != 0 {
		if reason == "" {
			reason = ReasonPhrase(code)
		}
		e.text(len("SIP/2.0 "), int(e.m.header)-2, strconv.Itoa(code)+" "+reason)
	}
}

// Prepend inserts a header field line before the first one of its kind; when there is none, right
// behind the Vias. Of two Prepends of the same kind the later stands above.
func (e *Edit) Prepend(f Field, value string) {
	e.insert(e.before(f), true, f, f.String(), value)
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
	for i+1 < e.m.count && e.m.line(i+1).field == FieldVia {
		i++
	}
	return int(e.m.line(i).next)
}

// Append inserts a header field line behind the last one of its kind; when there is none, right
// behind the Vias. Of two Appends of the same kind the later stands below.
func (e *Edit) Append(f Field, value string) {
	pos := -1
	for i := e.m.firstLine(f); i >= 0 && f != FieldOther; i = e.m.nextLine(f, i+1) {
		pos = int(e.m.line(i).next)
	}
	if pos < 0 {
		pos = e.before(f)
	}
	e.insert(pos, false, f, f.String(), value)
}

// Add inserts a header field line at the end of the header section.
func (e *Edit) Add(name, value string) {
	e.insert(e.m.headerEnd(), false, FieldOf(name), name, value)
}

// headerEnd returns where the last header field line ends.
func (m *Message) headerEnd() int {
	if m.count == 0 {
		return int(m.header)
	}
	return int(m.line(m.count - 1).next)
}

// Set replaces the value of the first line of the kind; when there is none, it adds a line at the end
// of the header section.
func (e *Edit) Set(f Field, value string) {
	for i := 0; i < e.n; i++ {
		if o := e.at(i); o.set && o.field == f {
			o.value = value
			return
		}
	}
	for i := e.m.firstLine(f); i >= 0 && f != FieldOther; i = e.m.nextLine(f, i+1) {
		l := e.m.line(i)
		if e.covered(int(l.start), int(l.next)) {
			continue
		}
		e.drop(int(l.val), int(l.end))
		e.text(int(l.val), int(l.end), value)
		return
	}
	e.insert(e.m.headerEnd(), false, f, f.String(), value).set = true
}

// RemoveFirst removes the first value of the kind that is still there: only it, when others stand on
// the same line, else the line. It says whether there was one.
func (e *Edit) RemoveFirst(f Field) bool {
	if f == FieldOther {
		return false
	}
	for i := e.m.firstLine(f); i >= 0; i = e.m.nextLine(f, i+1) {
		l := e.m.line(i)
		if e.covered(int(l.start), int(l.next)) {
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
		if e.covered(int(l.start), int(l.next)) {
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
func (e *Edit) ReplaceValue(f Field, i int, value string) bool {
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
		if o.kind == opInsert && o.field == f && (f != FieldOther || equalFold(o.name, name)) {
			continue
		}
		*e.at(k) = o
		k++
	}
	e.n = k
}

func (e *Edit) cutLine(l *line) {
	e.drop(int(l.start), int(l.next))
	e.cut(int(l.start), int(l.next))
}
