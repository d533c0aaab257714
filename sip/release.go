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
	m.forget()
	messages.Put(m)
}

// forget clears the Message, so that it neither holds on to the bytes nor lets anybody read them.
func (m *Message) forget() {
	if m.viaState != untouched {
		m.via = Via{}
	}
	if m.fromState != untouched {
		m.from = NameAddr{}
	}
	if m.toState != untouched {
		m.to = NameAddr{}
	}
	if m.cseqState != untouched {
		m.cseq = CSeq{}
	}
	if m.uriState != untouched {
		m.uri = URI{}
	}
	m.facts = facts{free: true}
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
	m.forget()
	m.methodEnd, m.targetEnd, m.body, m.count, m.present = 1, 1, 1, 1, ^uint64(0)
	m.lines[0] = line{start: 1, val: 3, end: 5, nameLen: 1}
	m.first = [numFields]uint8{}
}
