package sip

import (
	"sync"
	"unsafe"
)

// Messages that were given back. The one that was used last comes first, while the processor still has it at hand. Those
// of ParseBytes have memory for their bytes, which the others would only hold on to.
var (
	messages = sync.Pool{New: func() any { return new(Message) }}
	owners   = sync.Pool{New: func() any { return new(Message) }}
)

const (
	roomStep = 512     // what rooms are multiples of, so that the next message mostly fits
	maxRoom  = 4 << 10 // a room that is larger is left to the garbage collector
)

// Release gives the memory of a Message back, to be used by a later Parse. Calling it is optional: a
// Message that is never released is left to the garbage collector.
//
// It is called once by each who uses the Message: by whoever has parsed it, and once for each [Message.Hold]. The memory is
// given back with the last of them, when nobody else can touch it any more.
// Afterwards nothing of the Message may be used, nor what its accessors pointed into it: the Via of
// TopVia, the NameAddr of From and To, the URI, an Edit, or an iterator. Strings that were taken from
// a Message of Parse stay good, also the fields of what was pointed at when they were copied: they are parts of the
// bytes that were handed to Parse, which are not given back. Those of ParseBytes are, and every string that was taken
// from the Message with them: what is kept of it must be copied before, as by strings.Clone.
//
// A Message that Parse returned together with an error is released like any other; Release of nil does
// nothing. Under the race detector a released Message is not used again, and touching it panics or is
// reported as a race; the bytes of one of ParseBytes are overwritten.
func (m *Message) Release() {
	if m == nil || m.held.Add(-1) >= 0 {
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
	if !m.owner {
		messages.Put(m)
		return
	}
	if cap(m.room) > maxRoom {
		m.room = nil
	}
	owners.Put(m)
}

// Hold says that one more uses the Message, who releases it too. It is called by somebody who may use it already. Hold of nil
// does nothing.
func (m *Message) Hold() {
	if m != nil {
		m.held.Add(1)
	}
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
	m.facts = facts{free: true, owner: m.owner}
}

// newMessage returns an empty Message, if possible one that was released.
func newMessage() *Message {
	m := messages.Get().(*Message)
	m.free = false
	m.held.Store(0)
	return m
}

// newOwner returns an empty Message with a copy of b in memory of its own, if possible in one that was released.
func newOwner(b []byte) (m *Message, raw string) {
	m = owners.Get().(*Message)
	m.free, m.owner = false, true
	m.held.Store(0)
	if cap(m.room) < len(b) {
		m.room = make([]byte, 0, (len(b)+roomStep-1)/roomStep*roomStep)
	}
	m.room = append(m.room[:0], b...)
	return m, unsafe.String(unsafe.SliceData(m.room), len(b))
}

// poison makes all that touches the Message from now on panic: its lines lie outside its bytes, which
// are gone.
func (m *Message) poison() {
	if m.free {
		panic("sip: message is released twice")
	}
	for i := range m.room {
		m.room[i] = '!' // neither a token nor a host
	}
	m.forget()
	m.methodEnd, m.targetEnd, m.body, m.count, m.present = 1, 1, 1, 1, ^uint64(0)
	m.lines[0] = line{start: 1, val: 3, end: 5, nameLen: 1}
	m.first = [numFields]uint8{}
}
