package transport

import (
	"cmp"
	"slices"
	"time"

	"github.com/tandem-sip/tandem/alias"
)

const (
	// reclaimAt is the share of MaxConnections, in percent, above which connections are reclaimed.
	reclaimAt = 80
	// maxReclaimed bounds the connections that are reclaimed at one look.
	maxReclaimed = 1024
)

// reclaim begins to close the connections that nobody has used for longest, until no more than reclaimAt are open:
// never one with transactions, and none that was used within HandshakeTimeout, so that a new one comes to its first
// message. Handshakes that are pending do not count, or else who never ends one would push out those who have.
func (t *Transport) reclaim(conns []*Conn, now time.Time) {
	excess := -(t.cfg.MaxConnections*reclaimAt + 99) / 100
	if len(conns)+excess <= 0 {
		return
	}
	for _, c := range conns {
		if c.State() == Open {
			excess++
		}
	}
	if excess <= 0 {
		return
	}
	type candidate struct {
		c    *Conn
		used int64
	}
	var idle []candidate
	before := now.Add(-t.cfg.HandshakeTimeout).UnixNano()
	for _, c := range conns {
		if used := c.lastUsed.Load(); used < before && c.State() == Open {
			idle = append(idle, candidate{c, used})
		}
	}
	slices.SortFunc(idle, func(a, b candidate) int { return cmp.Compare(a.used, b.used) })
	needed := t.needed()
	excess = min(excess, maxReclaimed)
	for _, x := range idle {
		if excess == 0 {
			return
		}
		// What finds it between here and there is waited for: RFC 5923, Section 8.3.
		if !needed(x.c.id) && x.c.beginClose(nil) {
			t.count.reclaimed.Add(1)
			excess--
		}
	}
}

// needed returns what tells whether transactions need a connection.
func (t *Transport) needed() func(alias.ConnID) bool {
	switch {
	case t.cfg.Busy != nil:
		busy := t.cfg.Busy()
		return func(id alias.ConnID) bool { return busy[uint64(id)] > 0 }
	case t.cfg.Outstanding != nil:
		return func(id alias.ConnID) bool { return t.cfg.Outstanding(id) > 0 }
	}
	return func(alias.ConnID) bool { return false }
}

// admitIdentity counts an accepted connection for who its peer proved to be, and reports whether that is one too
// many.
func (t *Transport) admitIdentity(c *Conn) bool {
	if c.peer == nil || c.peer.Identities.IsZero() {
		return true
	}
	name := c.peer.Identities.Names()[0]
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.perIdentity[name] >= t.cfg.MaxPerIdentity {
		t.count.refusedIdentity.Add(1)
		return false
	}
	t.perIdentity[name]++
	c.countedFor = name
	return true
}

// dismissIdentity takes back what admitIdentity counted.
func (t *Transport) dismissIdentity(c *Conn) {
	name := c.countedFor
	if name == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.perIdentity[name]--; t.perIdentity[name] == 0 {
		delete(t.perIdentity, name)
	}
}
