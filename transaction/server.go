package transaction

import (
	"bytes"

	"github.com/tandem-sip/tandem/sip"
)

// Server is a server transaction: RFC 3261, Section 17.2. Its methods may be called from several
// goroutines at once.
type Server struct {
	core
	src  *Source // fixed
	name string  // fixed: the method
	old  bool    // fixed: the branch is not unique, see serverKey
	to   uint32  // fixed, with old: the tag of To

	// The shard's mu guards the fields below.

	handing  bool          // the user has the request, but has not returned from it
	ackTo    uint32        // with old: the tag of the final response, which the ACK must have
	req      *sip.Message  // until the final response
	kept     []byte        // the last response, where it may have to be sent again; from hold
	out      queue[[]byte] // responses to send
	canceled *sip.Message  // CANCEL that came meanwhile
	attached any
}

// serverWork is what a step leaves to be done without the lock.
type serverWork struct {
	acts actions
	send []byte       // claimed from out
	req  *sip.Message // for a 100
}

// request handles a request other than ACK and CANCEL.
func (l *Layer) request(m *sip.Message, src *Source) {
	k, ok := l.keyOf(m, src)
	if !ok {
		l.turned.unreadable.Add(1)
		m.Release()
		return
	}
	by, method := carrierOf(src.Flow), l.methodOf(m.Method())
	now := l.clock.now()
	spent := src.spent()
	sh := l.shard(k.id)
	sh.mu.Lock()
	found, chain := sh.findServer(&k, method, false)
	switch {
	case found.ref != 0:
		l.again(sh, &found, src, now) // gives the lock back
		m.Release()
		return
	case chain >= maxChain || l.live[1].Load() >= int64(l.cfg.MaxTransactions) || l.draining.Load():
		sh.mu.Unlock()
		l.refuse(m, src, &k, "too many transactions", int64(l.cfg.MaxTransactions))
		return
	case spent != nil:
		sh.mu.Unlock()
		l.turned.overShare.Add(1)
		l.refuse(m, src, &k, "too many transactions of one source or identity", spent.limit)
		return
	case l.cfg.Overloaded != nil && tag(m.To()) == "" && l.cfg.Overloaded():
		sh.mu.Unlock()
		l.turned.overload.Add(1)
		l.refuse(m, src, &k, "more comes in than can be handled", 0)
		return
	}
	s := l.newServer(&k, method, m, src, by)
	s.handing = true
	w := s.stepFor(event{kind: evStart}, now)
	sh.mu.Unlock()

	s.carryOut(&w)
	l.cfg.User.Request(s, m, src)

	sh.mu.Lock()
	s.handing = false
	cancel := s.canceled
	s.canceled = nil
	sh.mu.Unlock()
	if cancel != nil {
		l.cfg.User.Cancel(s, cancel)
	}
}

// again takes a request that is known already. The caller holds the shard's mu, which is given back.
func (l *Layer) again(sh *shard, found *matched, src *Source, now instant) {
	sh.counts.absorbed++
	if s := found.server; s != nil {
		w := s.stepFor(event{kind: evMessage}, now)
		sh.mu.Unlock()
		s.carryOut(&w)
		return
	}
	// The response is repeated to where it went already and nowhere else: no other flow is kept.
	f := found.place
	if !f.repeats || f.from != l.sourceDigest(src) {
		sh.mu.Unlock()
		return
	}
	sh.counts.retransmits[f.kind]++
	buf := takeBuffer()
	*buf = append((*buf)[:0], sh.kept.get(f.kept)...)
	sh.mu.Unlock()
	if err := src.Flow.Send(*buf); err != nil {
		l.turned.undelivered.Add(1)
	}
	giveBuffer(buf)
}

// newServer puts a new server transaction into the table. The caller holds the shard's mu.
func (l *Layer) newServer(k *serverKey, method method, m *sip.Message, src *Source, by carrier) *Server {
	m.Hold()
	s := &Server{src: src, name: nameOf(method, m.Method()), old: k.old, to: k.to, req: m}
	kind := ServerNonInvite
	if method == methodInvite {
		kind = ServerInvite
	}
	s.core.init(l, k.id, method, newMachine(kind, by.reliable))
	s.core.server = s
	s.insert(by.conn)
	countShares(&src.Shares, 1)
	return s
}

