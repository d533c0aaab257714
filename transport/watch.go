package transport

import (
	"sync/atomic"
	"time"
)

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
			if !c.rests(now.UnixNano()) {
				c.rest.used = c.lastUsed.Load()
				c.look(now)
				c.limit(now)
				c.layDown(now, every)
			}
			conns[i] = nil
		}
	}
}

// rest spares watch a look at a connection that nobody uses: of many, each look waits for memory in a dozen places.
type rest struct {
	until atomic.Int64 // Unix nanoseconds; 0: look at the next opportunity
	used  int64        // Conn.lastUsed when that was found out
}

// maxRest is how many times watchEvery a connection may go without a look.
const maxRest = 10

// rests reports whether nothing has happened to c, and nothing is due.
func (c *Conn) rests(now int64) bool {
	return now < c.rest.until.Load() && c.lastUsed.Load() == c.rest.used
}

// rouse has watch look at c when it comes by next.
func (c *Conn) rouse() { c.rest.until.Store(0) }

// layDown lets c rest until something may be due.
func (c *Conn) layDown(now time.Time, every time.Duration) {
	until := c.restUntil(now, every)
	c.rest.until.Store(until)
	// Whoever rouses c has changed something before, so that one of the two sees the other.
	if again := c.restUntil(now, every); again < until {
		c.rest.until.Store(again)
	}
}

// restUntil returns when c is to be looked at next, in Unix nanoseconds; 0: at the next opportunity.
func (c *Conn) restUntil(now time.Time, every time.Duration) int64 {
	answers := c.hasPonged.Load()
	if c.suspected.Load() || c.instead.Load() != nil || answers && (c.pingSent.Load() != 0 || !c.quiet.since.IsZero()) {
		return 0
	}
	until := now.Add(maxRest * every).UnixNano()
	if c.hasLimit() && !c.unlimited {
		until = min(until, c.rest.used+int64(c.t.quietAfter()))
	}
	if c.peer != nil && !c.peer.NotAfter.IsZero() {
		until = min(until, c.peer.NotAfter.UnixNano())
	}
	if !c.recycleAt.IsZero() {
		until = min(until, c.recycleAt.UnixNano())
	}
	if c.pingInterval() > 0 {
		until = min(until, c.pingNext.Load())
	}
	return until
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
