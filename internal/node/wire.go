package node

import (
	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/internal/trace"
	"github.com/tandem-sip/tandem/proxy"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/transaction"
	"github.com/tandem-sip/tandem/transport"
)

// flow is a transport.Flow together with what was judged about the far end. It is a proxy.Flow.
type flow struct {
	transport.Flow
	far     *judgement
	hop     transport.Hop   // what it was found for; zero for the way back to a source
	node    *Node           // that is told of what is sent; nil: nobody is
	decided *trace.Decision // of a flow that was not there before; nil: there is one to be asked for
}

// Identity returns a stable text for whoever authenticated at the far end.
func (f *flow) Identity() string { return f.far.identity }

// TrustIdentity reports whether what the far end says about its users is believed: RFC 3325, Section 5.
func (f *flow) TrustIdentity() bool { return f.far.trustIdentity }

// Proved returns the identity by which requests inside a dialog can authenticate the far end again: name, under
// which it was authenticated now, unless another of its identities is that of a configured peer.
func (f *flow) Proved(name string) string {
	if j := f.far; j.by != nil && j.peer != "" && j.proxy.Reference != "" {
		if _, known := j.by.byIdentity[name]; !known {
			return j.proxy.Reference
		}
	}
	return name
}

var _ proxy.Flow = (*flow)(nil)

// origin is a source of messages as the transactions and the proxy see it, with the way back. It never
// changes.
type origin struct {
	transaction.Source
	back flow
}

// stranger is the judgement on somebody of whom nothing is known.
var stranger = &judgement{}

// source returns the origin for messages from src whose answers go over back. Messages of one connection
// share one as long as their answers do.
func (n *Node) source(src *transport.Source, back transport.Flow) *transaction.Source {
	j, _ := src.User.(*judgement)
	if j == nil {
		j = stranger
	} else if o := j.last.Load(); o != nil && o.back.Flow == back {
		return &o.Source
	}
	o := &origin{back: flow{Flow: back, far: j, node: n}}
	o.Source = transaction.Source{
		Flow:        &o.back,
		Remote:      sipaddr.Resolved{AddrPort: src.Remote, Transport: src.Transport},
		LocalDomain: src.LocalDomain,
		Peer:        j.peer,
		Identity:    j.identity,
		Shares:      j.shares,
		Any:         &j.proxy,
	}
	if j != stranger {
		j.last.Store(o)
	}
	return &o.Source
}

// wire is the transport.Handler of a Node: it carries messages from the sockets up.
type wire struct{ *Node }

// Message hands a message that has what everybody on the way must understand to the transactions, and
// has any other request answered: RFC 3261, Section 16.3. A response without it is dropped, for it belongs
// to nothing.
func (w wire) Message(m *sip.Message, src *transport.Source) {
	if err := m.Validate(); err != nil {
		w.Malformed(m, err, src)
		return
	}
	if w.trace.Active() {
		w.record(m, nil, src)
	}
	w.layer.Receive(m, w.source(src, w.back(m, src)))
}

// Malformed has what could not be read answered, where it can be.
func (w wire) Malformed(m *sip.Message, err error, src *transport.Source) {
	if m != nil && w.trace.Active() {
		w.record(m, err, src)
	}
	w.core.Malformed(m, err, w.source(src, w.back(m, src)))
}

// back returns the way that an answer to m goes: RFC 3261, Section 18.2.2.
func (w wire) back(m *sip.Message, src *transport.Source) transport.Flow {
	if m != nil && m.IsRequest() {
		if via, err := m.TopVia(); err == nil {
			return w.net.Reply(src, via)
		}
	}
	return src.Flow
}

// Closed tells the transactions of a connection that it is gone.
func (w wire) Closed(id alias.ConnID, err error) {
	w.flows.forget(id)
	w.layer.FlowClosed(uint64(id), err)
	w.pairs.ended()
}

// user is the transaction.User of a Node. The layer needs it before the core can be made.
type user struct{ *proxy.Core }
