package transaction

import (
	"context"
	"strings"
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
	Branch   string        // of the top Via, until the final response; empty if the client sent none that is unique
	CallID   string        // server: until the final response; empty otherwise
	Conn     uint64        // the connection, 0 for datagrams, or for what has finished
	Peer     string        // server: Source.Peer or else its address; client: Flow.Identity; empty for what has finished
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
		for _, c := range s.live {
			if c != nil && len(list) < maxListed {
				info, flow := c.info(now)
				list, flows = append(list, info), append(flows, flow)
			}
		}
		for r := range s.rings {
			for at := s.rings[r].head; at != s.rings[r].tail && len(list) < maxListed; at++ {
				if f := s.rings[r].at(at & refPosition); f.state != Terminated {
					list = append(list, f.info(now))
				}
			}
		}
		s.mu.Unlock()
		for j, f := range flows {
			list[from+j].Conn = f.ID()
		}
	}
	return list
}

// info describes a transaction at work. The caller holds the shard's mu.
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
		info.Method, info.Branch, info.Peer = t.name, t.branch, t.path.identity
		return info, t.path.flow
	}
	t := c.server
	info.Method, info.Peer = t.name, t.src.Peer
	if info.Peer == "" {
		info.Peer = t.src.Remote.String()
	}
	if t.req != nil {
		info.CallID = strings.Clone(t.req.CallID())
		if branch := t.req.Branch(); unique(branch) {
			info.Branch = strings.Clone(branch)
		}
	}
	return info, t.src.Flow
}

// info describes a transaction that has finished.
func (f *finished) info(now instant) Info {
	m := machine{kind: f.kind, state: f.state}
	info := Info{Kind: f.kind, State: f.state, In: max(0, f.until-now)}
	_, info.Timer = m.timers()
	if f.method&methodUnknown == 0 {
		info.Method = methods[f.method]
	}
	return info
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
			n += s.carriedBy(conn).needs()
			s.mu.Unlock()
			continue
		}
		for _, c := range s.live {
			if c != nil && c.machine.outstanding() {
				n++
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
		for _, e := range s.carried.slots {
			if e.ref != 0 {
				if c := s.live[e.ref]; c.needs() > 0 {
					n[c.carriage.conn] += c.needs()
				}
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

// Wait waits until no transaction is outstanding, or ctx is done. New requests are taken meanwhile.
func (l *Layer) Wait(ctx context.Context) error {
	poll := time.NewTicker(5 * time.Millisecond)
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
