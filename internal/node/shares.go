package node

import (
	"net/netip"
	"sync"
	"weak"

	"github.com/tandem-sip/tandem/transaction"
)

// shares knows what each party may take of the transactions, as long as anybody needs it: a connection, or a
// transaction. It keeps nobody itself, so that however many parties come and go, those that are gone cost nothing.
type shares[K comparable] struct {
	limit int

	// mu guards the fields below.
	mu    sync.Mutex
	known map[K]weak.Pointer[transaction.Share]
	sweep int // at so many known ones those that are gone are taken out
}

// minSweep is how many parties are known at least before any are looked through.
const minSweep = 1024

func newShares[K comparable](limit int) *shares[K] {
	return &shares[K]{limit: limit, known: make(map[K]weak.Pointer[transaction.Share]), sweep: minSweep}
}

// of returns the share of a party: the same one for as long as it is held anywhere.
func (s *shares[K]) of(who K) *transaction.Share {
	s.mu.Lock()
	defer s.mu.Unlock()
	if share := s.known[who].Value(); share != nil {
		return share
	}
	if len(s.known) >= s.sweep {
		for other, p := range s.known {
			if p.Value() == nil {
				delete(s.known, other)
			}
		}
		s.sweep = max(minSweep, 2*len(s.known))
	}
	share := transaction.NewShare(s.limit)
	s.known[who] = weak.Make(share)
	return share
}

// shareOf returns the shares that requests from an address count against, with those of whoever authenticated
// there.
func (n *Node) shareOf(ip netip.Addr, identity string) (out [2]*transaction.Share) {
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		// A host chooses its addresses from a prefix of 64 bits as it likes.
		if p, err := ip.Prefix(64); err == nil {
			ip = p.Addr()
		}
	}
	out[0] = n.bySource.of(ip)
	if identity != "" {
		out[1] = n.byIdentity.of(identity)
	}
	return out
}
