package transport

import (
	"runtime"
	"sync/atomic"
	_ "unsafe" // for go:linkname
)

// seats says on which of Go's processors a loop has its turn, so that what is sent meanwhile goes out by that loop's
// batch and that loop's socket, and no lock is shared by all of them. It is empty when there are no several loops.
//
// It is a hint: the scheduler may move a loop to another processor in the midst of its turn. What is sent there then goes
// out at once, or at the end of another loop's turn, and so does no harm.
type seats []seat

// seat is what happens on one of Go's processors. It has a line of the processor's cache to itself.
type seat struct {
	loop atomic.Pointer[loop]
	_    [56]byte
}

func newSeats(loops int) seats {
	if loops < 2 {
		return nil
	}
	return make(seats, max(runtime.NumCPU(), runtime.GOMAXPROCS(0)))
}

// procPin returns which of Go's processors this is, and procUnpin ends what it has begun. The runtime keeps their names and
// signatures for those who link to them.
//
//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()

// find returns where it is noted what happens here, nil when there is no such place.
func (t seats) find() *seat {
	if len(t) == 0 {
		return nil
	}
	p := procPin()
	procUnpin()
	if p >= len(t) {
		return nil // there are more than at the start
	}
	return &t[p]
}

// here returns the loop whose turn it is, nil when it is none's.
func (t seats) here() *loop {
	if p := t.find(); p != nil {
		return p.loop.Load()
	}
	return nil
}

// begin notes that the turn of the loop begins here, and end that it has ended.
func (l *loop) begin() {
	if l.seat = l.t.seats.find(); l.seat != nil {
		l.seat.loop.Store(l)
	}
}

func (l *loop) end() {
	if l.seat != nil {
		l.seat.loop.CompareAndSwap(l, nil)
	}
}

// gathers reports whether f is written at the end of the turn of the loop that is at work. It is not when none is.
func (t *Transport) gathers(f flusher) bool {
	if len(t.seats) == 0 {
		return t.batch.gathers(f)
	}
	l := t.seats.here()
	return l != nil && l.batch.gathers(f)
}
