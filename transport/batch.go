package transport

import "sync"

// batch gathers the connections and the UDP sockets that were given something to write while a loop handles what came
// at once, so that messages for the same connection leave together: as one record of TLS, in one system call. Each of
// several loops has its own.
type batch struct {
	// mu guards the fields below.
	mu    sync.Mutex
	open  bool // its loop is at work
	dirty []flusher
	spare []flusher
}

// flusher is a connection or a socket that has something to write. flush does so, and does not block.
type flusher interface{ flush() }

// begin says that the loop is at work; end follows.
func (b *batch) begin() {
	b.mu.Lock()
	b.open = true
	b.mu.Unlock()
}

// end writes what was queued meanwhile, by whomever.
func (b *batch) end() {
	for {
		b.mu.Lock()
		if len(b.dirty) == 0 {
			b.open = false
			b.mu.Unlock()
			return
		}
		dirty := b.dirty
		b.dirty, b.spare = b.spare[:0], nil
		b.mu.Unlock()
		for i, f := range dirty {
			f.flush()
			dirty[i] = nil
		}
		b.mu.Lock()
		b.spare = dirty
		b.mu.Unlock()
	}
}

// put has f written at the end of the turn of the loop that is at work, or at once when none is.
func (t *Transport) put(f flusher) {
	if !t.gathers(f) {
		f.flush()
	}
}

// gathers reports whether f is written at the end of the batch. It is not when the loop is not at work.
func (b *batch) gathers(f flusher) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return false
	}
	b.dirty = append(b.dirty, f)
	return true
}
