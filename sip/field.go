package sip

import (
	"encoding/binary"
	"math/bits"
)

// Field is a kind of header field that this room knows by number. Everything else is FieldOther and
// is found by name.
type Field uint8

// The header fields that are indexed, from RFC 3261, Section 20 and the extensions that have a
// compact form or matter to a proxy.
const (
	FieldOther Field = iota
	FieldVia
	FieldFrom
	FieldTo
	FieldCallID
	FieldCSeq
	FieldContact
	FieldRoute
	FieldRecordRoute
	FieldMaxForwards
	FieldContentLength
	FieldContentType
	FieldExpires
	FieldRequire
	FieldProxyRequire
	FieldSupported
	FieldUnsupported
	FieldAuthorization
	FieldProxyAuthorization
	FieldMaxBreadth         // RFC 5393, Section 5.3.3
	FieldPath               // RFC 3327, Section 4
	FieldRetryAfter         //
	FieldDate               //
	FieldTimestamp          //
	FieldWarning            //
	FieldReason             // RFC 3326, Section 2
	FieldContentEncoding    // compact form e
	FieldSubject            // compact form s
	FieldReferTo            // compact form r
	FieldReferredBy         // compact form b
	FieldEvent              // compact form o
	FieldAllowEvents        // compact form u
	FieldAcceptContact      // compact form a
	FieldRejectContact      // compact form j
	FieldRequestDisposition // compact form d
	FieldSessionExpires     // compact form x
	FieldIdentity           // compact form y
	FieldIdentityInfo       // compact form n
	FieldServer             //
	FieldUserAgent          //
	FieldAllow              //
	numFields
)

// There is a bit for each field in a uint64.
var _ [64 - numFields]struct{}

var fieldNames = [numFields]string{
	"", "Via", "From", "To", "Call-ID", "CSeq", "Contact", "Route", "Record-Route", "Max-Forwards",
	"Content-Length", "Content-Type", "Expires", "Require", "Proxy-Require", "Supported",
	"Unsupported", "Authorization", "Proxy-Authorization", "Max-Breadth", "Path", "Retry-After",
	"Date", "Timestamp", "Warning", "Reason", "Content-Encoding", "Subject", "Refer-To",
	"Referred-By", "Event", "Allow-Events", "Accept-Contact", "Reject-Contact",
	"Request-Disposition", "Session-Expires", "Identity", "Identity-Info", "Server", "User-Agent",
	"Allow",
}

// The compact forms of RFC 3261, Section 7.3.3 and of the extensions, by letter.
var compactFields = ['z' - 'a' + 1]Field{
	0:         FieldAcceptContact,
	'b' - 'a': FieldReferredBy,
	'c' - 'a': FieldContentType,
	'd' - 'a': FieldRequestDisposition,
	'e' - 'a': FieldContentEncoding,
	'f' - 'a': FieldFrom,
	'i' - 'a': FieldCallID,
	'j' - 'a': FieldRejectContact,
	'k' - 'a': FieldSupported,
	'l' - 'a': FieldContentLength,
	'm' - 'a': FieldContact,
	'n' - 'a': FieldIdentityInfo,
	'o' - 'a': FieldEvent,
	'r' - 'a': FieldReferTo,
	's' - 'a': FieldSubject,
	't' - 'a': FieldTo,
	'u' - 'a': FieldAllowEvents,
	'v' - 'a': FieldVia,
	'x' - 'a': FieldSessionExpires,
	'y' - 'a': FieldIdentity,
}

// fieldKey is a header field name of up to 24 characters in lower case, eight to a word.
type fieldKey [3]uint64

// slot is the place of a name in fieldTable. The multiplier was searched for: no two long names meet.
func (k *fieldKey) slot(n int) uint64 {
	return (k[0] + uint64(n)<<56) * 0x493d94d5815b86a5 >> 58
}

// fieldTable holds the long names. One entry is half a cache line, and one look is enough.
var fieldTable = makeFieldTable()

type fieldEntry struct {
	key   fieldKey
	n     int32 // length of the name
	field Field
}

func makeFieldTable() (t [64]fieldEntry) {
	for f := FieldVia; f < numFields; f++ {
		name := fieldNames[f]
		var k fieldKey
		for i := 0; i < len(name); i++ {
			k[i>>3] |= uint64(lower(name[i])) << (i & 7 << 3)
		}
		e := &t[k.slot(len(name))]
		if e.field != FieldOther {
			panic("sip: two field names in one place")
		}
		*e = fieldEntry{k, int32(len(name)), f}
	}
	return t
}

// find returns the field of a name of n bytes, at least two.
func (k *fieldKey) find(n int) Field {
	if e := &fieldTable[k.slot(n)]; e.key == *k && int(e.n) == n {
		return e.field
	}
	return FieldOther
}

// lowerWord turns the capital letters among eight bytes into small ones. It also changes other bytes that are no
// letters, but makes none a letter or a hyphen that is neither.
func lowerWord(w uint64) uint64 { return w | w&(0x40*ones)>>1 }

// fieldAt recognises the name of a header field line: b begins with the name of the field and a colon behind it.
// n is the length of the name; 0 when it is not one of the known names, or when white space follows it.
func fieldAt(b []byte) (f Field, n int) {
	var k fieldKey
	for i := range k {
		if len(b) < i*8+8 {
			return FieldOther, 0
		}
		w := binary.LittleEndian.Uint64(b[i*8:])
		d := w ^ ':'*ones
		if d = (d - ones) &^ d & highs; d == 0 {
			k[i] = lowerWord(w)
			continue
		}
		at := bits.TrailingZeros64(d) >> 3
		n = i*8 + at
		k[i] = lowerWord(w) & (1<<(at<<3) - 1)
		break
	}
	if n > 1 {
		f = k.find(n)
	} else if c := lower(b[0]) - 'a'; n == 1 && int(c) < len(compactFields) {
		f = compactFields[c]
	}
	if f == FieldOther {
		return f, 0
	}
	return f, n
}

// FieldOf returns the field of a header field name in any case, long or compact; FieldOther when it
// is none of the known ones.
func FieldOf(name string) Field {
	var b [32]byte
	if len(name) >= 24 {
		return FieldOther
	}
	b[copy(b[:], name)] = ':'
	if f, n := fieldAt(b[:]); n == len(name) {
		return f
	}
	return FieldOther
}

// String returns the long name of the field, as RFC 3261 spells it; empty for FieldOther.
func (f Field) String() string {
	if f < numFields {
		return fieldNames[f]
	}
	return ""
}

// hasComments says whether the value may hold comments in parentheses (RFC 3261, Section 25.1). In
// all other fields a parenthesis is an ordinary character.
func (f Field) hasComments() bool {
	return f == FieldServer || f == FieldUserAgent || f == FieldRetryAfter
}
