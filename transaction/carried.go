package transaction

// Which transactions a connection carries is known by its id. So its end, and every look at whether it may end,
// costs what it carries: who opens and closes connections must not make us look at everybody's transactions.

// carrier is what a transaction needs to know of a flow, asked before the lock is taken.
type carrier struct {
	conn     uint64 // 0: datagrams
	reliable bool
}

func carrierOf(f Flow) carrier { return carrier{conn: f.ID(), reliable: f.Reliable()} }

// place is where an outstanding transaction stands among those of its connection in its shard.
type place struct {
	conn       uint64 // 0: nowhere
	prev, next *core
}

// enlist puts c among the transactions of a connection. The caller holds the shard's mu.
func (c *core) enlist(conn uint64) {
	if conn == 0 {
		return
	}
	head := c.shard.carried[conn]
	c.place = place{conn: conn, next: head}
	if head != nil {
		head.place.prev = c
	}
	c.shard.carried[conn] = c
}

// delist takes c out again. The caller holds the shard's mu.
func (c *core) delist() {
	p := c.place
	if p.conn == 0 {
		return
	}
	c.place = place{}
	if p.next != nil {
		p.next.place.prev = p.prev
	}
	switch {
	case p.prev != nil:
		p.prev.place.next = p.next
	case p.next != nil:
		c.shard.carried[p.conn] = p.next
	default:
		delete(c.shard.carried, p.conn)
	}
}

// needs returns how many of the transactions from c on in its list need their connection still. The caller holds
// the shard's mu.
func (c *core) needs() (n int) {
	for ; c != nil; c = c.place.next {
		if c.client == nil || !c.client.path.gone {
			n++
		}
	}
	return n
}
