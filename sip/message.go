package sip

import (
	"iter"
	"sync/atomic"
)

// Methods of requests. Method names are compared with regard to case (RFC 3261, Section 7.1).
const (
	MethodInvite    = "INVITE"
	MethodAck       = "ACK"
	MethodBye       = "BYE"
	MethodCancel    = "CANCEL"
	MethodOptions   = "OPTIONS"
	MethodRegister  = "REGISTER"
	MethodPrack     = "PRACK"     // RFC 3262, Section 3
	MethodUpdate    = "UPDATE"    // RFC 3311, Section 5
	MethodMessage   = "MESSAGE"   // RFC 3428, Section 2
	MethodRefer     = "REFER"     // RFC 3515, Section 2
	MethodSubscribe = "SUBSCRIBE" // RFC 6665, Section 3
	MethodNotify    = "NOTIFY"    // RFC 6665, Section 3
	MethodPublish   = "PUBLISH"   // RFC 3903, Section 4
	MethodInfo      = "INFO"      // RFC 6086, Section 4
)

// line says where one header field line stands in the message. Offsets fit in 16 bits because
// MaxStartLine and MaxHeader together do.
type line struct {
	start   uint16 // first byte of the name
	val     uint16 // first byte of the value, behind white space and folding
	end     uint16 // behind the value, before trailing white space
	field   Field
	nameLen uint8 // length of the name, longName when it does not fit
}

const (
	inlineLines = 32
	longName    = 255
	lateLine    = 255 // in Message.first: the line is this one or stands below it
)

// Message is one SIP request or response: its bytes and an index of them. The bytes never change;
// what is to be sent differently is asked for with [Message.Edit].
//
// The accessors parse on first touch and keep the result. A Message may be read by many goroutines
// at once after its reader has touched TopVia, From, To, CSeq and URI; Validate touches them all.
// The Message must not be copied. Its memory can be given back with [Message.Release].
type Message struct {
	facts

	// first and lines are written before they are read, and are never cleared: first is good for the
	// kinds in present, lines up to count.
	first [numFields]uint8 // the number of the first line of each kind
	held  atomic.Int32     // how many have to release the Message beside the one who parsed it
	lines [inlineLines]line

	// Owned by the goroutine that read the message, until it has touched them. Each is empty while its
	// state is untouched.
	via      Via
	from, to NameAddr
	cseq     CSeq
	uri      URI
	routes   [keptRoutes]routePlace // of the values of Route that Validate has read first

	room []byte // memory for the bytes of an owner, which goes with it from one use to the next
}

// facts is what is cleared between two uses of a Message.
type facts struct {
	raw      string
	more     []line // the lines behind the inline ones
	present  uint64 // a bit for each kind of which there is a line
	repeated uint64 // a bit for each kind that has more than one line
	body     int    // start of the body

	count       uint16 // header field lines
	routeCount  uint16 // values of Route that Validate has seen
	header      uint16 // start of the header section
	methodEnd   uint16 // 0 in a response
	targetStart uint16 // where the Request-URI stands
	targetEnd   uint16 //
	reason      uint16 // start of the Reason-Phrase, which ends before the header section
	status      int16  // 0 in a request
	odd         bool   // the SIP-Version is not in upper case
	free        bool   // it was released
	valid       bool   // Validate has found nothing wrong
	owner       bool   // it is of ParseBytes; stays from one use to the next

	viaState, fromState, toState, cseqState, uriState parseState
	viaStart, viaEnd                                  uint16 // where via stands
}

type parseState uint8

const (
	untouched parseState = iota
	parsed
	broken
)

// Raw returns the bytes of the message as received, cut at the end of the body.
func (m *Message) Raw() string { return m.raw }

// IsRequest says whether the message is a request.
func (m *Message) IsRequest() bool { return m.status == 0 }

// Method returns the method of a request, or for a response the method in its CSeq. It is empty when
// the message has neither.
func (m *Message) Method() string {
	if m.status == 0 {
		return m.raw[:m.methodEnd]
	}
	c, err := m.CSeq()
	if err != nil {
		return ""
	}
	return c.Method
}

// RequestURI returns the Request-URI as written; empty in a response.
func (m *Message) RequestURI() string { return m.raw[m.targetStart:m.targetEnd] }

// StatusCode returns the Status-Code of a response, 0 for a request.
func (m *Message) StatusCode() int { return int(m.status) }

