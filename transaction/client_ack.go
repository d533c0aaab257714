package transaction

import (
	"bytes"
	"errors"

	"github.com/tandem-sip/tandem/sip"
)

// The ACK for a final response other than 2xx: RFC 3261, Section 17.1.1.3. The ACK for a 2xx is the
// user's, who sends it by the flow itself.

// errGone is why an ACK does not go over the flow of its INVITE.
var errGone = errors.New("connection closed")

// acknowledge sends the ACK for w.resp, or the one that was sent before.
func (c *Client) acknowledge(w *clientWork) {
	ack, l := w.ack, c.shard.layer
	if ack == nil {
		if w.sent == nil {
			return // another response is being acknowledged
		}
		sent, err := sip.Parse(string(w.sent))
		letGo(w.sent)
		ack = []byte{}
		if err == nil {
			buf := takeBuffer()
			*buf = sip.AppendAck((*buf)[:0], sent, w.resp)
			ack = bytes.Clone(*buf)
			giveBuffer(buf)
		} else { // The user started it with something else than a request.
			l.turned.lost.Add(1)
		}
		c.shard.mu.Lock()
		c.ack = ack
		c.shard.mu.Unlock()
	}
	if len(ack) == 0 {
		return
	}
	err := errGone
	if !w.gone {
		err = w.flow.Send(ack)
	}
	if err == nil {
		return
	}
	// RFC 5923, Section 8.1
	ok := l.reconnect(w.flow, func(f Flow, err error) {
		if err == nil {
			c.moveTo(f)
			err = f.Send(ack)
		}
		if err != nil {
			l.turned.lost.Add(1)
			c.fail(err)
		}
	})
	if !ok {
		c.fail(err)
	}
}

// reconnect asks for a flow to where old led. It reports false if nobody can give one.
func (l *Layer) reconnect(old Flow, done func(Flow, error)) bool {
	if l.cfg.Reconnect == nil || old.ID() == 0 {
		l.turned.lost.Add(1)
		return false
	}
	l.turned.reconnected.Add(1)
	l.cfg.Reconnect(old, done)
	return true
}

// moveTo goes on over another flow.
func (c *Client) moveTo(f Flow) {
	p := pathOf(f)
	c.shard.mu.Lock()
	c.path = p
	if c.machine.outstanding() {
		c.delist()
		c.enlist(p.id)
	}
	c.shard.mu.Unlock()
}
