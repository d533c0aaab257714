package transport

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// heldBack are the new requests of a peer that are not begun while its connection is being closed because another process
// takes over (Transport.HandOver). Under load there is no moment by itself in which nothing is outstanding on a
// connection. A request whose Via offers reuse comes from an element of RFC 5923, which sends again what was not
// answered when the connection closes (RFC 5923, Section 8.3); only those are held back.
type heldBack struct {
	on atomic.Bool

	// mu guards the field below.
	mu       sync.Mutex
	requests []heldRequest
}

type heldRequest struct {
	m      *sip.Message
	branch string
}

const (
	// holdFor is how long requests are held back, and holdEvery how often that is tried: a call that rings keeps its
	// connection for longer than anybody may be kept waiting.
	holdFor   = 500 * time.Millisecond
	holdEvery = 4 * time.Second
	// maxHeld is how many requests are held back on one connection; more are begun.
	maxHeld = 512
	// holdLook is how often it is looked whether nothing is outstanding.
	holdLook = 2 * time.Millisecond
)

// holdBack takes a message that came while c is draining, and reports whether it waits. The reader calls it.
func (c *Conn) holdBack(raw []byte) bool {
	h := &c.held
	if !h.on.Load() {
		return false
	}
	m, err := sip.Parse(string(raw))
	if err != nil || !m.IsRequest() || m.Method() == sip.MethodAck {
		return false
	}
	via, err := m.TopVia()
	if err != nil || !via.Alias {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.on.Load() || len(h.requests) >= maxHeld {
		return false
	}
	if m.Method() == sip.MethodCancel {
		known := false
		for _, r := range h.requests {
			known = known || r.branch == via.Branch
		}
		if !known {
			return false // what it cancels is under way
		}
	}
	m.SetReceived(c.remote.Addr(), c.remote.Port())
	h.requests = append(h.requests, heldRequest{m, via.Branch})
	return true
}

// letPass begins what was held back.
func (c *Conn) letPass() {
	c.held.mu.Lock()
	c.held.on.Store(false)
	list := c.held.requests
	c.held.requests = nil
	c.held.mu.Unlock()
	for _, r := range list {
		src := c.settled()
		c.t.protect(func() { c.t.cfg.Handler.Message(r.m, src) })
	}
}
