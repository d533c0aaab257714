package node

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/transaction"
)

// TestShares: a party has one share as long as anybody holds it, and costs nothing afterwards.
func TestShares(t *testing.T) {
	s := newShares[int](3)
	a := s.of(1)
	if s.of(1) != a || s.of(2) == a {
		t.Error("a party has one share of its own")
	}
	last := 100
	fill := func(n int) {
		for range n {
			s.of(last)
			last++
		}
	}
	fill(3 * minSweep)
	count := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.known)
	}
	deadline := time.Now().Add(5 * time.Second)
	for count() > minSweep {
		if time.Now().After(deadline) {
			t.Fatalf("%d parties are remembered", count())
		}
		runtime.GC()
		fill(minSweep / 2)
	}
	if s.of(1) != a {
		t.Error("a share that is held was forgotten")
	}
	runtime.KeepAlive(a)
	n := &Node{bySource: newShares[netip.Addr](3), byIdentity: newShares[string](3)}
	x := n.shareOf(netip.MustParseAddr("192.0.2.1"), "")
	y := n.shareOf(netip.MustParseAddr("::ffff:192.0.2.1"), "example.net")
	v, w := n.shareOf(netip.MustParseAddr("2001:db8::1"), "example.net"), n.shareOf(netip.MustParseAddr("2001:db8::2%eth0"), "")
	if x[0] != y[0] || x[1] != nil || y[1] == nil || v[1] != y[1] || v[0] != w[0] || v[0] == x[0] {
		t.Errorf("shares %v %v %v %v", x, y, v, w)
	}
	var _ [2]*transaction.Share = x
}
