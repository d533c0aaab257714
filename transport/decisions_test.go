package transport

import (
	"testing"

	"github.com/tandem-sip/tandem/alias"
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
