package load

import (
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// side is one of the two ends of a call.
type side uint8

const (
	callerSide side = iota
	calleeSide
)

var sideNames = [2]string{"caller", "callee"}

// call is one arrival: its two ends, or the one of them that is here. The generator's lock guards it.
type call struct {
	id     string // Call-ID
	script *script
	ring   time.Duration
	hold   time.Duration
	tally  *tally
	due    instant // when it was to begin

	open int  // ends that have not come to their end
	over bool // all ends have, or it has failed
	legs [2]leg
}

// phase is how far an end of a call is.
type phase uint8

const (
	absent   phase = iota // not here, or not called yet
	inviting              // the first request is sent, or is not answered for good
	up                    // the dialog stands, and what is to come in it comes
	ended                 // all was well
)

// leg is one end of a call: a state machine that is told messages and the time.
type leg struct {
	call  *call
	side  side
	phase phase
	at    *place // where it is reached
	path  path   // where its requests go

	tag       string // its own
	contact   string // its own URI
	from, to  string // of the requests that it sends
	target    string // Request-URI of those: of the far end inside the dialog
	routes    []string
	remoteTag string
	remoteSeq uint32

	user       string // that credentials are of; "": that of from
	challenges []challenge
	vouched    []byte // the credentials of the last INVITE

	seq      uint32
	branches int // that were used
	rang     bool
	byeSeen  bool // before the ACK
	vias     int  // of the requests that come; 0: none came

	inv clientTx // the last INVITE that it sent
	req clientTx // the last other request
	srv serverTx // the last request but INVITE that it got
	uas serverTx // the last INVITE that it got

	ringUntil instant // when the call is answered
	since     instant // when the dialog stood
	actions   []action
	act       int     // actions that were done
	actAt     instant // when the next is due
	giveUp    instant // when the far end has waited too long

	due   instant // when the earliest of all these is
	place int     // in the heap, from 1; 0: not in it
}

// clientTx is a request that was sent. Its times are never when there is nothing to be done.
type clientTx struct {
	state    txState
	method   string
	seq      uint32
	branch   int    // its number among the branches of the end
	raw      []byte // as it was sent
	measure  measure
	tries    uint8   // how often it was sent before, and challenged
	intended instant // when it was to be sent, first
	interval time.Duration
	again    instant // when it is sent again
	deadline instant
}

type txState uint8

const (
	unused txState = iota
	trying
	proceeding // a provisional response has come
	completed  // a final one
)

// serverTx is a request that came, and what it was answered.
type serverTx struct {
	branch  string
	seq     uint32
	request *sip.Message // until it is answered for good
	answer  []byte       // the last response to it
	unacked bool         // it is an INVITE, was answered 2xx, and has no ACK
	// overtaken is the number of an INVITE before, whose ACK had not come yet.
	overtaken uint32
	interval  time.Duration
	again     instant
	deadline  instant
}

// reset makes the end as new, and keeps its buffers.
func (l *leg) reset() {
	clear(l.challenges) // they hold texts
	*l = leg{
		inv:    clientTx{raw: l.inv.raw[:0], again: never, deadline: never},
		req:    clientTx{raw: l.req.raw[:0], again: never, deadline: never},
		srv:    serverTx{answer: l.srv.answer[:0], again: never, deadline: never},
		uas:    serverTx{answer: l.uas.answer[:0], again: never, deadline: never},
		routes: l.routes[:0], challenges: l.challenges[:0], vouched: l.vouched[:0],
		ringUntil: never, actAt: never, giveUp: never, due: never,
	}
}

// quiet ends all that the end would do by itself.
func (l *leg) quiet() {
	l.inv.again, l.inv.deadline, l.req.again, l.req.deadline = never, never, never, never
	l.uas.again, l.uas.deadline = never, never
	l.ringUntil, l.actAt, l.giveUp = never, never, never
	l.uas.request, l.srv.request = nil, nil
}

// next returns when the end has something to do.
func (l *leg) next() instant {
	return min(l.inv.again, l.inv.deadline, l.req.again, l.req.deadline, l.uas.again, l.uas.deadline,
		l.ringUntil, l.actAt, l.giveUp)
}

// newCall returns a call, perhaps one that was used before.
func (e *engine) newCall(id string, s *script, t *tally) *call {
	var c *call
	if n := len(e.spare); n > 0 {
		c = e.spare[n-1]
		e.spare = e.spare[:n-1]
	} else {
		c = new(call)
	}
	c.id, c.script, c.tally = id, s, t
	c.ring, c.hold = e.cfg.Ring, e.cfg.Hold
	c.open, c.over, c.due = 0, false, 0
	for i := range c.legs {
		c.legs[i].reset()
		c.legs[i].call, c.legs[i].side = c, side(i)
	}
	e.calls[id] = c
	e.open++
	return c
}

// lingering is how long both ends remember a call that is over, for what is sent again.
const lingering = 5 * time.Second

type memory struct {
	call  *call
	until instant
}

// over ends a call, which is remembered for a while.
func (e *engine) over(c *call, now instant) {
	c.over = true
	e.open--
	for i := range c.legs {
		c.legs[i].quiet()
		e.timers.set(&c.legs[i], never)
	}
	c.tally.ended = now
	e.memories = append(e.memories, memory{c, now + lingering})
}

// forget frees what was over long enough ago.
func (e *engine) forget(now instant) {
	n := 0
	for n < len(e.memories) && e.memories[n].until <= now {
		c := e.memories[n].call
		e.memories[n].call = nil
		n++
		delete(e.calls, c.id)
		if len(e.spare) < maxOpen {
			e.spare = append(e.spare, c)
		}
	}
	e.memories = e.memories[n:]
}

// end notes that an end is through with its call, and that all was well.
func (e *engine) end(l *leg, now instant) {
	if l.phase == ended || l.call.over {
		return
	}
	l.phase = ended
	l.quiet()
	c := l.call
	if c.open--; c.open == 0 {
		c.tally.done++
		e.over(c, now)
	}
}
