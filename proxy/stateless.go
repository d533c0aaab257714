package proxy

// RFC 3261, Section 16.11: what is forwarded without a transaction. That is the ACK to a 2xx alone: everything
// else is forwarded with state, and a response that fits no transaction is dropped (RFC 6026, Section 7.3).

import (
	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/transaction"
)

// Ack forwards an ACK to a 2xx. It is never answered, so whatever is wrong with it ends it in silence.
func (c *Core) Ack(req *sip.Message, src *transaction.Source) {
	c.stats.requests.count(sip.MethodAck)
	a, ok := c.acks.Get().(*ack)
	if !ok {
		a = new(ack)
		a.whenLocated, a.whenConnected = a.located, a.connected
	}
	if err := c.newPlan(&a.plan, req, src); err != nil || a.plan.local {
		c.stats.droppedAcks.Add(1)
		a.end()
		return
	}
	// One target, and the same for each retransmission: the first of the set.
	c.net.Locate(a.plan.targets[0].hop, a.whenLocated)
}

// ack is an ACK on its way. It goes from one step to the next, so that nobody needs it once the last is done.
type ack struct {
	plan      plan
	out       attempt // for its flow and branch
	addresses []sipaddr.Resolved
	at        int

	// The methods of those names, made once.
	whenLocated   func(resolve.Answer, error)
	whenConnected func(Flow, error)
}

func (a *ack) located(ans resolve.Answer, err error) {
	if err == nil {
		a.addresses = usable(ans.Addresses, a.plan.targets[0].reach)
	}
	a.connect()
}

func (a *ack) connect() {
	p := &a.plan
	if a.at == len(a.addresses) {
		p.core.stats.droppedAcks.Add(1)
		a.end()
		return
	}
	t := &p.targets[0]
	p.core.net.Connect(Hop{To: a.addresses[a.at], URI: t.hop, Reference: t.reference, LocalDomain: p.domain,
		Size: p.size()}, a.whenConnected)
}

func (a *ack) connected(f Flow, err error) {
	p := &a.plan
	if err == nil {
		a.out.flow, a.out.branch = f, p.core.statelessBranch(p.req, p.loop)
		b := getBuffer()
		*b = p.write(*b, &a.out, &p.targets[0], 0, nil)
		err = f.Send(*b)
		putBuffer(b)
	}
	if err != nil {
		a.at++
		a.connect()
		return
	}
	p.core.stats.forwarded.count(sip.MethodAck)
	a.end()
}

// end gives back the memory of an ACK and of its message.
func (a *ack) end() {
	core := a.plan.core
	a.plan.req.Release()
	*a = ack{whenLocated: a.whenLocated, whenConnected: a.whenConnected}
	core.acks.Put(a)
}
