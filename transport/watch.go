package transport

import "time"

// watchEvery is how often watch looks at every connection. What it looks for is never urgent.
const watchEvery = time.Second

// watch looks at all connections from time to time, so that none of them needs a timer: for pings
// that are due or unanswered, for certificates that have expired and for connections that are old, or no longer
// needed. It ends when quit is closed.
func (t *Transport) watch() {
	defer t.wg.Done()
	every := watchEvery
	if p := t.cfg.PingInterval; p > 0 {
		every = min(every, max(p/4, 10*time.Millisecond))
	}
	every = min(every, max(t.cfg.PongTimeout/4, 10*time.Millisecond))
	tick := time.NewTicker(every)
	defer tick.Stop()
	var conns []*Conn
	for {
		select {
		case <-t.quit:
			return
		case <-tick.C:
		}
		now := time.Now()
		t.mu.Lock()
		conns = conns[:0]
		for _, c := range t.conns {
			conns = append(conns, c)
		}
		t.mu.Unlock()
		t.reclaim(conns, now)
		for i, c := range conns {
			c.look(now)
			conns[i] = nil
		}
	}
}

// look does for c what is due.
func (c *Conn) look(now time.Time) {
	if c.State() != Open {
		return
	}
	if c.peer != nil && !c.peer.NotAfter.IsZero() && now.After(c.peer.NotAfter) {
		c.beginClose(errExpired)
		return
	}
	if c.confirm(now) {
		return
	}
	if !c.recycleAt.IsZero() && now.After(c.recycleAt) {
		// RFC 5923, Section 8.3: what has begun on it ends on it. The next request dials anew.
		if c.beginClose(nil) {
			c.t.count.recycled.Add(1)
		}
		return
	}
	if c.giveBack(now) {
		return
	}
	c.ping(now)
}
