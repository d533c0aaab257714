package proxy

// AES-CMAC (RFC 4493): a message authentication code out of one block cipher, which processors have in hardware. Dialog tokens
// are short and made for nearly every message, where it costs a quarter of HMAC-SHA256.

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
)

// cmac is a key made ready. It never changes.
type cmac struct {
	block      cipher.Block
	whole, cut [aes.BlockSize]byte // K1 and K2 of RFC 4493, Section 2.3
}

func newCMAC(key [16]byte) *cmac {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // of a key of another length alone
	}
	c := &cmac{block: block}
	block.Encrypt(c.whole[:], c.whole[:])
	double(&c.whole)
	c.cut = c.whole
	double(&c.cut)
	return c
}

// double multiplies by x in the field of 2^128 elements, in constant time.
func double(b *[aes.BlockSize]byte) {
	carry := byte(0)
	for i := len(b) - 1; i >= 0; i-- {
		next := b[i] >> 7
		b[i] = b[i]<<1 | carry
		carry = next
	}
	b[len(b)-1] ^= 0x87 * carry
}

// sum puts the code of a message into out, 128 bits (RFC 4493, Section 2.4).
func (c *cmac) sum(out *[aes.BlockSize]byte, message []byte) {
	*out = [aes.BlockSize]byte{}
	for len(message) > aes.BlockSize {
		subtle.XORBytes(out[:], out[:], message[:aes.BlockSize])
		c.block.Encrypt(out[:], out[:])
		message = message[aes.BlockSize:]
	}
	subtle.XORBytes(out[:], out[:], message)
	last := &c.whole
	if len(message) < aes.BlockSize {
		out[len(message)] ^= 0x80
		last = &c.cut
	}
	subtle.XORBytes(out[:], out[:], last[:])
	c.block.Encrypt(out[:], out[:])
}
