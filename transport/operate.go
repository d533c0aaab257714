package transport

import (
	"errors"

	"github.com/tandem-sip/tandem/alias"
)

// What an operator may do to one connection, beside BeginClose.

// ErrOperator is why a connection ends that an operator has closed.
var ErrOperator = errors.New("transport: closed by an operator")

// CloseNow closes a connection without waiting for its transactions: they are told that no response comes over it,
// what is queued is written, and the closure alert is sent. It reports false when there is no such connection, or
// its closure alert was sent already.
func (t *Transport) CloseNow(id alias.ConnID) bool {
	c := t.connection(id)
	if c == nil || c.State() >= Closing {
		return false
	}
	c.advance(Draining)
	c.blame(ErrOperator)
	t.forget(c)
	c.tellEnded()
	c.beginClosing()
	return true
}

// Forget takes a connection out of the tables by which requests find it: the next one to that address dials. What is
// under way goes on, and so does what the peer sends. It returns how many rows that were, and false when there is no
// such connection.
func (t *Transport) Forget(id alias.ConnID) (rows int, ok bool) {
	c := t.connection(id)
	if c == nil {
		return 0, false
	}
	d := c.domain
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.tls == nil {
		if d.plain[c.dialed] == c {
			delete(d.plain, c.dialed)
			rows = 1
		}
		return rows, true
	}
	if c.State() != Open {
		return 0, true // no request finds it any more
	}
	rows = len(d.table.RowsOf(id))
	d.table.Remove(id)
	return rows, true
}

func (t *Transport) connection(id alias.ConnID) *Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.conns[id]
}
