package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/internal/trace"
	"github.com/tandem-sip/tandem/proxy"
	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/transaction"
	"github.com/tandem-sip/tandem/transport"
)

// network is the proxy.Network of a Node: it finds addresses and flows for what is sent.
type network struct{ *Node }

var _ proxy.Network = network{}

// Locate applies RFC 3263: from what is known at once, else on a goroutine of its own.
func (w network) Locate(u *sip.URI, done func(resolve.Answer, error)) {
	if a, ok := w.inForce.Load().finder.Cached(u); ok {
		done(a, nil)
		return
	}
	w.lookUp(u, done)
}

// lookUp asks the DNS.
func (w network) lookUp(u *sip.URI, done func(resolve.Answer, error)) {
	select {
	case w.lookups <- struct{}{}:
	default:
		done(resolve.Answer{}, fmt.Errorf("node: %d names are being looked up already: %w", maxLookups, resolve.ErrTemporary))
		return
	}
	w.pending.Add(1)
	// Ends when the name has been looked up, which takes at most resolve.Config.LookupTimeout.
	go func() {
		defer w.pending.Done()
		finder, begun := w.inForce.Load().finder, time.Now()
		a, err := finder.Resolve(context.Background(), u)
		for errors.Is(err, resolve.ErrTemporary) && w.inForce.Load().finder != finder {
			finder = w.inForce.Load().finder // a reload has put it in place, and ended the other's look-ups
			a, err = finder.Resolve(context.Background(), u)
		}
		<-w.lookups
		if w.lookedUp != nil {
			w.lookedUp(time.Since(begun))
		}
		if err != nil {
			w.troubles.note(w.inForce.Load().judge.nameFor(u.Host, netip.Addr{}), netip.AddrPort{}, strings.TrimPrefix(err.Error(), "resolve: "), mend(err))
		}
		done(a, err)
	}()
}

// Connect asks the transport which connection carries a request.
func (w network) Connect(h proxy.Hop, done func(proxy.Flow, error)) {
	hop := w.hop(h)
	if f, ok := w.net.Ready(hop); ok {
		done(w.flowOf(f, hop), nil)
		return
	}
	w.dial(h, hop, done)
}

// dial has the transport make a connection.
func (w network) dial(h proxy.Hop, hop transport.Hop, done func(proxy.Flow, error)) {
	hop.Reference = strings.Clone(hop.Reference) // it may be part of a request
	traced, why := w.followed || w.watched(), transport.Explanation{}
	if traced {
		why = w.net.Why(hop)
	}
	w.net.Flow(hop, func(f transport.Flow, dec alias.Decision, err error) {
		if err != nil {
			// The proxy tells of what it has sent; that nothing could be sent there is known here. Who is there
			// but could not prove the name, or a limit of ours, says nothing against the address.
			if _, unreachable := errors.AsType[*transport.DialError](err); unreachable {
				w.Reported(h.To, false)
			}
			failed := connectError(h, err)
			if traced {
				w.log.Debug("request not sent", "peer", h.To, "decision", trace.Decide(hop, why), "err", err)
			}
			at := h.To.Addr()
			if h.To.Transport.Secure() && hop.Reference != "" {
				at = netip.Addr{} // who must be there is known by name
			}
			w.troubles.note(w.inForce.Load().judge.nameFor(cmp.Or(hop.Reference, h.URI.Host), at), h.To.AddrPort, failed.Text, mend(err))
			done(nil, failed)
			return
		}
		found := w.flowOf(f, hop)
		if traced {
			found = found.because(why, dec)
		}
		done(found, nil)
	})
}

// flowOf returns f together with what was judged about the far end. Requests that go the same way share one: each hop
// has a place, which the latest takes.
func (w network) flowOf(f transport.Flow, hop transport.Hop) *flow {
	if !f.Reliable() || hop.To.Transport != sipaddr.UDP {
		hop.Size = 0 // it matters to what was too large for a datagram alone
	}
	far := w.farEnd(f)
	place := &w.flows[placeOf(hop.To)^uint8(hop.Basis)]
	if last := place.Load(); last != nil && last.Flow == f && last.far == far && last.hop == hop {
		return last
	}
	hop.Reference = strings.Clone(hop.Reference) // it may be part of a request
	made := &flow{Flow: f, far: far, hop: hop, node: w.Node}
	place.Store(made)
	return made
}

// flows are the flows that were found of late.
type flows [256]atomic.Pointer[flow]

