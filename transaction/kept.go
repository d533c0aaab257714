package transaction

import "encoding/binary"

// kept holds the last responses of finished transactions where a request may come again: bytes without a pointer
// to them or among them, in chunks. All are kept for the same time, so the first that came is the first to go.
type kept struct {
	chunks []keptChunk
	first  uint32 // number of chunks[0]
	spare  []byte // a chunk to be used again
}

// keptChunk is what is filled one response after the other.
type keptChunk struct {
	bytes []byte
	live  int // responses in it that were not dropped
}

const (
	keptSize  = 32 << 10
	keptAlign = 8
	// keptBits is how many bits of a place say where in its chunk a response begins, in units of keptAlign.
	keptBits = 12
)

// add copies a response and returns its place.
func (k *kept) add(b []byte) (place uint32) {
	need := (4 + len(b) + keptAlign - 1) &^ (keptAlign - 1)
	if n := len(k.chunks); n == 0 || cap(k.chunks[n-1].bytes)-len(k.chunks[n-1].bytes) < need {
		k.extend(need)
	}
	c := &k.chunks[len(k.chunks)-1]
	at := len(c.bytes)
	c.bytes = binary.LittleEndian.AppendUint32(c.bytes, uint32(len(b)))
	c.bytes = append(c.bytes, b...)
	c.bytes = c.bytes[:at+need]
	c.live++
	return (k.first+uint32(len(k.chunks)-1))<<keptBits | uint32(at/keptAlign)
}

// extend begins a chunk that has room for need bytes.
func (k *kept) extend(need int) {
	room := k.spare
	k.spare = nil
	if need > keptSize {
		room = make([]byte, 0, need)
	} else if room == nil {
		room = make([]byte, 0, keptSize)
	}
	k.chunks = append(k.chunks, keptChunk{bytes: room})
}

// chunk returns the chunk of a place.
func (k *kept) chunk(place uint32) *keptChunk {
	return &k.chunks[(place>>keptBits-k.first)&(1<<(32-keptBits)-1)]
}

// get returns the response at a place. The bytes are valid until the lock is given back.
func (k *kept) get(place uint32) []byte {
	b := k.chunk(place).bytes[place%(1<<keptBits)*keptAlign:]
	return b[4:][:binary.LittleEndian.Uint32(b)]
}

// drop gives the response at a place up, and its chunk once all are.
func (k *kept) drop(place uint32) {
	k.chunk(place).live--
	for len(k.chunks) > 0 && k.chunks[0].live == 0 {
		if b := k.chunks[0].bytes; cap(b) == keptSize {
			k.spare = b[:0]
		}
		k.chunks[0] = keptChunk{}
		k.chunks = k.chunks[1:]
		k.first++
	}
}
