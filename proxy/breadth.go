package proxy

// RFC 5393, Section 5: Max-Breadth limits how many branches of a request exist at one time.

import (
	"strconv"

	"github.com/tandem-sip/tandem/sip"
)

const defaultBreadth = 60 // RFC 5393, Section 5.3.3

// incomingBreadth returns the Max-Breadth that a request gives us to divide, and whether it was written in the
// request so.
func (c *Core) incomingBreadth(req *sip.Message) (n int, written bool, err *StatusError) {
	text, ok := req.Value(sip.FieldMaxBreadth)
	if !ok {
		return c.maxBreadth, false, nil
	}
	u, perr := strconv.ParseUint(text, 10, 64)
	if perr != nil && !allDigits(text) {
		return 0, false, statusError(400, "Max-Breadth is not a number")
	}
	switch {
	case perr != nil || u > uint64(c.maxBreadth):
		return c.maxBreadth, false, nil // RFC 5393, Section 5.3.3: what exceeds our maximum is overwritten
	case u == 0:
		// Not even one branch is left for us.
		return 0, false, statusError(440, "")
	}
	return int(u), true, nil
}

// share returns how much of the breadth that is left the next of n targets gets, which are to run at one time:
// an equal part, rounded up, so that the parts of all never exceed the whole.
func share(left, n int) int {
	n = min(n, left)
	if n <= 1 {
		return left
	}
	return (left + n - 1) / n
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
