package transaction

import (
	"sync"
	"sync/atomic"
)

const (
	// shards is how many locks the transactions are spread over.
	shards = 16
	// maxChain is how many transactions may share branch, sent-by and source identity. An INVITE and its
	// CANCEL do; more than a few are somebody who wants to make look-ups slow.
	maxChain = 16
)

// shard is a part of the transactions, with their timers.
type shard struct {
	layer *Layer       // fixed
	look  atomic.Int64 // tick at which the clock must look at the timers; may be too early, never too late

	mu sync.Mutex // guards the fields below and every transaction in the index

	index   index           // of all, by core.id
	live    []*core         // those at work, by core.ref
	free    []uint32        // numbers in live that nobody has; the last one given up is taken first
	carried index           // the outstanding ones, by connection: the first of each, the others behind core.carriage
	rings   [ringCount]ring // the finished ones
	kept    kept            // what they send again
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

// core is what every transaction at work has. But for the fixed fields, it is guarded by the shard's mu.
type core struct {
	shard  *shard // fixed
	id     digest // fixed
	method method // fixed

	ref uint32 // where it is in shard.live; 0: it is not in the table any more

	server *Server // fixed; one of the two is nil
	client *Client

	carriage carriage
	timer    timer
	machine  machine
}

// init sets the fixed fields.
func (c *core) init(l *Layer, id digest, method method, m machine) {
	c.shard, c.id, c.method, c.machine = l.shard(id), id, method, m
	c.timer.owner = c
}

// insert puts c into the table, as one that conn carries.
func (c *core) insert(conn uint64) {
	s := c.shard
	if n := len(s.free); n > 0 {
		c.ref, s.free = s.free[n-1], s.free[:n-1]
		s.live[c.ref] = c
	} else {
		if len(s.live) == 0 {
			s.live = append(s.live, nil) // no ref is 0
		}
		c.ref = uint32(len(s.live))
		s.live = append(s.live, c)
	}
	s.index.insert(c.id.tag(), c.ref)
	c.enlist(conn)
	kind := c.machine.kind
	s.counts.live[kind]++
	s.counts.created[kind]++
	s.layer.live[kind/2].Add(1)
}

// leave takes c from those at work. Its entry in the index is the caller's to change first.
func (s *shard) leave(c *core) {
	s.wheel.stop(&c.timer)
	c.delist()
	s.live[c.ref] = nil
	s.free = append(s.free, c.ref)
	c.ref = 0
	if len(s.free) == len(s.live)-1 && len(s.live) > 1024 {
		s.live, s.free = nil, nil // what a flood made grow is given back
	}
}

// uncount says that there is one transaction less.
func (s *shard) uncount(kind Kind) {
	s.counts.live[kind]--
	s.layer.live[kind/2].Add(-1)
}

// remove takes c out of the table.
func (c *core) remove() {
	s := c.shard
	s.index.remove(c.id.tag(), c.ref)
	s.leave(c)
	s.uncount(c.machine.kind)
	if c.server != nil {
		countShares(&c.server.src.Shares, -1)
	}
}

// step gives the machine an event and does what concerns the table and the timer. The caller does the
// rest after it has unlocked the shard.
func (c *core) step(ev event, now instant) actions {
	if c.ref == 0 && c.machine.until != 0 && now >= c.machine.until {
		c.machine.terminate() // its record has ended without it
	}
	s := c.shard
	acts := c.machine.step(&s.layer.timers, ev, now)
	if c.ref == 0 {
		return acts
	}
	if acts&end != 0 {
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
	if due == 0 || c.machine.rests() {
		s.wheel.stop(&c.timer)
		return
	}
	at := s.layer.clock.tickAt(due)
	if c.timer.set && c.timer.at == at {
		return
	}
	s.wheel.stop(&c.timer)
	s.lookAt(s.wheel.add(&c.timer, at))
}

// lookAt has the clock look at the timers by then.
func (s *shard) lookAt(at tick) {
	if at < tick(s.look.Load()) {
		s.look.Store(int64(at))
		s.layer.clock.poke(at)
	}
}
