package transport

// Two sides that need each other at the same moment dial each other, and have two connections where one would
// do. Both carry what has begun on them. For new requests both sides choose the same one without asking each
// other: that whose dialer has the smaller certificate fingerprint. The other is given back by the side that
// dialed it, because that side alone knows that it has a row for the chosen one, and needs no other.

import (
	"bytes"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sipaddr"
)

// settleLocked looks for two connections with one peer at an address, one dialed and one accepted, when a row for it
// was added: both authenticated, by the same certificate, and the accepted one offered for reuse, or there were
// no row. d.mu is held.
func (t *Transport) settleLocked(d *domain, at sipaddr.Resolved) {
	rows := d.table.RowsAt(at)
	for _, x := range rows {
		if x.Direction != alias.Dialed {
			continue
		}
		for _, y := range rows {
			if y.Direction == alias.Accepted && y.Fingerprint == x.Fingerprint && y.Identities.Equal(x.Identities) {
				t.choose(d, x, y)
			}
		}
	}
}

// choose chooses between a dialed and an accepted connection. d.mu is held.
func (t *Transport) choose(d *domain, dialed, accepted alias.Row) {
	x, y := d.conns[dialed.Conn], d.conns[accepted.Conn]
	if x == nil || y == nil || x.State() != Open || y.State() != Open || x.ours == y.peer.Fingerprint {
		return
	}
	if bytes.Compare(x.ours[:], y.peer.Fingerprint[:]) < 0 {
		d.table.Prefer(x.id)
		return
	}
	d.table.Prefer(y.id)
	if x.instead.CompareAndSwap(nil, &settlement{winner: y, at: time.Now().Add(t.cfg.SettleAfter)}) {
		x.rouse()
	}
}

// settlement says which connection takes the place of another one with the same peer, and when.
type settlement struct {
	winner *Conn
	at     time.Time // by then the other side has chosen too
}

// giveBack begins to close a connection whose place another one has taken, and reports whether it did.
func (c *Conn) giveBack(now time.Time) bool {
	s := c.instead.Load()
	switch {
	case s == nil || now.Before(s.at):
		return false
	case s.winner.State() != Open:
		c.instead.CompareAndSwap(s, nil) // there is only one left
		return false
	}
	d := c.domain
	d.mu.Lock()
	rows := d.table.RowsOf(s.winner.id)
	d.mu.Unlock()
	if len(rows) == 0 {
		return false // it is suspected, or policy was changed
	}
	if c.beginClose(nil) {
		c.t.count.settled.Add(1)
	}
	return true
}
