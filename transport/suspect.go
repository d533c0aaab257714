package transport

import (
	"errors"
	"time"

	"github.com/tandem-sip/tandem/alias"
)

// A connection may look alive to the system and yet lead to nobody: the peer is frozen, or its SIP part is stuck
// while its kernel acknowledges. Only what is missing tells. Such a connection is suspected: no request finds it
// any more, it is probed with a ping (RFC 5626, Section 3.5.1), and closed when nothing comes back.

// suspicion is what is kept of a suspected connection. Conn.mu guards it.
type suspicion struct {
	cause error       // nil: not suspected
	due   time.Time   // when it is closed
	rows  []alias.Row // that were taken out of the table
}

// Suspect tells that a transaction on a connection ended without any answer. After Config.SuspectAfter of them
// in a row, with no message from the peer in between, no request finds the connection any more; it is probed,
// closed when nothing comes within Config.PongTimeout, and put back into the alias table otherwise. It may be
// called by anybody, and does not block.
func (t *Transport) Suspect(id alias.ConnID) {
	t.mu.Lock()
	c := t.conns[id]
	t.mu.Unlock()
	if c == nil || t.cfg.SuspectAfter < 0 {
		return
	}
	if int(c.unanswered.Add(1)) >= t.cfg.SuspectAfter {
		now := time.Now()
		c.suspect(errWedged, now, now.Add(t.cfg.PongTimeout))
	}
}

// suspect takes an open connection out of the tables and probes it.
func (c *Conn) suspect(cause error, now, due time.Time) {
	if c.State() != Open || !c.suspected.CompareAndSwap(false, true) {
		return
	}
	rows := c.t.withdraw(c)
	c.alive.Store(false)
	c.mu.Lock()
	c.suspicion = suspicion{cause: cause, due: due, rows: rows}
	c.mu.Unlock()
	c.rouse()
	c.t.count.suspected.Add(1)
	c.t.cfg.Logger.Warn("connection is suspected and probed", "conn", uint64(c.id), "peer", c.remote, "err", cause)
	c.sendPing(now)
}

// confirm decides about a suspected connection, as far as it can be decided yet, and reports whether it is one.
func (c *Conn) confirm(now time.Time) bool {
	c.mu.Lock()
	s := c.suspicion
	c.mu.Unlock()
	if s.cause == nil {
		return false
	}
	answered := c.alive.Load()
	if errors.Is(s.cause, errNoPong) {
		answered = c.pingSent.Load() == 0
	}
	switch {
	case answered:
		c.unanswered.Store(0)
		c.pingSent.Store(0)
		c.mu.Lock()
		c.suspicion = suspicion{}
		c.mu.Unlock()
		c.suspected.Store(false)
		c.t.restore(c, s.rows)
		c.t.cfg.Logger.Info("suspected connection has answered", "conn", uint64(c.id), "peer", c.remote)
	case now.After(s.due):
		if errors.Is(s.cause, errNoPong) {
			c.t.count.noPong.Add(1) // RFC 5626, Section 4.4.1: the flow has failed
		} else {
			c.t.count.wedged.Add(1)
		}
		c.t.cfg.Logger.Warn("connection is closed, its peer does not answer", "conn", uint64(c.id), "peer", c.remote, "err", s.cause)
		c.abort(s.cause)
	}
	return true
}

// withdraw takes a connection out of the tables for a time, and returns its rows.
func (t *Transport) withdraw(c *Conn) []alias.Row {
	d := c.domain
	d.mu.Lock()
	defer d.mu.Unlock()
	rows := d.table.RowsOf(c.id)
	if len(rows) > 0 {
		d.table.Remove(c.id)
	}
	if d.plain[c.dialed] == c {
		delete(d.plain, c.dialed)
	}
	return rows
}

// restore puts back what withdraw took out, unless the connection is closing by now or policy is against it.
func (t *Transport) restore(c *Conn, rows []alias.Row) {
	d := c.domain
	d.mu.Lock()
	if c.State() == Open {
		for _, row := range rows {
			d.table.Add(row)
		}
		if c.tls == nil && c.direction == alias.Dialed && d.plain[c.dialed] == nil {
			d.plain[c.dialed] = c
		}
	}
	d.mu.Unlock()
	if c.tls != nil && c.peer != nil {
		c.reconsider()
	}
}
