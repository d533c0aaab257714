package transaction

import "sync/atomic"

// Share is what one party may take of the server transactions: a source address, or an identity. All Sources of
// that party name the same Share. Its methods may be called from several goroutines at once.
type Share struct {
	live  atomic.Int64
	limit int64
}

// NewShare returns the share of a party that may have limit server transactions at once.
func NewShare(limit int) *Share { return &Share{limit: int64(limit)} }

// Live returns how many server transactions the party has.
func (s *Share) Live() int { return int(s.live.Load()) }

// spent returns the share of a party that src belongs to and that has all that it may have, or nil.
func (src *Source) spent() *Share {
	for _, s := range src.Shares {
		if s != nil && s.live.Load() >= s.limit {
			return s
		}
	}
	return nil
}

// countShares adds n to what the parties have.
func countShares(shares *[2]*Share, n int64) {
	for _, s := range shares {
		if s != nil {
			s.live.Add(n)
		}
	}
}