// placeOf returns the place of a hop to an address.
func placeOf(to sipaddr.Resolved) uint8 {
	h := uint32(to.Port()) ^ uint32(to.Transport)<<8
	for _, x := range to.Addr().As16() {
		h = h*31 + uint32(x)
	}
	return uint8(h ^ h>>8 ^ h>>16)
}

// forget lets go of a connection that has ended.
func (p *flows) forget(id alias.ConnID) {
	for i := range p {
		if f := p[i].Load(); f != nil && f.ID() == uint64(id) {
			p[i].CompareAndSwap(f, nil)
		}
	}
}

// hop says which address a request is for, and who must be there.
func (w network) hop(h proxy.Hop) transport.Hop {
	hop := transport.Hop{To: h.To, LocalDomain: h.LocalDomain, Size: h.Size}
	if h.To.Transport.Secure() {
		hop.Reference, hop.Basis = w.reference(h)
	}
	return hop
}

// Reported has the resolver prefer addresses that answer.
func (w network) Reported(to sipaddr.Resolved, ok bool) {
	if ok {
		w.inForce.Load().finder.Worked(to)
		return
	}
	w.inForce.Load().finder.Failed(to)
}

// reference returns the name that the far end of a hop must prove: the host of the URI
// (RFC 5922, Section 7.3). An IP address proves nothing; for it there is what is configured for the peer
// there, or, for a peer of which that is configured, what it proved when the dialog was made.
func (w network) reference(h proxy.Hop) (string, alias.Basis) {
	if _, isIP := h.URI.IP(); !isIP {
		return h.URI.Host, alias.ByURI
	}
	judge := w.inForce.Load().judge
	if name := judge.referenceFor(h.To.Addr()); name != "" {
		return name, alias.ByConfiguration
	}
	if h.Reference != "" && judge.inherits(h.Reference) {
		return h.Reference, alias.ByDialog
	}
	return "", alias.ByURI
}

// farEnd returns what was judged about the far end of a flow.
func (n *Node) farEnd(f transport.Flow) *judgement {
	if j, ok := f.User().(*judgement); ok {
		return j
	}
	return n.inForce.Load().judge.datagrams(f.Remote().Addr())
}

// reconnect finds a new connection to where old led, for a CANCEL and for the ACK to a final response
// other than 2xx: RFC 5923, Section 8.1.
func (n *Node) reconnect(old transaction.Flow, done func(transaction.Flow, error)) {
	f, ok := old.(*flow)
	if !ok || !f.hop.To.IsValid() {
		done(nil, transport.ErrClosed)
		return
	}
	n.net.Flow(f.hop, func(g transport.Flow, _ alias.Decision, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		done(network{n}.flowOf(g, f.hop), nil)
	})
}

// connectError puts into words for an operator why there is no flow to an address.
func connectError(h proxy.Hop, err error) *proxy.ConnectError {
	out := &proxy.ConnectError{Err: err}
	var auth *transport.AuthError
	var dial *transport.DialError
	switch {
	case errors.As(err, &auth):
		out.Auth, out.Text = true, auth.Text()
	case errors.As(err, &dial) && dial.Refused:
		out.Text = fmt.Sprintf("%s refused the connection", h.To)
	case errors.As(err, &dial) && dial.Timeout && dial.Handshake:
		out.Text = fmt.Sprintf("%s did not finish the TLS handshake in time", h.To)
	case errors.As(err, &dial) && dial.Timeout:
		out.Text = fmt.Sprintf("%s did not answer the connection in time", h.To)
	case errors.As(err, &dial) && dial.Handshake:
		out.Text = fmt.Sprintf("TLS handshake with %s failed%s", h.To, handshakeWhy(err))
	case errors.Is(err, transport.ErrNoListener):
		out.Text = fmt.Sprintf("no listener to send from to %s", h.To)
	default:
		out.Text = strings.TrimPrefix(err.Error(), "transport: ")
	}
	return out
}

// timedOut tells the transport of a connection over which a request was not answered, so that it suspects one
// that leads to nobody.
func (n *Node) timedOut(f transaction.Flow) {
	if id := f.ID(); id != 0 {
		n.net.Suspect(alias.ConnID(id))
	}
}

// outstanding tells how many transactions still need a connection: RFC 5923, Section 8.3.
func (n *Node) outstanding(id alias.ConnID) int { return n.layer.Outstanding(uint64(id)) }

var errEnded = errors.New("peer ended its side of the connection")

// ended tells the client transactions of a connection that they will get no response over it: their requests
// go over new ones, CANCELs and ACKs included (RFC 5923, Section 8.1). Server transactions still answer.
func (n *Node) ended(id alias.ConnID) {
	n.layer.FlowClosed(uint64(id), errEnded)
	n.pairs.ended()
}
