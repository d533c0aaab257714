package node

import (
	"bytes"
	"context"
	"log/slog"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/internal/trace"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/transport"
)

// What is received and sent is told to the recorder here: in wire.go when it comes, in flow.Send when it goes.

// Trace returns what records the messages.
func (n *Node) Trace() *trace.Recorder { return n.trace }

// record tells the recorder of a message that came. err says why it cannot be used.
func (w wire) record(m *sip.Message, err error, src *transport.Source) {
	want := w.trace.Received(m.CallID())
	if want == 0 {
		return
	}
	out := &trace.Message{
		Time: time.Now(), Transport: src.Transport, Conn: src.Flow.ID(), Local: src.Local, Remote: src.Remote, LocalDomain: src.LocalDomain,
	}
	if j, ok := src.User.(*judgement); ok && j != nil {
		out.Peer, out.Identity = j.peer, j.identity
	}
	if err != nil {
		out.Problem = err.Error()
	}
	trace.Record(w.trace, want, out, m.Raw())
}

// watched reports whether anybody wants to know of messages: the recorder, or who reads the log.
func (n *Node) watched() bool {
	return n.trace.Active() || n.log.Enabled(context.Background(), slog.LevelDebug)
}

// Send sends b, as transport.Flow does, and tells the recorder and the log.
func (f *flow) Send(b []byte) error {
	if f.node == nil || !f.node.watched() {
		return f.Flow.Send(b)
	}
	want := f.node.trace.Sent(b)
	logged := f.hop.To.IsValid() && !bytes.HasPrefix(b, []byte("SIP/2.0 ")) && f.node.log.Enabled(context.Background(), slog.LevelDebug)
	if want == 0 && !logged {
		return f.Flow.Send(b)
	}
	now := time.Now() // before the answer to it can come
	err := f.Flow.Send(b)
	if err == nil {
		f.sent(b, now, want, logged)
	}
	return err
}

// sent tells the recorder and the log of a message that was sent.
func (f *flow) sent(b []byte, at time.Time, want trace.Want, logged bool) {
	var why *trace.Decision
	if f.hop.To.IsValid() && !bytes.HasPrefix(b, []byte("SIP/2.0 ")) {
		why = f.Decision()
	}
	if logged {
		method, _, _ := bytes.Cut(b, []byte(" "))
		f.node.log.Debug("request sent", "call_id", string(trace.CallIDOf(b)), "method", string(method), "conn", f.ID(), "peer", f.Remote(), "decision", why)
	}
	trace.Record(f.node.trace, want, &trace.Message{
		Time: at, Sent: true, Transport: f.Transport(), Conn: f.ID(), Local: f.Local(), Remote: f.Remote(), LocalDomain: f.LocalDomain(),
		Peer: f.far.peer, Identity: f.far.identity, Decision: why,
	}, b)
}

// Decision says why a request goes over f.
func (f *flow) Decision() *trace.Decision {
	if f.decided != nil {
		return f.decided
	}
	x := f.node.net.Why(f.hop)
	if f.Reliable() {
		x.Action = transport.Reuse
	}
	if f.Transport().Secure() && !x.Reuse() { // the row is gone since
		x.Decision = alias.Decision{Reason: alias.Reuse, Considered: x.Considered}.On(f.hop.Basis)
	}
	x.Conn, x.Err = alias.ConnID(f.ID()), nil
	return trace.Decide(f.hop, x)
}

// because returns a flow like f, which was made because of a decision.
func (f *flow) because(why transport.Explanation, dec alias.Decision) *flow {
	why.Conn, why.Reason, why.Basis, why.Err = alias.ConnID(f.ID()), dec.Reason, dec.Basis, nil
	if dec.Reuse() {
		why.Action = transport.Reuse
	}
	made := *f
	made.decided = trace.Decide(f.hop, why)
	return &made
}
