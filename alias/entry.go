package alias

import (
	"encoding/binary"
	"math"
	"time"
	"unicode/utf8"

	"github.com/tandem-sip/tandem/sipaddr"
)

// place is a resolved address as the key of a map, without the pointer that a netip.Addr has.
type place struct {
	high, low uint64
	rest      uint64 // port and transport
}

// placeOf returns the place of an address. An IPv4 address has one, however it was made; one with a zone, which no row
// can have, has a place where none is.
func placeOf(a sipaddr.Resolved) place {
	ip := a.Addr().As16()
	p := place{
		high: binary.BigEndian.Uint64(ip[:8]),
		low:  binary.BigEndian.Uint64(ip[8:]),
		rest: uint64(a.Port())<<8 | uint64(a.Transport),
	}
	if a.Addr().Zone() != "" {
		p.rest |= 1 << 63
	}
	return p
}

// nameRoom is how long the only name of a certificate may be to stand in the entry.
const nameRoom = 30

// entry is a row in the table, in the list of its address. What Find reads comes first and fills one line of the
// processor's cache: in a large table searching is waiting for memory.
type entry struct {
	next     *entry // of the same address
	notAfter int64  // row.NotAfter, Unix nanoseconds; zero: the highest number
	id       ConnID // row.Conn
	name     [nameRoom]byte
	length   uint8  // of name, which is row.Identities; 0: that is not one name which fits
	closing  bool   // as conn.closing
	seq      uint64 // in which order the rows were added

	row Row
}

// set puts a row into e.
func (e *entry) set(row Row) {
	if e.length == 0 || !row.Identities.Equal(e.row.Identities) {
		e.length = 0
		if row.Identities.Len() == 1 {
			if name := row.Identities.Names()[0]; len(name) <= nameRoom {
				e.length = uint8(copy(e.name[:], name))
			}
		}
	}
	e.row, e.id = row, row.Conn
	switch t := row.NotAfter; {
	case t.IsZero(), t.After(time.Unix(0, math.MaxInt64)):
		e.notAfter = math.MaxInt64
	case t.Before(time.Unix(0, math.MinInt64)):
		e.notAfter = math.MinInt64
	default:
		e.notAfter = t.UnixNano()
	}
}

// judge says whether e may carry a request for the domain reference, at a time in Unix nanoseconds.
func (e *entry) judge(reference string, now int64) Reason {
	switch {
	case !e.proves(reference):
		return IdentityMismatch
	case e.closing:
		return Closing
	case now > e.notAfter:
		return Expired
	}
	return Reuse
}

// proves reports whether reference is among the identities: what Contains says of them, from the name in e where that is
// all that there is to compare.
func (e *entry) proves(reference string) bool {
	n := len(reference)
	if e.length == 0 || n == 0 || reference[n-1] == '.' {
		return e.row.Identities.Contains(reference)
	}
	same := n == int(e.length)
	for i := range n {
		c := reference[i]
		switch {
		case c >= utf8.RuneSelf:
			return e.row.Identities.Contains(reference)
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		same = same && c == e.name[i]
	}
	return same
}
