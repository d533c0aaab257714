package transport

import (
	"net/netip"
	"slices"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// Reply returns the way that the responses to a request go, by its source and its topmost Via:
// RFC 3261, Section 18.2.2 and RFC 3581, Section 4. It costs nothing until something is sent.
//
// Over TCP and TLS it is the connection that the request came over and, when that is gone, a new
// one to the source IP address and the sent-by port, never to an address that the request merely
// claims. Over TLS that is done only if the peer was authenticated, and the new peer has to prove
// the same identity. Over UDP it is the source address of the packet, with the sent-by port where
// no rport was asked for. maddr is not honoured: it would let anybody have responses sent to
// anybody.
func (t *Transport) Reply(src *Source, via *sip.Via) Flow {
	f := src.Flow
	if via == nil {
		return f
	}
	if f.conn != nil {
		f.back = sipaddr.Advertised{Port: via.Port, Transport: src.Transport}.EffectivePort()
		return f
	}
	if !via.HasRPort {
		port := sipaddr.Advertised{Port: via.Port, Transport: sipaddr.UDP}.EffectivePort()
		f.to = netip.AddrPortFrom(f.to.Addr(), port)
	}
	return f
}

// sendBack sends a response whose connection is gone over another one to the same peer.
func (t *Transport) sendBack(f Flow, b []byte) error {
	old := f.conn
	h := Hop{To: sipaddr.Resolved{
		AddrPort:  netip.AddrPortFrom(old.remote.Addr(), f.back),
		Transport: old.ep.advertised.Transport,
	}}
	if old.tls != nil {
		if old.peer == nil {
			// Nobody could tell whether the new peer is the old one.
			t.count.repliesLost.Add(1)
			return ErrClosed
		}
		h.LocalDomain = old.domain.name
		if h.Reference = old.reference; h.Reference == "" {
			h.Reference = old.peer.Identities.Names()[0]
		}
	}
	b = slices.Clone(b)
	t.Flow(h, func(f Flow, _ alias.Decision, err error) {
		if err == nil {
			err = f.Send(b)
		}
		if err != nil {
			t.count.repliesLost.Add(1)
			return
		}
		t.count.repliesBack.Add(1)
	})
	return nil
}
