package transport

import (
	"encoding/asn1"
	"testing"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// TestDecisionsAreCounted: each by its reason, and what was relaxed is among the reasons.
func TestDecisionsAreCounted(t *testing.T) {
	p := newPair(t, nil)
	h := p.hop()
	ask := func(basis alias.Basis, want alias.Reason) {
		t.Helper()
		h.Basis = basis
		before := p.b.Decisions()[want]
		dec := p.b.must(h).dec
		if dec.Reason != want || dec.Basis != basis {
			t.Errorf("basis %v: %+v, want %v", basis, dec, want)
		}
		if got := p.b.Decisions()[want]; got != before+1 {
			t.Errorf("basis %v: %v counted %d times, want %d", basis, want, got, before+1)
		}
		if dec.Reuse() {
			explained := p.b.Explain(h)
			if explained.Reason != want || explained.Basis != basis || explained.Conn != dec.Conn || len(explained.Considered) != 1 {
				t.Errorf("basis %v: explained as %+v", basis, explained)
			}
		}
	}
	ask(alias.ByDialog, alias.NoRow)
	ask(alias.ByURI, alias.Reuse)
	ask(alias.ByConfiguration, alias.ReuseByConfiguredReference)
	ask(alias.ByDialog, alias.ReuseByDialog)
	h.Reference, h.Basis = "", alias.ByURI
	if a := p.b.flow(h); a.err == nil || a.dec.Reason != alias.NoReference || p.b.Decisions()[alias.NoReference] != 1 {
		t.Errorf("%+v, counted as %v", a, p.b.Decisions())
	}
}

// TestClientOnly: who has a certificate for clients is authenticated, and told apart from nobody.
func TestClientOnly(t *testing.T) {
	p := newPair(t, nil)
	spec := siptest.Spec{URIs: []string{"sip:example.net"}, ExtKeyUsage: []asn1.ObjectIdentifier{siptest.ClientAuth}}
	p.peer = siptest.NewPeer(t, siptest.PeerConfig{Name: "client", Cert: p.Issue(t, spec)})
	_, got := p.offer(t, "p2.example.net", "alias")
	if got.src.Peer == nil || !got.src.Peer.Identities.Contains("example.net") {
		t.Errorf("peer %+v", got.src.Peer)
	}
	if n := p.b.Stats().Aliases[alias.ClientOnly]; n != 1 || len(p.b.Aliases()) != 0 {
		t.Errorf("refused %d times, rows %+v", n, p.b.Aliases())
	}
	h := p.hop()
	h.To = resolved(sipaddr.TLS, addrPort(p.peer.Addr(), 5061))
	d := p.b.Explain(h)
	if len(d.Considered) != 1 || d.Considered[0].Reason != alias.ClientOnly || !d.Considered[0].Row.Identities.Contains("example.net") {
		t.Errorf("explained as %+v", d)
	}
}
