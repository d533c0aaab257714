package transport

import (
	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sipaddr"
)

// Kind is a kind of connection.
type Kind struct {
	Transport sipaddr.Transport
	Direction alias.Direction
}

// Census counts the connections of the moment.
type Census struct {
	Open   map[Kind]int
	Queued int // bytes that wait to be written, on all of them
}

// Census counts the connections. It says less than Connections, and costs less.
func (t *Transport) Census() Census {
	out := Census{Open: make(map[Kind]int)}
	t.mu.Lock()
	conns := t.connsLocked()
	t.mu.Unlock()
	for _, c := range conns {
		out.Open[Kind{c.ep.advertised.Transport, c.direction}]++
		out.Queued += c.queued()
	}
	return out
}

// queued returns how many bytes wait to be written.
func (c *Conn) queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.inFlight
	if c.queue != nil {
		n += len(c.queue.b)
	}
	return n
}
