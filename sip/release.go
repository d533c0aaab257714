package sip

import "sync"

// messages holds Messages that were given back. The one that was used last comes first, while the
// processor still has it at hand.
var messages = sync.Pool{New: func() any { return new(Message) }}

// Release gives the memory of a Message back, to be used by a later Parse. Calling it is optional: a
// Message that is never released is left to the garbage collector.
//
// It is called once, by the last one to use the Message, when nobody else can touch it any more.
// Afterwards nothing of the Message may be used, nor what its accessors pointed into it: the Via of
// TopVia, the NameAddr of From and To, the URI, an Edit, or an iterator. Strings that were taken from
// it stay good, also the fields of what was pointed at when they were copied: they are parts of the
// bytes that were handed to Parse, which are not given back.
//
// A Message that Parse returned together with an error is released like any other; Release of nil does
// nothing. Under the race detector a released Message is not used again, and touching it panics or is
// reported as a race.
func (m *Message) Release() {
	if m == nil {
		return
	}
	if poisoning {
		m.poison()
		return
	}
	if m.free {
		return // two Parses would get the same memory
	}
	*m = Message{free: true} // neither holds on to the bytes nor lets anybody read them
	messages.Put(m)
}

// newMessage returns an empty Message, if possible one that was released.
func newMessage() *Message {
	m := messages.Get().(*Message)
	m.free = false
	return m
}

// poison makes all that touches the Message from now on panic: its lines lie outside its bytes, which
// are gone.
func (m *Message) poison() {
	if m.free {
		panic("sip: message is released twice")
	}
	*m = Message{
		free: true, method: "released", target: "released", reason: "released", body: 1, count: 1,
		lines: [inlineLines]line{{start: 1, nameEnd: 2, val: 3, end: 5, next: 7}},
	}
	for f := range m.first {
		m.first[f] = 1
	}
}
