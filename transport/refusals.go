package transport

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// refusalLasts is how long an address that refused TCP is not asked again for a large request.
	refusalLasts = time.Minute
	// maxRefusals bounds the addresses that are remembered; each costs one refused connection to get in.
	maxRefusals = 4096
)

// refusals remembers which addresses refused TCP, so that large requests to somebody who has only UDP do not
// each begin with a connection that cannot be made.
type refusals struct {
	// mu guards the field below.
	mu    sync.Mutex
	until map[netip.AddrPort]time.Time
}

// add notes that at has refused TCP.
func (r *refusals) add(at netip.AddrPort, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.until == nil {
		r.until = make(map[netip.AddrPort]time.Time)
	}
	if _, there := r.until[at]; !there && len(r.until) >= maxRefusals {
		r.thin(now)
	}
	r.until[at] = now.Add(refusalLasts)
}

// thin makes room: what is over goes, and else any one. mu is held.
func (r *refusals) thin(now time.Time) {
	for at, until := range r.until {
		if !now.Before(until) {
			delete(r.until, at)
		}
	}
	for at := range r.until {
		if len(r.until) < maxRefusals {
			return
		}
		delete(r.until, at)
	}
}

// has reports whether at has refused TCP of late.
func (r *refusals) has(at netip.AddrPort, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	until, there := r.until[at]
	if there && !now.Before(until) {
		delete(r.until, at)
		there = false
	}
	return there
}
