package transaction

// What is left of a transaction that has its final response and only waits for the end of its last timer: a few words without a
// pointer. They last for half a minute and are many, while a transaction at work is soon done. The Server or Client that
// they were is nobody's any more but the user's.

// finished is one such transaction. Whoever may still concern it is known by digests alone.
type finished struct {
	id     digest
	until  instant // when it ends
	from   uint64  // server: digest of where requests came from; client: the connection, 0 for datagrams
	whom   uint64  // server: the tags of To, see serverKey; client: digest of the identity at the far end
	method method
	kept   uint32 // server: place of the last response, if repeats
	kind   Kind
	state  State // Terminated: it ended before its time
	over   uint8 // client: the transport
	// repeats: the last response is kept, for requests that come again.
	repeats bool

	_ [8]byte // to a whole line of the processor's cache, as chunks have room for
}

// The timers that finished transactions wait for, each with a ring.
const (
	ringD = iota
	ringI
	ringJ
	ringK
	ringL
	ringM
	ringCount
)

// ringOf returns the ring of a state: that of the timer that ends it.
func ringOf(kind Kind, state State) int {
	switch {
	case kind == ClientInvite && state == Accepted:
		return ringM
	case kind == ClientInvite:
		return ringD
	case kind == ClientNonInvite:
		return ringK
	case kind == ServerNonInvite:
		return ringJ
	case state == Accepted:
		return ringL
	}
	return ringI
}

// A ref says where a transaction of a shard is. One that is at work is a number of shard.live. A finished one has the
// highest bit, then the number of its ring and its position there.
const (
	refFinished = 1 << 31
	refRing     = 28
	refPosition = 1<<refRing - 1
)

// ring holds the finished transactions that wait for one timer. All wait equally long, so that they end in
// the order in which they came, and none has to be found to be taken out.
type ring struct {
	chunks     []*ringChunk
	last       *ringChunk // of chunks; meaningless while there is none
	spare      *ringChunk
	head, tail uint32 // positions of the first and behind the last; both count on, and wrap around
}

const ringChunkSize = 64

// ringChunk is a part of a ring. What has pointers stands apart, and only where there are any.
type ringChunk struct {
	transactions *[ringChunkSize]finished
	// shares say whom a server transaction is counted against.
	shares *[ringChunkSize][2]*Share
	// late is for what comes late for an INVITE of ours: the ClientUser or the *Client that is told of a
	// further 2xx, or the *lateAck that answers another final response.
	late *[ringChunkSize]any
}

// place is where a finished transaction stands.
type place struct {
	*finished
	chunk *ringChunk
	at    uint32
}

// shares returns whom a server transaction is counted against.
func (p *place) shares() (shares [2]*Share) {
	if p.chunk.shares != nil {
		shares = p.chunk.shares[p.at]
	}
	return shares
}

// late returns what waits for what comes late, nil if nothing does.
func (p *place) late() any {
	if p.chunk.late == nil {
		return nil
	}
	return p.chunk.late[p.at]
}

// push adds a transaction and returns its position.
func (r *ring) push(f finished, shares [2]*Share, late any) (position uint32) {
	at := r.tail % ringChunkSize
	if at == 0 {
		c := r.spare
		if r.spare = nil; c == nil {
			c = &ringChunk{transactions: new([ringChunkSize]finished)}
		}
		r.chunks, r.last = append(r.chunks, c), c
	}
	c := r.last
	c.transactions[at] = f
	if c.shares == nil && shares != [2]*Share{} {
		c.shares = new([ringChunkSize][2]*Share)
	}
	if c.shares != nil {
		c.shares[at] = shares
	}
	if c.late == nil && late != nil {
		c.late = new([ringChunkSize]any)
	}
	if c.late != nil {
		c.late[at] = late
	}
	position = r.tail & refPosition
	r.tail++
	return position
}

// at returns the transaction at a position.
func (r *ring) at(position uint32) place {
	c := r.chunks[((position-r.head)&refPosition+r.head%ringChunkSize)/ringChunkSize]
	at := position % ringChunkSize
	return place{&c.transactions[at], c, at}
}

// pop takes the first one out.
func (r *ring) pop() {
	r.head++
	if r.head%ringChunkSize == 0 {
		r.spare = r.chunks[0]
		r.chunks[0] = nil
		r.chunks = r.chunks[1:]
	}
}

// retire leaves a record in the place of a transaction that was at work until now and has only to wait. The
// caller holds the shard's mu.
func (c *core) retire(f finished, shares [2]*Share, late any) {
	s := c.shard
	f.id, f.until, f.method, f.kind, f.state = c.id, c.machine.until, c.method, c.machine.kind, c.machine.state
	n := ringOf(f.kind, f.state)
	ref := refFinished | uint32(n)<<refRing | s.rings[n].push(f, shares, late)
	s.index.replace(c.id.tag(), c.ref, ref)
	s.leave(c)
	s.lookAt(s.layer.clock.endAt(f.until))
}

// finished returns the transaction with a ref.
func (s *shard) finished(ref uint32) place {
	return s.rings[ref&^refFinished>>refRing].at(ref & refPosition)
}

// holds reports whether late waits at a ref still: its time may have come, and the place be another's.
func (s *shard) holds(ref uint32, late any) bool {
	r := &s.rings[ref&^refFinished>>refRing]
	if (ref-r.head)&refPosition >= r.tail-r.head {
		return false
	}
	f := s.finished(ref)
	return f.late() == late
}

// forget takes a finished transaction out of the table. Its place is free when its time has come.
func (s *shard) forget(ref uint32) {
	f := s.finished(ref)
	s.index.remove(f.id.tag(), ref)
	s.uncount(f.kind)
	if f.repeats {
		s.kept.drop(f.kept)
	}
	f.state = Terminated
	if f.chunk.shares != nil {
		shares := &f.chunk.shares[f.at]
		countShares(shares, -1)
		*shares = [2]*Share{}
	}
	if f.chunk.late != nil {
		f.chunk.late[f.at] = nil
	}
}

// maxEnded is how many finished transactions end under one lock.
const maxEnded = 256

// end ends the finished transactions whose time has come. It reports whether there are more, which end when others
// have had the lock.
func (s *shard) end(now instant) (more bool) {
	n := 0
	for i := range s.rings {
		for r := &s.rings[i]; r.head != r.tail; r.pop() {
			f := r.at(r.head & refPosition)
			if f.until > now {
				break
			}
			if n++; n > maxEnded {
				return true
			}
			if f.state != Terminated {
				s.forget(refFinished | uint32(i)<<refRing | r.head&refPosition)
			}
		}
	}
	return false
}

// firstEnd returns when the first of the finished transactions ends.
func (s *shard) firstEnd() tick {
	next := never
	for i := range s.rings {
		if r := &s.rings[i]; r.head != r.tail {
			next = min(next, s.layer.clock.endAt(r.at(r.head&refPosition).until))
		}
	}
	return next
}
