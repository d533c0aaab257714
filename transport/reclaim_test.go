package transport

import (
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// TestReclaim: above 80 percent of the connections the ones that were idle for longest go, but for those that a
// transaction needs.
func TestReclaim(t *testing.T) {
	for _, all := range []bool{false, true} {
		var needed atomic.Uint64
		cfg := Config{MaxConnections: 10, MaxPerSource: 10, HandshakeTimeout: 200 * time.Millisecond, PongTimeout: 40 * time.Millisecond}
		cfg.Outstanding = func(id alias.ConnID) int {
			if uint64(id) == needed.Load() {
				return 1
			}
			return 0
		}
		if all {
			cfg.Busy = func() map[uint64]int { return map[uint64]int{needed.Load(): 1} }
		}
		b := start(t, cfg)
		peer := siptest.NewPeer(t, siptest.PeerConfig{})
		var conns []*siptest.Conn
		var ids []uint64
		for range 8 { // no more than 80 percent
			c := peer.Dial(sipaddr.TCP, b.at(sipaddr.TCP))
			c.SendRequest(c.Request("OPTIONS", "sip:example.com"))
			conns, ids = append(conns, c), append(ids, b.message().src.Flow.ID())
		}
		needed.Store(ids[0]) // the oldest
		tick := time.NewTimer(300 * time.Millisecond)
		<-tick.C
		if n := b.Stats().Reclaimed; n != 0 {
			t.Fatalf("%d were reclaimed, and there is room", n)
		}
		conns[1].SendRequest(conns[1].Request("OPTIONS", "sip:example.com")) // no longer idle
		b.message()
		for range 2 {
			c := peer.Dial(sipaddr.TCP, b.at(sipaddr.TCP))
			c.SendRequest(c.Request("OPTIONS", "sip:example.com"))
			b.message()
		}
		for _, i := range []int{2, 3} {
			if err := conns[i].ExpectClosed(); err != io.EOF {
				t.Errorf("connection %d: end %v", i, err)
			}
			conns[i].Close()
		}
		for range 2 {
			receive(t, b.box.closed, "the end")
		}
		if s := b.Stats(); s.Reclaimed != 2 || s.Connections != 8 {
			t.Errorf("%d reclaimed, %d left", s.Reclaimed, s.Connections)
		}
		for _, i := range []int{0, 1, 4} {
			if conns[i].Closed() {
				t.Errorf("connection %d was taken", i)
			}
		}
	}
}

// TestShares: one peer, and one source, has its share of the connections and of the handshakes, and others have
// room beside it.
func TestShares(t *testing.T) {
	ca := newPKI(t)
	cfg := Config{Domains: []Domain{ca.domain(t, "example.com", "")}, MaxPerIdentity: 2}
	t.Run("A51 identity", func(t *testing.T) {
		b := start(t, cfg)
		to := b.at(sipaddr.TLS)
		cert := ca.Domain(t, "example.net", "p2.example.net")
		// From several addresses: it is the identity that counts.
		var peers []*siptest.Peer
		for range 3 {
			peers = append(peers, siptest.NewPeer(t, siptest.PeerConfig{Cert: cert}))
		}
		first := peers[0].Dial(sipaddr.TLS, to)
		peers[1].Dial(sipaddr.TLS, to)
		eventually(t, "two connections", func() bool { return b.Stats().Connections == 2 })
		if c, err := peers[2].TryDial(sipaddr.TLS, to, ""); err == nil {
			c.ExpectClosed()
		}
		eventually(t, "a refusal", func() bool { return b.Stats().RefusedIdentity == 1 })
		for _, other := range []*siptest.Cert{ca.Domain(t, "example.org"), nil} {
			c := siptest.NewPeer(t, siptest.PeerConfig{Cert: other}).Dial(sipaddr.TLS, to)
			c.SendRequest(c.Request("OPTIONS", "sip:example.com"))
			b.message()
		}
		first.Close()
		receive(t, b.box.closed, "the end")
		c := peers[2].Dial(sipaddr.TLS, to)
		c.SendRequest(c.Request("OPTIONS", "sip:example.com"))
		b.message()
	})
	t.Run("handshakes", func(t *testing.T) {
		cfg := cfg
		cfg.MaxPendingPerSource, cfg.HandshakeTimeout = 3, time.Second
		b := start(t, cfg)
		to := b.at(sipaddr.TLS)
		hog, other := siptest.NewPeer(t, siptest.PeerConfig{}), siptest.NewPeer(t, siptest.PeerConfig{})
		var silent []*siptest.Conn
		for range 8 {
			if c, err := hog.TryDial(sipaddr.TCP, to, ""); err == nil { // there is never a ClientHello
				silent = append(silent, c)
			}
		}
		eventually(t, "refusals", func() bool { return b.Stats().RefusedPendingSource == 5 })
		if n := b.Stats().Pending; n != 3 {
			t.Errorf("%d pending", n)
		}
		c := other.Dial(sipaddr.TLS, to)
		c.SendRequest(c.Request("OPTIONS", "sip:example.com"))
		b.message()
		// Whoever is behind the same address and means it gets through: the oldest gives way.
		c = hog.Dial(sipaddr.TLS, to)
		c.SendRequest(c.Request("OPTIONS", "sip:example.com"))
		b.message()
		for _, c := range silent {
			c.Close()
		}
		eventually(t, "nobody waits", func() bool { return b.Stats().Pending == 0 })
		b.mu.Lock()
		defer b.mu.Unlock()
		if n := len(b.pendingFrom); n != 0 {
			t.Errorf("%d sources are remembered", n)
		}
	})
}
