package transport

import "sync"

// batch gathers the connections that were given something to write while a loop handles what came at once, so that
// messages for the same connection leave together: as one record of TLS, in one system call.
type batch struct {
	// mu guards the fields below.
	mu    sync.Mutex
	open  int // loops that are at work
	dirty []*Conn
	spare []*Conn
}

// begin says that a loop is at work; end follows.
func (b *batch) begin() {
	b.mu.Lock()
	b.open++
	b.mu.Unlock()
}

// end writes what was queued meanwhile, by whomever.
func (b *batch) end() {
	for {
		b.mu.Lock()
		if len(b.dirty) == 0 {
			b.open--
			b.mu.Unlock()
			return
		}
		dirty := b.dirty
		b.dirty, b.spare = b.spare[:0], nil
		b.mu.Unlock()
		for i, c := range dirty {
			c.flush()
			dirty[i] = nil
		}
		b.mu.Lock()
		b.spare = dirty
		b.mu.Unlock()
	}
}

// put has c written at the end of the batch, or at once when no loop is at work.
func (b *batch) put(c *Conn) {
	b.mu.Lock()
	later := b.open > 0
	if later {
		b.dirty = append(b.dirty, c)
	}
	b.mu.Unlock()
	if !later {
		c.flush()
	}
}
