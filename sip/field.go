package sip

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

// fieldSlots is a perfect enough hash of the long names: by length and first letter there are few
// candidates, kept in chains of at most three.
var fieldSlots = makeFieldSlots()

func fieldSlot(name string) int {
	return (len(name)*7 + int(name[0]|0x20)*3 + int(name[len(name)-1]|0x20)) & 127
}

func makeFieldSlots() (t [128][3]Field) {
	for f := FieldVia; f < numFields; f++ {
		slot := &t[fieldSlot(fieldNames[f])]
		placed := false
		for i := range slot {
			if slot[i] == FieldOther {
				slot[i], placed = f, true
				break
			}
		}
		if !placed {
			panic("sip: field table is too small")
		}
	}
	return t
}

// FieldOf returns the field of a header field name in any case, long or compact; FieldOther when it
// is none of the known ones.
func FieldOf(name string) Field {
	if len(name) < 2 {
		if name != "" {
			if c := lower(name[0]) - 'a'; int(c) < len(compactFields) {
				return compactFields[c]
			}
		}
		return FieldOther
	}
	for _, f := range fieldSlots[fieldSlot(name)] {
		if f != FieldOther && equalFold(name, fieldNames[f]) {
			return f
		}
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
