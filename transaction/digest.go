package transaction

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
)

// digest is a keyed hash of 128 bits. It stands for the text that it was made of: transactions are told apart
// by it alone, and that text need not be kept. Nobody who does not know the key can find two texts with one digest.
type digest struct{ lo, hi uint64 }

// tag is the part of the digest that the index goes by.
func (d digest) tag() uint32 { return uint32(d.lo >> 32) }

// digestKey is a secret of one layer.
type digestKey struct{ k0, k1 uint64 }

// newDigestKey returns a random key.
func newDigestKey() digestKey {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return digestKey{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])}
}

// appendText appends s with its length, so that texts in a row can't run into each other.
func appendText(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
}

// sum returns the digest of b: SipHash-2-4 with a result of 128 bits.
func (k *digestKey) sum(b []byte) digest {
	v0, v1 := k.k0^0x736f6d6570736575, k.k1^0x646f72616e646f6d^0xee
	v2, v3 := k.k0^0x6c7967656e657261, k.k1^0x7465646279746573
	last := uint64(len(b)) << 56
	for ; len(b) >= 8; b = b[8:] {
		word := binary.LittleEndian.Uint64(b)
		v3 ^= word
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0 ^= word
	}
	for i, c := range b {
		last |= uint64(c) << (8 * i)
	}
	v3 ^= last
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0 ^= last
	v2 ^= 0xee
	for range 4 {
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	}
	d := digest{lo: v0 ^ v1 ^ v2 ^ v3}
	v1 ^= 0xdd
	for range 4 {
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	}
	d.hi = v0 ^ v1 ^ v2 ^ v3
	return d
}

// text returns the digest of one text.
func (k *digestKey) text(s string) digest {
	var room [128]byte
	return k.sum(append(room[:0], s...))
}

func sipRound(v0, v1, v2, v3 uint64) (uint64, uint64, uint64, uint64) {
	v0 += v1
	v2 += v3
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 = bits.RotateLeft64(v0, 32) + v3
	v2 += v1
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	return v0, v1, bits.RotateLeft64(v2, 32), v3
}
