package transaction

import (
	"sync"
	"sync/atomic"
)

const (
	// shards is how many locks the transactions are spread over.
	shards = 64
	// maxChain is how many transactions may share branch, sent-by and source identity. An INVITE and its
	// CANCEL do; more than a few are somebody who wants to make look-ups slow.
	maxChain = 16
)

// shard is a part of the transactions, with their timers.
type shard struct {
	look atomic.Int64 // tick at which the clock must look at the wheel; may be too early, never too late

	mu sync.Mutex // guards the fields below and every transaction in table

	table   map[uint64]*core // by core.hash; further ones behind core.chain
	carried map[uint64]*core // the outstanding ones, by connection; further ones behind core.place
	wheel   wheel
	counts  counts

	_ [64]byte // keeps neighbors' locks off this one's cache line
}

// counts is what a shard counts.
type counts struct {
	live        [kinds]int
	created     [kinds]uint64
	retransmits [kinds]uint64 // sent again: requests by clients, responses by servers
	absorbed    uint64        // requests received again
	stray       uint64        // responses without a transaction
	foreign     uint64        // responses from a source that was not asked
	timeouts    uint64        // transactions that ended by tellTimeout
}

// core is what every transaction has. But for the fixed fields, it is guarded by the shard's mu.
type core struct {
	layer *Layer // fixed
	shard *shard // fixed
	hash  uint64 // fixed

	server *Server // fixed; one of the two is nil
	client *Client

	chain   *core // next with the same hash
	place   place
	timer   timer
	machine machine
}

// init sets the fixed fields.
func (c *core) init(l *Layer, hash uint64, m machine) {
	c.layer, c.shard, c.hash, c.machine = l, l.shard(hash), hash, m
	c.timer.owner = c
}

// insert puts c into the table, as one that conn carries.
func (c *core) insert(conn uint64) {
	s := c.shard
	c.chain = s.table[c.hash]
	s.table[c.hash] = c
	c.enlist(conn)
	s.counts.live[c.machine.kind]++
	s.counts.created[c.machine.kind]++
	c.layer.live[c.machine.kind/2].Add(1)
}

// remove takes c out of the table.
func (c *core) remove() {
	s := c.shard
	if head := s.table[c.hash]; head != c {
		for head.chain != c {
			head = head.chain
		}
		head.chain = c.chain
	} else if c.chain != nil {
		s.table[c.hash] = c.chain
	} else {
		delete(s.table, c.hash)
	}
	c.chain = nil
	s.counts.live[c.machine.kind]--
	c.layer.live[c.machine.kind/2].Add(-1)
	if c.server != nil {
		c.server.src.count(-1)
	}
}

// step gives the machine an event and does what concerns the table and the timer. The caller does the
// rest after it has unlocked the shard.
func (c *core) step(ev event, now instant) actions {
	acts := c.machine.step(&c.layer.timers, ev, now)
	s := c.shard
	if acts&end != 0 {
		s.wheel.stop(&c.timer)
		c.remove()
	} else {
		c.schedule()
	}
	if !c.machine.outstanding() {
		c.delist()
	}
	if acts&tellTimeout != 0 {
		s.counts.timeouts++
	}
	if acts&resendResponse != 0 || acts&sendRequest != 0 && ev.kind != evStart {
		s.counts.retransmits[c.machine.kind]++
	}
	return acts
}

// schedule sets the timer for what the machine waits for.
func (c *core) schedule() {
	s, due := c.shard, c.machine.due()
	if due == 0 {
		s.wheel.stop(&c.timer)
		return
	}
	at := c.layer.clock.tickAt(due)
	if c.timer.set && c.timer.at == at {
		return
	}
	s.wheel.stop(&c.timer)
	if look := s.wheel.add(&c.timer, at); look < tick(s.look.Load()) {
		s.look.Store(int64(look))
		c.layer.clock.poke(look)
	}
}
