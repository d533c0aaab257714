package transaction

import "sync"

// What a transaction at work keeps to send again is in memory that goes from one to the next. It belongs to
// the transaction, whose lock must be held to look at it: what is sent without the lock is a copy.

const (
	smallHold = 1 << 10
	largeHold = 2 << 10
)

var (
	smallHolds = sync.Pool{New: func() any { return new([smallHold]byte) }}
	largeHolds = sync.Pool{New: func() any { return new([largeHold]byte) }}
)

// hold returns a copy of b that letGo takes.
func hold(b []byte) []byte {
	switch n := len(b); {
	case n <= smallHold:
		return append(smallHolds.Get().(*[smallHold]byte)[:0], b...)
	case n <= largeHold:
		return append(largeHolds.Get().(*[largeHold]byte)[:0], b...)
	default:
		return append(make([]byte, 0, n), b...)
	}
}

// letGo takes what hold returned, or nil.
func letGo(b []byte) {
	switch cap(b) {
	case smallHold:
		smallHolds.Put((*[smallHold]byte)(b[:smallHold]))
	case largeHold:
		largeHolds.Put((*[largeHold]byte)(b[:largeHold]))
	}
}