// Reason returns the Reason-Phrase of a response as written; it may be empty.
func (m *Message) Reason() string {
	if m.status == 0 {
		return ""
	}
	return m.raw[m.reason : m.header-uint16(len("\r\n"))]
}

// Body returns the message body, which may hold any bytes.
func (m *Message) Body() string { return m.raw[m.body:] }

// CallID returns the Call-ID, or an empty string when there is none.
func (m *Message) CallID() string {
	v, _ := m.Value(FieldCallID)
	return v
}

func (m *Message) line(i int) *line {
	if i < inlineLines {
		return &m.lines[i]
	}
	return &m.more[i-inlineLines]
}

// nextLine returns the number of the first line of the kind from i on, or -1, where i is behind the
// first one.
func (m *Message) nextLine(f Field, i int) int {
	if m.repeated&(1<<f) == 0 {
		return -1
	}
	for inline := min(int(m.count), inlineLines); i < inline; i++ {
		if m.lines[i].field == f {
			return i
		}
	}
	for ; i < int(m.count); i++ {
		if m.more[i-inlineLines].field == f {
			return i
		}
	}
	return -1
}

// firstLine returns the number of the first line of the kind, or -1.
func (m *Message) firstLine(f Field) int {
	if m.present&(1<<f) == 0 {
		return -1
	}
	i := int(m.first[f])
	if i == lateLine {
		for m.line(i).field != f {
			i++
		}
	}
	return i
}

// nameEnd returns the position behind the name of a line.
func (m *Message) nameEnd(l *line) int {
	i := int(l.start) + int(l.nameLen)
	if l.nameLen == longName {
		for is(m.raw[i], charToken) {
			i++
		}
	}
	return i
}

// next returns the position behind the line end: behind the value stands nothing but white space.
func (m *Message) next(l *line) int {
	s, i := m.raw, int(l.end)
	for {
		for s[i] != '\n' {
			i++
		}
		if i++; i == len(s) || s[i] != ' ' && s[i] != '\t' {
			return i
		}
	}
}

func (m *Message) value(l *line) string { return m.raw[l.val:l.end] }
func (m *Message) name(l *line) string  { return m.raw[l.start:m.nameEnd(l)] }

// Count returns how many header field lines of the kind there are, not counting commas.
func (m *Message) Count(f Field) int {
	n := 0
	for i := m.firstLine(f); i >= 0; i = m.nextLine(f, i+1) {
		n++
	}
	return n
}

// Value returns the value of the first line of the kind: trimmed, with folding left in, and all
// values of a comma-separated list. It does not find FieldOther.
func (m *Message) Value(f Field) (string, bool) {
	i := m.firstLine(f)
	if i < 0 || f == FieldOther {
		return "", false
	}
	return m.value(m.line(i)), true
}

// Header returns the value of the first line with that name in any case, or with its compact form.
func (m *Message) Header(name string) (string, bool) {
	if f := FieldOf(name); f != FieldOther {
		return m.Value(f)
	}
	for i := m.firstLine(FieldOther); i >= 0; i = m.nextLine(FieldOther, i+1) {
		if l := m.line(i); equalFold(m.name(l), name) {
			return m.value(l), true
		}
	}
	return "", false
}

// Lines yields every header field line from the top down: the name as written and the value,
// trimmed, with folding left in.
func (m *Message) Lines() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i := 0; i < int(m.count); i++ {
			if l := m.line(i); !yield(m.name(l), m.value(l)) {
				return
			}
		}
	}
}

// Values yields every comma-separated value of the kind over all its lines, from the top down.
// Commas inside quoted strings, angle brackets and comments do not separate. Empty values are left
// out.
func (m *Message) Values(f Field) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := m.firstLine(f); i >= 0; i = m.nextLine(f, i+1) {
			list := m.list(m.line(i))
			for list.next() {
				if !yield(m.raw[list.start:list.end]) {
					return
				}
			}
		}
	}
}

// FirstValue returns the topmost comma-separated value of the kind.
func (m *Message) FirstValue(f Field) (string, bool) {
	for i := m.firstLine(f); i >= 0; i = m.nextLine(f, i+1) {
		list := m.list(m.line(i))
		if list.next() {
			return m.raw[list.start:list.end], true
		}
	}
	return "", false
}