// ack handles an ACK: it ends the retransmission of a final response, or is the user's.
func (l *Layer) ack(m *sip.Message, src *Source) {
	k, ok := l.keyOf(m, src)
	if !ok {
		l.turned.unreadable.Add(1)
		m.Release()
		return
	}
	sh := l.shard(k.id)
	sh.mu.Lock()
	found, _ := sh.findServer(&k, methodInvite, true)
	known, pass := found.ref != 0, true
	switch {
	case found.server != nil:
		s := found.server
		pass = s.step(event{kind: evAck}, l.clock.now())&passAck != 0
		s.rest(nil)
	case known:
		pass = found.place.state == Accepted
	}
	sh.mu.Unlock()
	if pass && (known || !l.refusedBefore(m, &k)) {
		l.cfg.User.Ack(m, src)
	} else {
		m.Release()
	}
}

// rest leaves what a transaction at work keeps, once it has only to wait or is over. response is the final one that is
// to be repeated. The caller holds the shard's mu.
func (s *Server) rest(response []byte) {
	switch {
	case s.machine.state == Terminated:
	case s.ref != 0 && s.machine.rests():
		f := finished{whom: uint64(s.to) | uint64(s.ackTo)<<32}
		if response != nil && s.machine.kind == ServerNonInvite {
			f.repeats, f.kept, f.from = true, s.shard.kept.add(response), s.shard.layer.sourceDigest(s.src)
		}
		s.retire(f, s.src.Shares, nil)
	default:
		return
	}
	letGo(s.kept)
	s.kept = nil
}

// stepFor steps the machine and gathers what the actions need. The caller holds the shard's mu.
func (s *Server) stepFor(ev event, now instant) (w serverWork) {
	w.acts = s.step(ev, now)
	if w.acts&resendResponse != 0 {
		switch {
		case s.kept != nil:
			again := bytes.Clone(s.kept)
			if s.out.claim(again) {
				w.send = again
			}
		case s.machine.state == Proceeding: // The user has said nothing yet.
			w.acts |= sendTrying
		}
	}
	if w.acts&sendTrying != 0 {
		w.req = s.req
		w.req.Hold()
	}
	s.rest(nil)
	return w
}

// carryOut does what follows from a step, without the lock. A 100 is not queued: if it is overtaken, it
// does no harm.
func (s *Server) carryOut(w *serverWork) {
	if w.acts&sendTrying != 0 && w.req != nil {
		buf := takeBuffer()
		*buf = sip.AppendResponse((*buf)[:0], w.req, 100, "", "")
		// The user is not told if it fails: it may not know of the request yet, and has not asked for this.
		if err := s.src.Flow.Send(*buf); err != nil {
			s.shard.layer.turned.undelivered.Add(1)
		}
		giveBuffer(buf)
		w.req.Release()
	}
	if w.send != nil {
		s.flush(w.send)
	}
	if w.acts&tellTimeout != 0 {
		s.tell(ErrTimeout)
	}
}

// Respond gives the user's response, as written for the wire, and its status. It may be called with any
// number of provisional responses, one final response and, for an INVITE, any number of 2xx after a 2xx.
// What must be sent again is kept; b belongs to the caller again on return.
//
// Respond returns ErrEnded if the transaction takes no such response any more, and ErrProvisional for a
// provisional response that RFC 4320, Section 4.1 forbids; nothing is sent then. A 408 to a request other
// than INVITE ends the transaction without being sent: RFC 4320, Section 4.2. That a response could not be
// delivered is told by User.ServerFailed, but not of one that is repeated for a request that came again.
func (s *Server) Respond(b []byte, status int) error { return s.respond(b, status, evRespond) }

