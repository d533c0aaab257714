package sctp

import (
	"errors"
	"sync/atomic"
)

// Stats has the figures of one Provider. Those about packets are userland's only.
type Stats struct {
	Associations int    // established now
	Dialing      int    // of this side's handshakes, those under way; the peers' need nothing to be kept
	Dialed       uint64 // established since the start, by this side
	Accepted     uint64 // established since the start, by peers

	Lost       uint64 // ended because the peer was silent
	Aborted    uint64 // ended by an ABORT of the peer
	Restarted  uint64 // ended because the peer began anew
	Violations uint64 // ended because of what the peer sent

	Malformed     uint64 // packets that are none, or whose checksum is wrong
	WrongTag      uint64 // packets without the verification tag of the association that they claim to belong to
	OutOfTheBlue  uint64 // packets of no association: RFC 9260, Section 8.4
	Inits         uint64 // wishes for an association that were answered with a cookie
	BadCookies    uint64 // cookies that are not ours, or too old
	Refused       uint64 // associations turned away: MaxAssociations, Backlog
	QueueFull     uint64 // packets dropped because an association did not keep up; the peer sends them again
	OtherAddress  uint64 // packets from an address of the peer that is not its first
	UnknownChunks uint64
	WriteErrors   uint64 // packets that the operating system did not send
}

// counters are what Stats is made of.
type counters struct {
	dialing                                                  atomic.Int64
	dialed, accepted, lost, aborted, restarted, violations   atomic.Uint64
	malformed, wrongTag, outOfTheBlue, inits, badCookies     atomic.Uint64
	refused, queueFull, otherAddress, unknown, writeFailures atomic.Uint64
}

// countEnd counts how an association ended.
func (c *counters) countEnd(err error) {
	switch {
	case errors.Is(err, ErrLost):
		c.lost.Add(1)
	case errors.Is(err, ErrAborted):
		c.aborted.Add(1)
	case errors.Is(err, ErrRestarted):
		c.restarted.Add(1)
	case errors.Is(err, ErrViolation):
		c.violations.Add(1)
	}
}

// stats reads the counters.
func (c *counters) stats(associations int) Stats {
	return Stats{
		Associations: associations, Dialing: int(c.dialing.Load()), Dialed: c.dialed.Load(), Accepted: c.accepted.Load(),
		Lost: c.lost.Load(), Aborted: c.aborted.Load(), Restarted: c.restarted.Load(), Violations: c.violations.Load(),
		Malformed: c.malformed.Load(), WrongTag: c.wrongTag.Load(), OutOfTheBlue: c.outOfTheBlue.Load(),
		Inits: c.inits.Load(), BadCookies: c.badCookies.Load(), Refused: c.refused.Load(), QueueFull: c.queueFull.Load(),
		OtherAddress: c.otherAddress.Load(), UnknownChunks: c.unknown.Load(), WriteErrors: c.writeFailures.Load(),
	}
}
