package transaction

import "github.com/tandem-sip/tandem/sip"

// What comes for a client transaction that has its final response: RFC 3261, Section 17.1.1.2 and RFC 6026, Section 7.2.

// lateAck answers a final response other than 2xx that comes again, because its ACK was lost.
type lateAck struct {
	flow Flow
	ack  []byte
}

// HandOver has another user told of each further 2xx to an INVITE that was given one. Whoever needs little for that
// lets go of the rest by it: the transaction waits for half a minute. The Client is nil in those calls, and
// several may come at once. It is meant to be called from within ClientUser.Response.
func (c *Client) HandOver(u ClientUser) {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	c.user, c.handed = u, true
}

// rest leaves a record once the transaction only waits and the user was told of everything. The caller holds the
// shard's mu.
func (c *Client) rest() {
	if c.ref == 0 || !c.machine.rests() || c.calls.busy {
		return
	}
	var late any
	if c.machine.kind == ClientInvite {
		switch {
		case c.machine.state == Completed && c.ack == nil:
			return // somebody is about to send it, and comes here again
		case c.machine.state == Completed:
			late = &lateAck{c.path.flow, c.ack}
		case c.machine.deaf: // the user has heard the last
		case c.handed:
			late = c.user
		default:
			late = c
		}
	}
	c.retire(finished{from: c.path.id, whom: c.shard.layer.identityDigest(c.path.identity), over: uint8(c.path.transport)}, [2]*Share{}, late)
}

// identityDigest stands for who authenticated.
func (l *Layer) identityDigest(identity string) uint64 { return l.key.text(identity).lo }

// late takes a response for a transaction that has finished, and reports whether a user has it now. The caller holds
// the shard's mu, which is given back.
func (l *Layer) late(sh *shard, found *matched, from *path, m *sip.Message) (passed bool) {
	f, status := found.place, m.StatusCode()
	if !(f.from != 0 && f.from == from.id) && (f.over != uint8(from.transport) || f.whom != l.identityDigest(from.identity)) {
		sh.counts.foreign++
		sh.mu.Unlock()
		return false
	}
	success := status >= 200 && status < 300
	switch late := f.late().(type) {
	case *lateAck:
		sh.mu.Unlock()
		if status >= 300 && len(late.ack) > 0 {
			l.ackAgain(sh, found.ref, late)
		}
	case *Client:
		call := upcall{user: late.user, resp: m}
		mine := success && late.calls.claim(call)
		sh.mu.Unlock()
		if mine {
			late.call(call)
		}
		return success
	case ClientUser:
		sh.mu.Unlock()
		if success {
			late.Response(nil, m)
		}
		return success
	default: // absorbed
		sh.mu.Unlock()
	}
	return false
}

// ackAgain repeats an ACK. A transaction that can't send it is over: RFC 3261, Section 17.1.4.
func (l *Layer) ackAgain(sh *shard, ref uint32, late *lateAck) {
	if late.flow.Send(late.ack) == nil {
		return
	}
	l.turned.undelivered.Add(1)
	sh.mu.Lock()
	if sh.holds(ref, late) {
		sh.forget(ref)
	}
	sh.mu.Unlock()
}
