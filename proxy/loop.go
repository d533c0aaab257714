package proxy

// RFC 5393, Section 4: loops are told from spirals by a hash in the branch of the Vias that we added.

import (
	"hash/maphash"
	"math/bits"
	"strings"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/transaction"
)

// loopMark is the second part of a branch: "-" and 16 hexadecimal digits.
type loopMark [17]byte

// loopHash returns the mark of a request. It depends on all that decides
// where a request goes, not on the method (RFC 5393, Section 4.2.1), and on a secret of this process, so that it
// is recognised without looking at the sent-by and cannot be guessed.
func (c *Core) loopHash(req *sip.Message, peer string) (b loopMark) {
	var h keyed
	h.init(c.seed)
	h.put(req.CallID())
	if cseq, err := req.CSeq(); err == nil {
		h.number(cseq.Seq)
	}
	h.put(req.RequestURI())
	for _, f := range [...]sip.Field{sip.FieldRoute, sip.FieldProxyRequire, sip.FieldProxyAuthorization} {
		switch req.Count(f) {
		case 0:
		case 1:
			v, _ := req.Value(f)
			h.put(v)
		default:
			for v := range req.Values(f) {
				h.put(v)
			}
		}
	}
	h.put(peer)
	b[0] = '-'
	appendHex(b[1:1], h.sum())
	return b
}

// in reports whether one of the Vias is ours from when the request looked the same
// (RFC 5393, Section 4.2.2).
func (b loopMark) in(req *sip.Message) bool {
	hash := string(b[:])
	for v := range req.Values(sip.FieldVia) {
		if strings.Contains(v, hash) {
			return true
		}
	}
	return false
}

// newBranch returns a branch in two parts (RFC 5393, Section 4.2.1): one that nobody can guess, and the loop hash.
func newBranch(mark loopMark) string {
	var room [64]byte
	return string(append(transaction.AppendBranch(room[:0]), mark[:]...))
}

// statelessBranch returns a branch that is the same for each retransmission of a request
// (RFC 3261, Section 16.11).
func (c *Core) statelessBranch(req *sip.Message, mark loopMark) string {
	var room [64]byte
	b := append(room[:0], "z9hG4bK"...)
	via, _ := req.FirstValue(sip.FieldVia)
	for i := range uint32(2) {
		var h keyed
		h.init(c.seed)
		h.number(i)
		h.put(via)
		h.put(req.CallID())
		b = appendHex(b, h.sum())
	}
	return string(append(b, mark[:]...))
}

func appendHex(dst []byte, n uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[n>>shift&15])
	}
	return dst
}

// keyed is a hash with a secret of this process, over texts in their order.
type keyed struct {
	seed maphash.Seed
	h    uint64
}

func (k *keyed) init(seed maphash.Seed) { k.seed, k.h = seed, maphash.String(seed, "") }
func (k *keyed) put(s string)           { k.mix(maphash.String(k.seed, s)) }
func (k *keyed) number(n uint32)        { k.mix(maphash.Comparable(k.seed, n)) }
func (k *keyed) sum() uint64            { return k.h }

// mix takes in a number that nobody who does not know the secret can foretell.
func (k *keyed) mix(n uint64) {
	high, low := bits.Mul64(k.h^n, 0x9e3779b97f4a7c15)
	k.h = high ^ low
}
