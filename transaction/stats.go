package transaction

import (
	"context"
	"time"
)

// Stats is what a layer has counted since it was made.
type Stats struct {
	Live        [4]int    // transactions in the table, by Kind
	Created     [4]uint64 // transactions ever, by Kind
	Retransmits [4]uint64 // requests or responses that a transaction sent again, by Kind
	Absorbed    uint64    // requests received again
	Stray       uint64    // responses that belong to no transaction; dropped
	Foreign     uint64    // responses from a source that the request did not go to; dropped
	Unreadable  uint64    // messages without a Via or CSeq to match by; dropped
	TimedOut    uint64    // transactions that ended without a final response or its ACK
	Undelivered uint64    // messages that a flow did not take
	Refused     uint64    // requests answered 503, and Starts refused, for want of room or because of Drain
	OverShare   uint64    // of them, requests from a party that has all that it may have (Source.Shares)
	Overload    uint64    // of them, requests that came while Config.Overloaded said so
	Unmatched   uint64    // CANCELs answered 481
	Reconnected uint64    // CANCELs and ACKs that a new connection was asked for
	Lost        uint64    // CANCELs and ACKs that could not be sent at all
}

// Stats returns the counters.
func (l *Layer) Stats() Stats {
	st := Stats{
		Unreadable:  l.turned.unreadable.Load(),
		Undelivered: l.turned.undelivered.Load(),
		Refused:     l.turned.refused.Load(),
		OverShare:   l.turned.overShare.Load(),
		Overload:    l.turned.overload.Load(),
		Unmatched:   l.turned.unmatched.Load(),
		Reconnected: l.turned.reconnected.Load(),
		Lost:        l.turned.lost.Load(),
	}
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		n := s.counts
		s.mu.Unlock()
		for k := range kinds {
			st.Live[k] += n.live[k]
			st.Created[k] += n.created[k]
			st.Retransmits[k] += n.retransmits[k]
		}
		st.Absorbed += n.absorbed
		st.Stray += n.stray
		st.Foreign += n.foreign
		st.TimedOut += n.timeouts
	}
	return st
}

// Info is one transaction in the operators' listing.
type Info struct {
	Kind     Kind
	State    State
	Method   string
	Branch   string        // of the top Via; empty if the client sent none that is unique
	CallID   string        // server: until the final response; empty otherwise
	Conn     uint64        // the connection, 0 for datagrams
	Peer     string        // server: Source.Peer or else its address; client: Flow.Identity
	Canceled bool          // INVITE: canceled, or about to be
	Timer    string        // the timer that fires next, as the RFCs name it; empty if none is set
	In       time.Duration // until then
}

// maxListed is how many transactions are listed at most.
const maxListed = 10_000

// Transactions lists the transactions, in no order, at most 10,000 of them.
func (l *Layer) Transactions() []Info {
	var list []Info
	for i := range l.shards {
		from := len(list)
		var flows []Flow // asked for their ID when the lock is given back
		s := &l.shards[i]
		now := l.clock.now()
		s.mu.Lock()
		for _, c := range s.table {
			for ; c != nil && len(list) < maxListed; c = c.chain {
				info, flow := c.info(now)
				list, flows = append(list, info), append(flows, flow)
			}
		}
		s.mu.Unlock()
		for j, f := range flows {
			list[from+j].Conn = f.ID()
		}
	}
	return list
}

// info describes a transaction. The caller holds the shard's mu.
func (c *core) info(now instant) (Info, Flow) {
	m := &c.machine
	info := Info{Kind: m.kind, State: m.state, Canceled: m.wanted || m.cancel}
	if due := m.due(); due != 0 {
		again, until := m.timers()
		info.Timer, info.In = until, max(0, due-now)
		if due == m.again {
			info.Timer = again
		}
	}
	if t := c.client; t != nil {
		info.Method, info.Branch, info.Peer = t.method, t.branch, t.path.identity
		return info, t.path.flow
	}
	t := c.server
	info.Method, info.Branch, info.Peer = t.method, t.key.branch, t.src.Peer
	if info.Peer == "" {
		info.Peer = t.src.Remote.String()
	}
	if t.req != nil {
		info.CallID = t.req.CallID()
	}
	return info, t.src.Flow
}

// Outstanding returns how many transactions still owe or await a final response: those that have to
// complete before their connections are closed in order (RFC 5923, Section 8.3). conn limits it to one
// connection; 0 means all, and looks at every transaction.
func (l *Layer) Outstanding(conn uint64) int {
	n := 0
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		if conn != 0 {
			n += s.carried[conn].needs()
			s.mu.Unlock()
			continue
		}
		for _, c := range s.table {
			for ; c != nil; c = c.chain {
				if c.machine.outstanding() {
					n++
				}
			}
		}
		s.mu.Unlock()
	}
	return n
}

// OutstandingByConn returns what Outstanding tells of each connection that has any, in one look.
func (l *Layer) OutstandingByConn() map[uint64]int {
	n := make(map[uint64]int)
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		for conn, c := range s.carried {
			if needs := c.needs(); needs > 0 {
				n[conn] += needs
			}
		}
		s.mu.Unlock()
	}
	return n
}

// Drain refuses new requests with 503 and waits until no transaction is outstanding, or ctx is done. What
// is there goes on as usual, and the user may still start client transactions.
func (l *Layer) Drain(ctx context.Context) error {
	l.draining.Store(true)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for l.Outstanding(0) > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		}
	}
	return nil
}
