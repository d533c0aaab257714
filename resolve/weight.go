package resolve

// RFC 2782, "The format of the SRV RR": in which order to try the hosts of SRV records.

import "math/rand/v2"

// ranked is the rank of an SRV record, and which one it is.
type ranked struct {
	priority, weight uint16
	index            int
}

// draw orders ranks, sorted by priority, within each priority by weight, until the first k stand.
func (r *Resolver) draw(ranks []ranked, k int) {
	if r.random != nil {
		r.randomMu.Lock()
		defer r.randomMu.Unlock()
	}
	for len(ranks) > 0 && k > 0 {
		n := 1
		for n < len(ranks) && ranks[n].priority == ranks[0].priority {
			n++
		}
		weigh(ranks[:n], k, r.random)
		ranks, k = ranks[n:], k-n
	}
}

// weigh moves the first k of ranks, all of one priority, to the front in an order drawn by weight
// (RFC 2782). A nil random is the runtime's source. Two things that the algorithm of the RFC leaves open
// or a little crooked are set straight: it lets 0 be drawn so that a record of weight 0 has its small
// chance, and where there is none that chance would fall to the first record, so we draw from 1 then; and
// where all weights are 0 any order would do, so we draw evenly and spread the load.
func weigh(ranks []ranked, k int, random *rand.Rand) {
	for ; len(ranks) > 1 && k > 0; ranks, k = ranks[1:], k-1 {
		sum, zero := 0, -1
		for i := range ranks {
			if ranks[i].weight == 0 && zero < 0 {
				zero = i
			}
			sum += int(ranks[i].weight)
		}
		var pick int
		switch {
		case sum == 0:
			pick = upTo(len(ranks), random)
		case zero < 0:
			pick = reaches(ranks, 1+upTo(sum, random))
		default:
			pick = zero
			if drawn := upTo(sum+1, random); drawn > 0 {
				pick = reaches(ranks, drawn)
			}
		}
		picked := ranks[pick]
		copy(ranks[1:pick+1], ranks[:pick]) // keeps the order of the rest
		ranks[0] = picked
	}
}

// upTo draws a number from 0 up to n, without n.
func upTo(n int, random *rand.Rand) int {
	if random == nil {
		return rand.IntN(n)
	}
	return random.IntN(n)
}

// reaches finds the first rank at which the running sum of weights is at least drawn, which is positive.
func reaches(ranks []ranked, drawn int) int {
	for i := range ranks {
		if drawn -= int(ranks[i].weight); drawn <= 0 {
			return i
		}
	}
	return len(ranks) - 1
}
