package transaction

import (
	"bytes"
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

// Server is a server transaction: RFC 3261, Section 17.2. Its methods may be called from several
// goroutines at once.
type Server struct {
	core
	src    *Source      // fixed
	method string       // fixed
	old    *sip.Message // fixed: the request, if its branch is not unique and all of it is needed to match

	// The shard's mu guards the fields below.

	key      serverKey
	req      *sip.Message  // until the final response
	toTag    string        // with old: the tag of the final response, which the ACK must have
	kept     []byte        // the last response, where it may have to be sent again; never changed
	out      queue[[]byte] // responses to send
	handing  bool          // the user has the request, but has not returned from it
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
	k, cseq, ok := l.keyOf(m, src)
	if !ok {
		l.turned.unreadable.Add(1)
		return
	}
	by, method := carrierOf(src.Flow), constantMethod(m.Method())
	now := l.clock.now()
	spent := src.spent()
	sh := l.shard(k.hash)
	sh.mu.Lock()
	found, chain := sh.findServer(k, method, m, cseq)
	switch {
	case found != nil:
		sh.counts.absorbed++
		w := found.stepFor(event{kind: evMessage}, now)
		sh.mu.Unlock()
		found.carryOut(&w)
		return
	case chain >= maxChain || l.live[1].Load() >= int64(l.cfg.MaxTransactions) || l.draining.Load():
		sh.mu.Unlock()
		l.refuse(m, src, k, "too many transactions", int64(l.cfg.MaxTransactions))
		return
	case spent != nil:
		sh.mu.Unlock()
		l.turned.overShare.Add(1)
		l.refuse(m, src, k, "too many transactions of one source or identity", spent.limit)
		return
	case l.cfg.Overloaded != nil && tag(m.To()) == "" && l.cfg.Overloaded():
		sh.mu.Unlock()
		l.turned.overload.Add(1)
		l.refuse(m, src, k, "more comes in than can be handled", 0)
		return
	}
	s := l.newServer(k, method, m, src, by)
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

// newServer puts a new server transaction into the table. The caller holds the shard's mu.
func (l *Layer) newServer(k serverKey, method string, m *sip.Message, src *Source, by carrier) *Server {
	s := &Server{src: src, method: method, key: k, req: m}
	if k.branch == "" {
		s.old = m
	}
	kind := ServerNonInvite
	if method == sip.MethodInvite {
		kind = ServerInvite
	}
	s.core.init(l, k.hash, newMachine(kind, by.reliable))
	s.core.server = s
	s.insert(by.conn)
	src.count(1)
	return s
}

// ack handles an ACK: it ends the retransmission of a final response, or is the user's.
func (l *Layer) ack(m *sip.Message, src *Source) {
	k, cseq, ok := l.keyOf(m, src)
	if !ok {
		l.turned.unreadable.Add(1)
		return
	}
	sh := l.shard(k.hash)
	sh.mu.Lock()
	s, _ := sh.findServer(k, sip.MethodInvite, m, cseq)
	acts := passAck
	if s != nil {
		acts = s.step(event{kind: evAck}, l.clock.now())
	}
	sh.mu.Unlock()
	if acts&passAck != 0 && (s != nil || !l.refusedBefore(m, k)) {
		l.cfg.User.Ack(m, src)
	}
}

// stepFor steps the machine and gathers what the actions need. The caller holds the shard's mu.
func (s *Server) stepFor(ev event, now instant) (w serverWork) {
	w.acts = s.step(ev, now)
	if w.acts&resendResponse != 0 {
		switch {
		case s.kept != nil:
			if s.out.claim(s.kept) {
				w.send = s.kept
			}
		case s.machine.state == Proceeding: // The user has said nothing yet.
			w.acts |= sendTrying
		}
	}
	if w.acts&sendTrying != 0 {
		w.req = s.req
	}
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
			s.layer.turned.undelivered.Add(1)
		}
		giveBuffer(buf)
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
// delivered is told by User.ServerFailed.
func (s *Server) Respond(b []byte, status int) error {
	invite := s.machine.kind == ServerInvite // fixed, like reliable
	var kept []byte
	switch {
	case invite && status >= 300:
		// Over a connection as well: when it breaks, the client may send the request again over another one.
		kept = bytes.Clone(b)
	case !s.machine.reliable && (!invite || status < 200):
		kept = bytes.Clone(b)
	}
	toTag := ""
	if s.old != nil && invite && status >= 300 {
		toTag = tagIn(b)
	}

	now := s.layer.clock.now()
	s.shard.mu.Lock()
	acts := s.step(event{kind: evRespond, status: status}, now)
	if acts == 0 {
		awaited := s.machine.outstanding()
		s.shard.mu.Unlock()
		if awaited {
			return ErrProvisional
		}
		return ErrEnded
	}
	if acts&release != 0 {
		s.release()
		s.toTag = toTag
	}
	mine := false
	if acts&sendResponse != 0 {
		s.kept = kept
		queued := kept
		if queued == nil && s.out.busy {
			queued = bytes.Clone(b)
		}
		mine = s.out.claim(queued)
	}
	s.shard.mu.Unlock()
	if mine {
		s.flush(b)
	}
	return nil
}

// release frees the request: what the key needs of it is copied. The caller holds the shard's mu.
func (s *Server) release() {
	s.req, s.kept = nil, nil
	if s.old != nil || s.machine.state == Terminated {
		return
	}
	branch := len(s.key.branch)
	text := s.key.branch + s.key.host
	s.key.branch, s.key.host = text[:branch], text[branch:]
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
	s.layer.turned.undelivered.Add(1)
	now := s.layer.clock.now()
	s.shard.mu.Lock()
	s.step(event{kind: evFailed}, now)
	s.shard.mu.Unlock()
	s.tell(&TransportError{Err: err}) // also if this response had ended the transaction
}

// tell tells the user of a failure. A CANCEL's transaction has no user.
func (s *Server) tell(err error) {
	if s.method != sip.MethodCancel {
		s.layer.cfg.User.ServerFailed(s, err)
	}
}

// Request returns the request, or nil once the final response was given: the transaction does not keep it
// longer than it must.
func (s *Server) Request() *sip.Message {
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	return s.req
}

// Source returns where the request came from.
func (s *Server) Source() *Source { return s.src }

// Method returns the method of the request.
func (s *Server) Method() string { return s.method }

// Tag returns the tag for To of responses that the user makes itself. The layer's own answer to a CANCEL
// has the same: RFC 3261, Section 9.2.
func (s *Server) Tag() string {
	s.shard.mu.Lock()
	k := s.key
	s.shard.mu.Unlock()
	return s.layer.tag(k, s.old)
}

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
	return strings.Clone(tag(m.To()))
}
