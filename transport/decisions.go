package transport

import (
	"sync/atomic"

	"github.com/tandem-sip/tandem/alias"
)

// decisions counts the answers to which connection carries a request, by alias.Reason.
type decisions [32]atomic.Uint64

func (d *decisions) add(r alias.Reason) {
	if int(r) < len(d) {
		d[r].Add(1)
	}
}

// Decisions counts the requests for which a connection was looked for, by the reason why one was
// reused or was not. Of those over TCP the reason is alias.NotTLS.
func (t *Transport) Decisions() map[alias.Reason]uint64 {
	all := make(map[alias.Reason]uint64)
	for _, r := range alias.Reasons() {
		if n := t.decided[r].Load(); n > 0 {
			all[r] = n
		}
	}
	return all
}
