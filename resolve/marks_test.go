package resolve_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-sip/tandem/resolve"
)

// TestFailover is fault F24: an address that fails is tried last, one caller probes it later, and it comes
// back when it works.
func TestFailover(t *testing.T) {
	hosts := writeHosts(t, "127.0.1.1 a.example\n127.0.1.2 a.example\n127.0.1.3 single.example")
	const usual, other = "udp:127.0.1.1:5060 udp:127.0.1.2:5060", "udp:127.0.1.2:5060 udp:127.0.1.1:5060"
	synctest.Test(t, func(t *testing.T) {
		r := newResolver(t, resolve.Config{HostsFile: hosts})
		u, single := uri(t, "sip:a.example:5060"), uri(t, "sip:single.example:5060")
		expect := func(want string) {
			t.Helper()
			a, err := r.Resolve(t.Context(), u)
			if err != nil || list(a) != want {
				t.Errorf("got %q, %v, want %q", list(a), err, want)
			}
		}
		expect(usual)
		a, _ := r.Cached(u)
		alone, err := r.Resolve(t.Context(), single)
		if err != nil {
			t.Fatal(err)
		}
		first := a.Addresses[0]
		r.Failed(first)
		expect(usual)
		time.Sleep(time.Second)
		for range 3 {
			r.Failed(first)
			r.Failed(alone.Addresses[0])
		}
		expect(other)
		if e, err := r.Explain(t.Context(), u); err != nil || list(e) != other || e.Steps[len(e.Steps)-1].Type != "mark" {
			t.Errorf("explained: %+v, %v", e, err)
		}
		if again, ok := r.Cached(single); !ok || len(again.Addresses) != 1 {
			t.Error("the only address is gone")
		}
		if a.Addresses[0] != first {
			t.Error("an answer that was given out was changed")
		}
		time.Sleep(3 * time.Second)
		expect(usual) // the probe
		expect(other)
		r.Worked(first)
		expect(usual)
		if n := r.Stats().SetBack; n != 1 {
			t.Errorf("%d set back", n)
		}
	})
}
