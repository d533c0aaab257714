package transport

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// turns is a Transport with one loop whose handler runs what a test gives it.
type turns struct {
	*bench
	todo chan func(src *Source)
}

func startTurns(t *testing.T) turns {
	x := turns{todo: make(chan func(src *Source), 1)}
	box := newInbox()
	box.handle = func(_ *sip.Message, src *Source) { (<-x.todo)(src) }
	x.bench = start(t, Config{Loops: 1, Handler: box})
	return x
}

// inTurn runs f in a loop's turn, as a handler, and returns when f has.
func (x turns) inTurn(t *testing.T, f func(src *Source)) {
	t.Helper()
	done := make(chan struct{})
	x.todo <- func(src *Source) {
		defer close(done)
		f(src)
	}
	c := siptest.NewPeer(t, siptest.PeerConfig{}).Dial(sipaddr.UDP, x.at(sipaddr.UDP))
	c.SendRequest(c.Request("OPTIONS", "sip:example.com"))
	receive(t, done, "the turn")
}

// sink is a UDP socket that takes datagrams.
func sink(t *testing.T) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addrPort(siptest.Loopback(t), 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadBuffer(4 << 20)
	return c, c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// TestDatagramsLeaveTogether sends more datagrams in one turn than wait at most.
func TestDatagramsLeaveTogether(t *testing.T) {
	for _, x := range []struct {
		name           string
		size, n        int
		waits, minSent uint64 // of n datagrams after the first: how many may wait, and how many were sent before the end
	}{
		{"few", 100, 30, 30, 0},
		{"as many as wait at once", 100, sentAtOnce, sentAtOnce, 0},
		{"many", 100, 3*sentAtOnce + 5, sentAtOnce, 3 * sentAtOnce},
		{"large", 60000, 3, 1, 2},
	} {
		t.Run(x.name, func(t *testing.T) {
			b := startTurns(t)
			c, to := sink(t)
			b.inTurn(t, func(src *Source) {
				f := Flow{sock: src.Flow.sock, to: to}
				text := make([]byte, x.size)
				for i := range x.n + 1 {
					copy(text, fmt.Sprintf("%6d", i))
					if err := f.Send(text); err != nil {
						t.Error(err)
					}
					if i == 0 {
						if n := b.Stats().DatagramsOut; n != 1 {
							t.Errorf("%d sent, the first to an address has to be at once", n)
						}
					}
				}
				out := b.Stats().DatagramsOut - 1
				if out < x.minSent || out+x.waits < uint64(x.n) {
					t.Errorf("%d were sent in the turn", out)
				}
				if out > x.minSent {
					t.Errorf("%d were sent in the turn, and could have waited", out)
				}
			})
			buf := make([]byte, 64<<10)
			for i := range x.n + 1 {
				_ = c.SetReadDeadline(time.Now().Add(patience))
				n, err := c.Read(buf)
				if err != nil {
					t.Fatalf("datagram %d: %v", i, err)
				}
				if got := string(buf[:6]); n != x.size || got != fmt.Sprintf("%6d", i) {
					t.Fatalf("datagram %d: %q, %d bytes", i, got, n)
				}
			}
			eventually(t, "counted", func() bool {
				s := b.Stats()
				return s.DatagramsOut == uint64(x.n+1) && s.DatagramErrors == 0
			})
		})
	}
}

// TestDatagramRefused sends in a turn to an address that a socket of the loopback cannot reach.
func TestDatagramRefused(t *testing.T) {
	nowhere := netip.MustParseAddrPort("192.0.2.1:5060")
	t.Run("at once", func(t *testing.T) {
		b := startTurns(t)
		_, to := sink(t)
		b.inTurn(t, func(src *Source) {
			for range 2 {
				if err := (Flow{sock: src.Flow.sock, to: nowhere}).Send([]byte("x")); err == nil {
					t.Error("Send says nothing")
				}
				if err := (Flow{sock: src.Flow.sock, to: to}).Send([]byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
		eventually(t, "others leave", func() bool { s := b.Stats(); return s.DatagramsOut == 2 && s.DatagramErrors == 2 })
	})
	t.Run("reached before", func(t *testing.T) {
		b := startTurns(t)
		c, to := sink(t)
		b.inTurn(t, func(src *Source) {
			o := src.Flow.sock.out
			for _, a := range []netip.AddrPort{nowhere, to} {
				*o.slot(o.key(a)) = o.key(a)
			}
			for _, a := range []netip.AddrPort{to, nowhere, to} {
				if err := (Flow{sock: src.Flow.sock, to: a}).Send([]byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
		for range 2 {
			_ = c.SetReadDeadline(time.Now().Add(patience))
			if _, err := c.Read(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "counted", func() bool { return b.Stats().DatagramErrors == 1 })
		if err := (Flow{sock: b.sockets[0], to: nowhere}).Send([]byte("x")); err == nil {
			t.Error("the next Send says nothing")
		}
	})
}

// TestDatagramOutsideOfTurns sends while no loop is at work, and after the end.
func TestDatagramOutsideOfTurns(t *testing.T) {
	b := startTurns(t)
	c, to := sink(t)
	eventually(t, "carried", func() bool {
		d := &b.sockets[0].own
		d.mu.RLock()
		defer d.mu.RUnlock()
		return d.loop != nil
	})
	f := Flow{sock: b.sockets[0], to: to}
	for i := range 3 {
		if err := f.Send([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if n := b.Stats().DatagramsOut; n != uint64(i+1) {
			t.Errorf("%d sent", n)
		}
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	_ = b.Close()
	if err := f.Send([]byte("x")); err != ErrClosed {
		t.Errorf("%v", err)
	}
}

// TestDatagramsAtTheEnd closes the transport in the turn in which datagrams were sent: they leave.
func TestDatagramsAtTheEnd(t *testing.T) {
	b := startTurns(t)
	c, to := sink(t)
	b.inTurn(t, func(src *Source) {
		for range 5 {
			_ = (Flow{sock: src.Flow.sock, to: to}).Send([]byte("x"))
		}
		_ = b.Close()
	})
	for range 5 {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
}
