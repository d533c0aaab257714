package transaction

// Which transactions a connection carries is known by its id. So its end, and every look at whether it may end,
// costs what it carries: who opens and closes connections must not make us look at everybody's transactions.

// carrier is what a transaction needs to know of a flow, asked before the lock is taken.
type carrier struct {
	conn     uint64 // 0: datagrams
	reliable bool
}

func carrierOf(f Flow) carrier { return carrier{conn: f.ID(), reliable: f.Reliable()} }

// carriage is where an outstanding transaction stands among those of its connection in its shard.
type carriage struct {
	conn       uint64 // 0: nowhere
	prev, next *core
}

// carriedTag is the tag of a connection in shard.carried. The numbers are our own, and in a row.
func carriedTag(conn uint64) uint32 { return uint32(conn * 0x9e3779b97f4a7c15 >> 32) }

// carriedBy returns the first of the transactions that a connection carries, nil for none. The caller holds mu.
func (s *shard) carriedBy(conn uint64) *core {
	tag := carriedTag(conn)
	for at := tag; ; {
		ref := s.carried.find(tag, &at)
		if ref == 0 {
			return nil
		}
		if c := s.live[ref]; c.carriage.conn == conn {
			return c
		}
	}
}

// enlist puts c among the transactions of a connection. The caller holds the shard's mu.
func (c *core) enlist(conn uint64) {
	if conn == 0 {
		return
	}
	s, tag := c.shard, carriedTag(conn)
	first := s.carriedBy(conn)
	c.carriage = carriage{conn: conn, next: first}
	if first == nil {
		s.carried.insert(tag, c.ref)
		return
	}
	first.carriage.prev = c
	s.carried.replace(tag, first.ref, c.ref)
}

// delist takes c out again. The caller holds the shard's mu.
func (c *core) delist() {
	p := c.carriage
	if p.conn == 0 {
		return
	}
	c.carriage = carriage{}
	if p.next != nil {
		p.next.carriage.prev = p.prev
	}
	s, tag := c.shard, carriedTag(p.conn)
	switch {
	case p.prev != nil:
		p.prev.carriage.next = p.next
	case p.next != nil:
		s.carried.replace(tag, c.ref, p.next.ref)
	default:
		s.carried.remove(tag, c.ref)
	}
}

// needs returns how many of the transactions from c on in its list need their connection still. The caller holds
// the shard's mu.
func (c *core) needs() (n int) {
	for ; c != nil; c = c.carriage.next {
		if c.client == nil || !c.client.path.gone {
			n++
		}
	}
	return n
}
