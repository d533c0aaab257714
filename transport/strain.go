package transport

import (
	"sync/atomic"
	"time"
)

// A queue that was never empty for longer than this does not empty by itself: more comes in than can be done. For
// datagrams it is shorter than the 500 ms after which a request is sent again (RFC 3261, Section 17.1.1.1). Streams repeat
// nothing, and their senders have to wait when nobody reads, so that a burst of one of them is no overload yet.
const (
	standingDatagrams = 200 * time.Millisecond
	standingStreams   = time.Second
)

// strain says since when a loop has left something unread at each turn. The zero value says that it has not.
type strain struct{ since atomic.Int64 } // Unix nanoseconds; 0: nothing is left

// turned is told by the loop whether something was left unread.
func (s *strain) turned(left bool) {
	switch since := s.since.Load(); {
	case left && since == 0:
		s.since.Store(time.Now().UnixNano())
	case !left && since != 0:
		s.since.Store(0)
	}
}

// left reports whether something was left unread at the last turn.
func (s *strain) left() bool { return s.since.Load() != 0 }

// stands reports whether something was left unread for longer than d.
func (s *strain) stands(now time.Time, d time.Duration) bool {
	since := s.since.Load()
	return since != 0 && now.UnixNano()-since > int64(d)
}

// Overloaded reports whether more comes in than can be handled: for 200 ms an event loop has not read all datagrams that
// were there, or for 1 s not all that had come over streams. Whoever answers new requests should refuse them as long
// as this lasts, because a refusal costs less than a request (RFC 3261, Section 21.5.4). Without event loops it is false.
func (t *Transport) Overloaded() bool { return t.strained(time.Now()) }
