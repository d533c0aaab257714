package sip

import (
	"crypto/rand"
	"encoding/base32"
	"testing"
)

// TestAppendToken: all 128 bits are there, as in base32.
func TestAppendToken(t *testing.T) {
	encoding := base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	for range 1000 {
		var bits [16]byte
		rand.Read(bits[:])
		if got, want := string(AppendToken([]byte("z"), &bits)), "z"+encoding.EncodeToString(bits[:]); got != want {
			t.Fatalf("%x: %s, want %s", bits, got, want)
		}
	}
}
