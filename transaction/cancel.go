package transaction

import (
	"errors"

	"github.com/tandem-sip/tandem/sip"
)

// CANCEL, which is answered and made hop by hop: RFC 3261, Section 9.

// cancel handles a CANCEL: RFC 3261, Section 9.2. It is answered here; the user is told once.
func (l *Layer) cancel(m *sip.Message, src *Source) {
	k, ok := l.keyOf(m, src)
	if !ok {
		l.turned.unreadable.Add(1)
		m.Release()
		return
	}
	by := carrierOf(src.Flow)
	now := l.clock.now()
	sh := l.shard(k.id)
	sh.mu.Lock()
	known, chain := sh.findServer(&k, methodCancel, false)
	if known.ref != 0 {
		l.again(sh, &known, src, now) // gives the lock back
		m.Release()
		return
	}
	target, _ := sh.findServer(&k, 0, false)
	if target.ref == 0 {
		sh.mu.Unlock()
		l.turned.unmatched.Add(1)
		// Without state: if the request arrives late, the CANCEL that is sent again finds it.
		l.answer(m, src, 481, l.tag(k.id))
		m.Release()
		return
	}
	// What has finished is answered all the same, and nobody is told.
	invite := target.server
	pass := invite != nil && invite.step(event{kind: evCancel}, now)&passCancel != 0
	// A transaction of its own only where the CANCEL may be sent again.
	var own *Server
	if !by.reliable && chain < maxChain {
		own = l.newServer(&k, methodCancel, m, src, by)
		own.step(event{kind: evStart}, now)
	}
	sh.mu.Unlock()

	if own == nil {
		l.answer(m, src, 200, l.tag(k.id))
	} else {
		buf := takeBuffer()
		*buf = sip.AppendResponse((*buf)[:0], m, 200, "", l.tag(k.id))
		// It can't have a final response yet: nobody else knows this transaction.
		_ = own.Respond(*buf, 200)
		giveBuffer(buf)
	}
	if !pass {
		m.Release()
		return
	}
	sh.mu.Lock()
	wait := invite.handing
	if wait {
		invite.canceled = m // request passes it on when the user knows what it is that is canceled
	}
	sh.mu.Unlock()
	if !wait {
		l.cfg.User.Cancel(invite, m)
	}
}

// Cancel asks the far side to give up an INVITE: RFC 3261, Section 9.1. The CANCEL is sent now, or as soon
// as a provisional response has come; not at all if there is a final response first. extra are header
// field lines for it, such as Reason. The user goes on to be told of the INVITE's responses; if there is no
// final one within Timers.Cancel, of ErrTimeout. Only the first call counts; for other methods there is
// none.
func (c *Client) Cancel(extra ...sip.Line) {
	c.shard.mu.Lock()
	sent, needed := "", c.machine.kind == ClientInvite && c.machine.outstanding() && c.canceler == nil
	if needed {
		sent = string(c.sent)
	}
	c.shard.mu.Unlock()
	if !needed {
		return
	}
	l := c.shard.layer
	canceler := buildCancel(sent, extra...)
	if canceler == nil {
		l.turned.lost.Add(1)
		return
	}
	now := l.clock.now()
	c.shard.mu.Lock()
	if c.canceler != nil || !c.machine.outstanding() {
		c.shard.mu.Unlock()
		return
	}
	c.canceler = canceler
	w := c.stepFor(event{kind: evCancel}, now, nil, nil)
	c.shard.mu.Unlock()
	c.carryOut(&w)
}

// buildCancel returns the CANCEL for the request sent, nil if that can't be read.
func buildCancel(sent string, extra ...sip.Line) []byte {
	m, err := sip.Parse(sent)
	if err != nil {
		return nil
	}
	return sip.AppendCancel(nil, m, extra...)
}

// sendCancel sends the CANCEL in a transaction of its own.
func (c *Client) sendCancel(w *clientWork) {
	u := &cancelUser{invite: c, flow: w.flow, message: w.canceler}
	if u.message == nil {
		u.message = buildCancel(w.whole)
	}
	switch {
	case u.message == nil:
		c.shard.layer.turned.lost.Add(1)
	case w.gone:
		u.reconnect()
	default:
		u.start()
	}
}

// cancelUser is the user of a CANCEL's client transaction.
type cancelUser struct {
	invite  *Client
	flow    Flow
	message []byte
	again   bool // flow is the second one
}

// start sends the CANCEL over u.flow.
func (u *cancelUser) start() {
	_, err := u.invite.shard.layer.start(u.message, u.invite.branch, sip.MethodCancel, u.flow, u)
	if err != nil {
		u.Failed(nil, err)
	}
}

// reconnect sends the CANCEL over a new connection: RFC 5923, Section 8.1.
func (u *cancelUser) reconnect() {
	l := u.invite.shard.layer
	l.reconnect(u.flow, func(f Flow, err error) {
		if err != nil {
			l.turned.lost.Add(1)
			return
		}
		u.invite.moveTo(f)
		v := &cancelUser{invite: u.invite, flow: f, message: u.message, again: true}
		v.start()
	})
}

// Response is not of interest: what counts is the final response to the INVITE.
func (u *cancelUser) Response(_ *Client, resp *sip.Message) { resp.Release() }

// Failed tries a new connection once if the first one is gone.
func (u *cancelUser) Failed(_ *Client, err error) {
	if _, gone := errors.AsType[*TransportError](err); gone && !u.again {
		u.reconnect()
		return
	}
	u.invite.shard.layer.turned.lost.Add(1)
}
