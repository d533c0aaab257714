package sctp

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"iter"
)

// Chunk types: RFC 9260, Section 3.2.
const (
	chunkData             = 0
	chunkInit             = 1
	chunkInitAck          = 2
	chunkSack             = 3
	chunkPing             = 4 // HEARTBEAT
	chunkPong             = 5 // HEARTBEAT ACK
	chunkAbort            = 6
	chunkShutdown         = 7
	chunkShutdownAck      = 8
	chunkError            = 9
	chunkCookieEcho       = 10
	chunkCookieAck        = 11
	chunkShutdownComplete = 14
)

// Causes of errors: RFC 9260, Section 3.3.10.
const (
	causeInvalidStream     = 1
	causeStaleCookie       = 3
	causeNoResource        = 4
	causeUnknownChunk      = 6
	causeInvalidParameter  = 7
	causeNoData            = 9
	causeUserAbort         = 12
	causeProtocolViolation = 13
	causeNewPort           = 14 // a restart from another UDP port
)

const (
	headerSize  = 12 // common header: ports, verification tag, checksum
	chunkHeader = 4  // type, flags, length
	dataHeader  = 16 // of a DATA chunk with its chunk header
	flagTag     = 1  // the T bit of ABORT and SHUTDOWN COMPLETE: the tag is the one that the receiver uses
	maxPacket   = 65535
	maxEngine   = 8192 // what the module that transfers data reads at once
)

// errMalformed is why a packet is discarded; it never leaves the room.
var errMalformed = errors.New("malformed packet")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// packet is an SCTP packet: RFC 9260, Section 3. Its methods take one that parse has accepted.
type packet []byte

// parse checks that b is a packet: whole chunks, ports, checksum. It keeps b.
func parse(b []byte) (packet, error) {
	if len(b) < headerSize+chunkHeader || len(b) > maxPacket {
		return nil, errMalformed
	}
	p := packet(b)
	if p.sourcePort() == 0 || p.destinationPort() == 0 {
		return nil, errMalformed
	}
	for at := headerSize; at < len(b); {
		if at+chunkHeader > len(b) {
			return nil, errMalformed
		}
		length := int(binary.BigEndian.Uint16(b[at+2:]))
		if length < chunkHeader || at+padded(length) > len(b) {
			return nil, errMalformed
		}
		at += padded(length)
	}
	if binary.LittleEndian.Uint32(b[8:]) != p.checksum() {
		return nil, errMalformed
	}
	return p, nil
}

func (p packet) sourcePort() uint16      { return binary.BigEndian.Uint16(p) }
func (p packet) destinationPort() uint16 { return binary.BigEndian.Uint16(p[2:]) }
func (p packet) tag() uint32             { return binary.BigEndian.Uint32(p[4:]) }
func (p packet) first() chunk            { return p.at(headerSize) }

// at is the chunk that begins at an offset.
func (p packet) at(offset int) chunk {
	return chunk(p[offset : offset+int(binary.BigEndian.Uint16(p[offset+2:]))])
}

// single tells whether the packet has no chunk but the first.
func (p packet) single() bool { return headerSize+padded(len(p.first())) == len(p) }

// chunks yields the chunks of the packet with their offsets.
func (p packet) chunks() iter.Seq2[int, chunk] {
	return func(yield func(int, chunk) bool) {
		for at := headerSize; at < len(p); {
			c := p.at(at)
			if !yield(at, c) {
				return
			}
			at += padded(len(c))
		}
	}
}

// zeros stands in for the checksum while that is computed.
var zeros [4]byte

// checksum computes the packet's CRC32c: RFC 9260, Appendix A.
func (p packet) checksum() uint32 {
	sum := crc32.Update(0, castagnoli, p[:8])
	sum = crc32.Update(sum, castagnoli, zeros[:])
	return crc32.Update(sum, castagnoli, p[headerSize:])
}

// seal writes ports and checksum.
func (p packet) seal(source, destination uint16) {
	binary.BigEndian.PutUint16(p, source)
	binary.BigEndian.PutUint16(p[2:], destination)
	binary.LittleEndian.PutUint32(p[8:], p.checksum())
}

// chunk is one chunk of a packet with its header, without the padding behind it.
type chunk []byte

func (c chunk) kind() byte    { return c[0] }
func (c chunk) flags() byte   { return c[1] }
func (c chunk) value() []byte { return c[chunkHeader:] }

// padded is a length with the padding behind it, to a multiple of four.
func padded(length int) int { return (length + 3) &^ 3 }

// newPacket begins a packet to be sealed later, of one chunk whose value the caller appends with appendValue.
func newPacket(tag uint32) packet {
	p := make(packet, headerSize, 128)
	binary.BigEndian.PutUint32(p[4:], tag)
	return p
}

// appendChunk appends a chunk with its padding.
func (p packet) appendChunk(kind, flags byte, value []byte) packet {
	p = append(p, kind, flags)
	p = binary.BigEndian.AppendUint16(p, uint16(chunkHeader+len(value)))
	p = append(p, value...)
	return append(p, zeros[:padded(len(value))-len(value)]...)
}

// control is a packet of one chunk, sealed.
func control(to path, tag uint32, kind, flags byte, value []byte) packet {
	p := newPacket(tag).appendChunk(kind, flags, value)
	p.seal(to.local, to.remote)
	return p
}

// cause is the body of an ABORT or ERROR chunk that has one cause.
func cause(code uint16, info []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, code)
	b = binary.BigEndian.AppendUint16(b, uint16(4+len(info)))
	return append(b, info...)
}