// Refuse is Respond for a final response that refuses the request at first sight. Where it may get lost, that to an INVITE
// is sent once and not kept, as RFC 3261, Section 8.2.7 has it: the INVITE is the user's again when it comes again, and
// is to be answered with the same Tag. Timer G would have ten more sent to a source that a datagram has only claimed.
func (s *Server) Refuse(b []byte, status int) error {
	if s.machine.kind == ServerInvite && !s.machine.reliable && !s.old && status >= 300 {
		return s.respond(b, status, evRefuse)
	}
	return s.respond(b, status, evRespond)
}

func (s *Server) respond(b []byte, status int, kind eventKind) error {
	invite := s.machine.kind == ServerInvite // fixed, like reliable
	ackTo := uint32(0)
	if s.old && invite && status >= 300 {
		ackTo = s.shard.layer.toTag(tagIn(b))
	}

	now := s.shard.layer.clock.now()
	s.shard.mu.Lock()
	acts := s.step(event{kind: kind, status: status}, now)
	if acts == 0 {
		awaited := s.machine.outstanding()
		s.shard.mu.Unlock()
		if awaited {
			return ErrProvisional
		}
		return ErrEnded
	}
	if acts&release != 0 {
		s.req.Release()
		s.req, s.ackTo = nil, ackTo
	}
	mine := false
	if acts&sendResponse == 0 {
		s.rest(nil)
	} else {
		var queued []byte
		if s.out.busy {
			queued = bytes.Clone(b)
		}
		mine = s.out.claim(queued)
		letGo(s.kept)
		s.kept = nil
		switch {
		case s.machine.state == Terminated: // refused
		case invite && status >= 300:
			// Over a connection as well: when it breaks, the client may send the request again over another one.
			// The ACK may be long in coming, so that this is no larger than it must be.
			s.kept = bytes.Clone(b)
		case !s.machine.reliable && status < 200:
			s.kept = hold(b)
		}
		s.rest(b)
	}
	s.shard.mu.Unlock()
	if mine {
		s.flush(b)
	}
	return nil
}

// flush sends b, and whatever was queued behind it meanwhile.
func (s *Server) flush(b []byte) {
	for ok := true; ok; {
		s.send(b)
		s.shard.mu.Lock()
		b, ok = s.out.take()
		s.shard.mu.Unlock()
	}
}

// send sends b over the flow that the request came from, and tells the user if it can't.
func (s *Server) send(b []byte) {
	err := s.src.Flow.Send(b)
	if err == nil {
		return
	}
	l := s.shard.layer
	l.turned.undelivered.Add(1)
	now := l.clock.now()
	s.shard.mu.Lock()
	s.step(event{kind: evFailed}, now)
	s.shard.mu.Unlock()
	s.tell(&TransportError{Err: err}) // also if this response had ended the transaction
}

// tell tells the user of a failure. A CANCEL's transaction has no user.
func (s *Server) tell(err error) {
	if s.method != methodCancel {
		s.shard.layer.cfg.User.ServerFailed(s, err)
	}
}

// Request returns the request, or nil once the final response was given: the transaction does not keep it
// longer than it must. Whoever calls it may release it.
func (s *Server) Request() *sip.Message {
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	s.req.Hold()
	return s.req
}

// Source returns where the request came from.
func (s *Server) Source() *Source { return s.src }

// Method returns the method of the request.
func (s *Server) Method() string { return s.name }

// Tag returns the tag for To of responses that the user makes itself. The layer's own answer to a CANCEL
// has the same: RFC 3261, Section 9.2.
func (s *Server) Tag() string { return s.shard.layer.tag(s.id) }

// Attach keeps v with the transaction, for its user.
func (s *Server) Attach(v any) {
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	s.attached = v
}

// Attached returns what was given to Attach, nil before.
func (s *Server) Attached() any {
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	return s.attached
}

// tagIn returns the tag of To in a written response.
func tagIn(b []byte) string {
	m, err := sip.Parse(string(b))
	if err != nil {
		return ""
	}
	return tag(m.To())
}
