package transaction

import (
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// Client is a client transaction: RFC 3261, Section 17.1. Its methods may be called from several
// goroutines at once.
type Client struct {
	core
	branch string // fixed
	name   string // fixed: the method

	// The shard's mu guards the fields below.

	path     path
	final    bool   // the user has, or is about to get, the final response
	handed   bool   // HandOver was called
	sent     []byte // the request, as long as it may be sent again, acknowledged or canceled; from hold
	ack      []byte // the ACK, once it was built; empty if it could not be; never changed
	canceler []byte // the CANCEL, once it was asked for; never changed
	user     ClientUser
	calls    queue[upcall]
}

// path is a flow and what is known of it, asked once so that no lock is held while asking.
type path struct {
	flow      Flow
	id        uint64
	transport sipaddr.Transport
	identity  string
	gone      bool // FlowClosed has said so
}

func pathOf(f Flow) path {
	return path{flow: f, id: f.ID(), transport: f.Transport(), identity: f.Identity()}
}

// takes reports whether a response that came from another path may be one to what was sent over p: it
// came over the same connection, or over the same kind of transport from whoever p leads to.
func (p *path) takes(from *path) bool {
	if p.id != 0 && p.id == from.id {
		return true
	}
	return p.transport == from.transport && p.identity == from.identity
}

// upcall is a call of the user that waits its turn: a response, or else a failure.
type upcall struct {
	user ClientUser
	resp *sip.Message
	err  error
}

// clientWork is what a step leaves to be done without the lock.
type clientWork struct {
	acts     actions
	flow     Flow
	gone     bool    // flow is known to be closed
	again    *[]byte // for sendRequest: a copy from takeBuffer
	sent     []byte  // for the first sendAck: the request, which is given up with it; from hold
	whole    string  // for sendCancel without canceler: the request
	ack      []byte
	canceler []byte
	resp     *sip.Message
	call     upcall
	mine     bool // call was claimed
}

// Start sends a request over flow and makes a client transaction for it, which tells u how it goes. b is
// the request as written for the wire; what must be kept of it is copied. branch is that of its top Via
// and method its method; both are kept.
//
// Start returns a *TransportError if the flow does not take the request, ErrFull, ErrBranch or ErrMethod;
// u is not called then.
func (l *Layer) Start(b []byte, branch, method string, flow Flow, u ClientUser) (*Client, error) {
	if l.live[0].Load() >= int64(l.cfg.MaxTransactions) {
		l.turned.refused.Add(1)
		return nil, ErrFull
	}
	return l.start(b, branch, method, flow, u)
}

// start is Start without its limit: the number of CANCELs is bounded by that of INVITEs.
func (l *Layer) start(b []byte, branch, name string, flow Flow, u ClientUser) (*Client, error) {
	if name == sip.MethodAck {
		return nil, ErrMethod
	}
	method, kind := l.methodOf(name), ClientNonInvite
	if method == methodInvite {
		kind = ClientInvite
	}
	reliable := flow.Reliable()
	c := &Client{branch: branch, name: nameOf(method, name), path: pathOf(flow), user: u}
	if kind == ClientInvite || !reliable {
		c.sent = hold(b)
	}
	c.core.init(l, l.clientID(branch), method, newMachine(kind, reliable))
	c.core.client = c

	now := l.clock.now()
	c.shard.mu.Lock()
	if c.shard.findClient(c.id, method).ref != 0 {
		c.shard.mu.Unlock()
		return nil, ErrBranch
	}
	c.insert(c.path.id)
	c.step(event{kind: evStart}, now)
	c.shard.mu.Unlock()

	// The transaction is in the table before its request is on the wire, so that no response is too early.
	err := flow.Send(b)
	if err == nil {
		return c, nil
	}
	l.turned.undelivered.Add(1)
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	if c.step(event{kind: evFailed}, now) == 0 {
		return c, nil // Somebody was faster, and u was told.
	}
	c.letGo()
	return nil, &TransportError{Err: err}
}

// letGo gives up the request that was sent. The caller holds the shard's mu.
func (c *Client) letGo() {
	letGo(c.sent)
	c.sent = nil
}

// response handles a response: RFC 3261, Section 17.1.3.
func (l *Layer) response(m *sip.Message, src *Source) {
	via, err := m.TopVia()
	cseq, err2 := m.CSeq()
	if err != nil || err2 != nil {
		l.turned.unreadable.Add(1)
		m.Release()
		return
	}
	from := pathOf(src.Flow)
	from.identity = src.Identity
	own := l.cfg.OwnSentBy == nil || l.cfg.OwnSentBy(via)
	id, method := l.clientID(via.Branch), l.methodOf(cseq.Method)
	now := l.clock.now()
	sh := l.shard(id)
	sh.mu.Lock()
	found := sh.findClient(id, method)
	c, passed := found.client, false
	switch {
	case found.ref == 0 || !own: // Never forwarded: RFC 6026, Section 7.3.
		sh.counts.stray++
		sh.mu.Unlock()
	case c == nil:
		passed = l.late(sh, &found, &from, m) // gives the lock back
	case !c.path.takes(&from):
		sh.counts.foreign++
		sh.mu.Unlock()
	default:
		w := c.stepFor(event{evMessage, m.StatusCode()}, now, m, nil)
		sh.mu.Unlock()
		c.carryOut(&w)
		passed = w.call.resp != nil
	}
	if !passed {
		m.Release()
	}
}

// FlowClosed says that a connection is gone, or that nothing more will come over it, and why. The client
// transactions on it that wait for a final response fail; those whose INVITE was being worked on are canceled over a new connection.
func (l *Layer) FlowClosed(id uint64, err error) {
	if id == 0 {
		return
	}
	if err == nil {
		err = errGone
	}
	ev := event{kind: evClosed}
	if l.cfg.Reconnect == nil {
		ev.kind = evFailed
	}
	var work []dueWork
	for i := range l.shards {
		sh := &l.shards[i]
		now := l.clock.now()
		sh.mu.Lock()
		for t := sh.carriedBy(id); t != nil; {
			next := t.carriage.next // a step may take the transaction out of the list
			if c := t.client; c != nil {
				c.path.gone = true
				w := c.stepFor(ev, now, nil, err)
				work = append(work, dueWork{client: c, cwork: w})
			}
			t = next
		}
		sh.mu.Unlock()
		for j := range work {
			work[j].carryOut()
		}
		clear(work)
		work = work[:0]
	}
}

// stepFor steps the machine and gathers what the actions need: the response, or the cause of a failure.
// The caller holds the shard's mu.
func (c *Client) stepFor(ev event, now instant, resp *sip.Message, cause error) (w clientWork) {
	w.acts = c.step(ev, now)
	w.flow, w.gone = c.path.flow, c.path.gone
	w.resp = resp
	if w.acts&(sendAck|sendCancel) != 0 {
		w.ack, w.canceler = c.ack, c.canceler
	}
	if w.acts&sendRequest != 0 {
		w.again = takeBuffer()
		*w.again = append((*w.again)[:0], c.sent...)
	}
	if w.acts&sendAck != 0 && c.ack == nil {
		w.sent, c.sent = c.sent, nil
	}
	if w.acts&sendCancel != 0 && c.canceler == nil {
		w.whole = string(c.sent)
	}
	switch {
	case w.acts&passResponse != 0:
		w.call = upcall{user: c.user, resp: resp}
		c.final = c.final || ev.status >= 200
	case w.acts&(tellTimeout|tellFailed) != 0 && !c.final:
		w.call = upcall{user: c.user, err: ErrTimeout}
		if w.acts&tellFailed != 0 {
			w.call.err = &TransportError{Err: cause}
		}
	}
	if w.call.user != nil {
		w.mine = c.calls.claim(w.call)
	}
	if w.acts&(release|end) != 0 || c.machine.state == Completed {
		c.letGo()
		c.canceler = nil
	}
	if c.machine.state == Completed {
		c.user = nil
	}
	return w
}

// carryOut does what follows from a step, without the lock.
func (c *Client) carryOut(w *clientWork) {
	if w.again != nil {
		if err := w.flow.Send(*w.again); err != nil {
			c.fail(err)
		}
		giveBuffer(w.again)
	}
	if w.acts&sendAck != 0 {
		c.acknowledge(w)
	}
	if w.acts&sendCancel != 0 {
		c.sendCancel(w)
	}
	if timedOut := c.shard.layer.cfg.TimedOut; w.acts&tellTimeout != 0 && timedOut != nil {
		timedOut(w.flow)
	}
	if w.mine {
		c.call(w.call)
	} else if w.acts&(release|sendAck) != 0 {
		c.shard.mu.Lock()
		c.rest()
		c.shard.mu.Unlock()
	}
}

// call calls the user for what was claimed, and for what came meanwhile.
func (c *Client) call(call upcall) {
	for ok := true; ok; {
		if call.resp != nil {
			call.user.Response(c, call.resp)
		} else {
			call.user.Failed(c, call.err)
		}
		c.shard.mu.Lock()
		if call, ok = c.calls.take(); !ok {
			c.rest()
		}
		c.shard.mu.Unlock()
	}
}

// fail tells the machine that something could not be delivered.
func (c *Client) fail(err error) {
	c.shard.layer.turned.undelivered.Add(1)
	now := c.shard.layer.clock.now()
	c.shard.mu.Lock()
	w := c.stepFor(event{kind: evFailed}, now, nil, err)
	c.shard.mu.Unlock()
	c.carryOut(&w)
}

// Branch returns the branch that the transaction was started with.
func (c *Client) Branch() string { return c.branch }

// Method returns the method that the transaction was started with.
func (c *Client) Method() string { return c.name }

// Flow returns where the transaction sends. It changes only when its connection was closed.
func (c *Client) Flow() Flow {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	return c.path.flow
}
