package transport

import (
	"time"

	"github.com/tandem-sip/tandem/alias"
)

// watchEvery is how often watch looks at every connection. What it looks for is never urgent.
const watchEvery = time.Second

// watch looks at all connections from time to time, so that none of them needs a timer: for pings
// that are due or unanswered, and for certificates that have expired. It ends when quit is closed.
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
	interval := c.t.cfg.PingInterval
	if c.confirm(now) || interval <= 0 || c.direction != alias.Dialed {
		return
	}
	switch sent := c.pingSent.Load(); {
	case sent != 0 && c.hasPonged.Load() && now.UnixNano()-sent > int64(c.t.cfg.PongTimeout)/2:
		c.suspect(errNoPong, now, time.Unix(0, sent).Add(c.t.cfg.PongTimeout))
	case now.UnixNano() >= c.pingNext.Load():
		c.pingNext.Store(now.Add(interval).UnixNano())
		if c.send(pingText) == nil {
			c.pingSent.CompareAndSwap(0, now.UnixNano())
		}
	}
}
