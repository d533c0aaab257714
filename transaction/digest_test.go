package transaction

import (
	"encoding/binary"
	"encoding/hex"
	"testing"
)

// TestDigest compares with the vectors that the authors of SipHash give for a result of 128 bits.
func TestDigest(t *testing.T) {
	var key, text [16]byte
	for i := range key {
		key[i], text[i] = byte(i), byte(i)
	}
	k := digestKey{binary.LittleEndian.Uint64(key[:]), binary.LittleEndian.Uint64(key[8:])}
	for n, want := range map[int]string{
		0:  "a3817f04ba25a8e66df67214c7550293",
		1:  "da87c1d86b99af44347659119b22fc45",
		8:  "3b62a9ba6258f5610f83e264f31497b4",
		15: "5493e99933b0a8117e08ec0f97cfc3d9",
	} {
		d := k.sum(text[:n])
		got := hex.EncodeToString(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, d.lo), d.hi))
		if got != want {
			t.Errorf("%d bytes: %s, want %s", n, got, want)
		}
	}
	if string(appendText(appendText(nil, "a"), "bc")) == string(appendText(appendText(nil, "ab"), "c")) {
		t.Error("texts in a row run into each other")
	}
}

func BenchmarkDigest(b *testing.B) {
	k := newDigestKey()
	text := make([]byte, 80)
	for b.Loop() {
		k.sum(text)
	}
}
