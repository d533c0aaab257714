package sctp

import (
	"encoding/binary"
	"net/netip"
)

// Parameters of INIT and INIT ACK: RFC 9260, Section 3.3.2.
const (
	paramIPv4         = 5
	paramIPv6         = 6
	paramCookie       = 7
	paramUnrecognized = 8
	paramPreservative = 9
	paramHostName     = 11
	paramAddressTypes = 12
	paramECN          = 0x8000
)

const (
	initSize         = 16   // the fixed part of INIT and INIT ACK
	minWindow        = 1500 // bytes, the least receive window that may be announced
	maxAlternates    = 4    // further addresses of a peer that are remembered
	maxUnrecognized  = 512  // bytes of parameters that are reported back
	maxPeerCookie    = 4096 // bytes of a cookie that is carried back to its maker
	zeroChecksumType = 0x8001
)

// initiation is what one side says of itself in INIT or INIT ACK.
type initiation struct {
	tag        uint32 // verification tag that it wants to see
	window     uint32 // bytes
	streamsOut uint16
	streamsIn  uint16
	tsn        uint32
}

// parameters are what may follow it.
type parameters struct {
	cookie       []byte
	alternates   []netip.Addr // announced addresses, at most maxAlternates
	unrecognized []byte       // to be reported, as parameters
	hostName     bool
}

// append appends the fixed part.
func (i initiation) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, i.tag)
	b = binary.BigEndian.AppendUint32(b, i.window)
	b = binary.BigEndian.AppendUint16(b, i.streamsOut)
	b = binary.BigEndian.AppendUint16(b, i.streamsIn)
	return binary.BigEndian.AppendUint32(b, i.tsn)
}

// readInitiation reads the fixed part of INIT or INIT ACK; false when it is too short.
func readInitiation(value []byte) (initiation, bool) {
	if len(value) < initSize {
		return initiation{}, false
	}
	return initiation{
		tag:        binary.BigEndian.Uint32(value),
		window:     binary.BigEndian.Uint32(value[4:]),
		streamsOut: binary.BigEndian.Uint16(value[8:]),
		streamsIn:  binary.BigEndian.Uint16(value[10:]),
		tsn:        binary.BigEndian.Uint32(value[12:]),
	}, true
}

// valid tells whether an association can be made of it. RFC 9260, Section 3.3.2 asks for streams both ways
// and a least window.
func (i initiation) valid() bool {
	return i.tag != 0 && i.window >= minWindow && i.streamsOut != 0 && i.streamsIn != 0
}

// readParameters reads what follows the fixed part of INIT or INIT ACK. The upper two bits of a type that we
// do not know say whether to go on and whether to report it: RFC 9260, Section 3.2.1.
func readParameters(value []byte) parameters {
	var p parameters
	for rest := value[initSize:]; len(rest) >= 4; {
		kind, length := binary.BigEndian.Uint16(rest), int(binary.BigEndian.Uint16(rest[2:]))
		if length < 4 || length > len(rest) {
			break
		}
		body := rest[4:length]
		switch kind {
		case paramIPv4, paramIPv6:
			if a, ok := netip.AddrFromSlice(body); ok && len(p.alternates) < maxAlternates {
				p.alternates = append(p.alternates, a.Unmap())
			}
		case paramCookie:
			if len(body) <= maxPeerCookie {
				p.cookie = body
			}
		case paramHostName:
			p.hostName = true
		case paramPreservative, paramAddressTypes, paramECN, paramUnrecognized:
		default:
			if kind&0x4000 != 0 && len(p.unrecognized)+length+4 < maxUnrecognized {
				p.unrecognized = appendParameter(p.unrecognized, paramUnrecognized, rest[:length])
			}
			if kind&0x8000 == 0 {
				return p
			}
		}
		rest = rest[min(padded(length), len(rest)):]
	}
	return p
}

// appendParameter appends a parameter and its padding.
func appendParameter(b []byte, kind uint16, value []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(4+len(value)))
	b = append(b, value...)
	return append(b, zeros[:padded(len(value))-len(value)]...)
}

// forEngine is an INIT chunk for the module that transfers data, which is told in this way what was agreed.
// The parameter says that this side takes packets without a checksum: ours is put in when ports are known.
func (i initiation) forEngine() []byte {
	b := i.append([]byte{chunkInit, 0, 0, chunkHeader + initSize + 8})
	return appendParameter(b, zeroChecksumType, []byte{0, 0, 0, 1})
}
