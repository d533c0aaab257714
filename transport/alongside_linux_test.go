package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// crowd is many sources of datagrams. Each takes answers from the address that it sends to and from no other.
type crowd []*net.UDPConn

func newCrowd(t *testing.T, n int, to netip.AddrPort) crowd {
	t.Helper()
	var list crowd
	for range n {
		c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		list = append(list, c)
	}
	return list
}

func (list crowd) ask(t *testing.T) {
	t.Helper()
	for i, c := range list {
		if _, err := fmt.Fprintf(c, "OPTIONS sip:x@example.com SIP/2.0\r\nVia: SIP/2.0/UDP %s;rport;branch=z9hG4bK%d\r\nMax-Forwards: 70\r\n"+
			"From: <sip:a@example.org>;tag=1\r\nTo: <sip:x@example.com>\r\nCall-ID: %d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n", c.LocalAddr(), i, i); err != nil {
			t.Fatal(err)
		}
	}
}

func (list crowd) expect(t *testing.T, what string) {
	t.Helper()
	lost, buf := 0, make([]byte, 2000)
	for _, c := range list {
		wait := patience
		if lost > 0 {
			wait = time.Millisecond
		}
		_ = c.SetReadDeadline(time.Now().Add(wait))
		if n, err := c.Read(buf); err != nil || n < 12 || string(buf[:12]) != "SIP/2.0 200 " {
			lost++
		}
	}
	if lost > 0 {
		t.Fatalf("%s: %d of %d were not answered", what, lost, len(list))
	}
}

// TestSocketForEachLoop: all loops read datagrams at once, each is answered from the address that it was sent to,
// and by the socket of the loop that has read it.
func TestSocketForEachLoop(t *testing.T) {
	const loops = 4
	for _, ip := range []netip.Addr{siptest.Loopback(t), netip.IPv6Loopback()} {
		t.Run(ip.String(), func(t *testing.T) {
			box := echo()
			answer := box.handle
			var arrived, others atomic.Int64
			all := make(chan struct{})
			box.handle = func(m *sip.Message, src *Source) {
				switch n := arrived.Add(1); {
				case n < loops: // which holds up one loop
					select {
					case <-all:
					case <-time.After(patience):
					}
				case n == loops:
					close(all)
				}
				sock := src.Flow.sock
				if l := sock.t.seats.here(); l == nil || sock.chosen(src.Remote).own.loop != l {
					others.Add(1)
				}
				answer(m, src)
			}
			free, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addrPort(ip, 0)))
			if err != nil {
				t.Fatal(err)
			}
			at := free.LocalAddr().(*net.UDPAddr).AddrPort()
			_ = free.Close()
			b := start(t, Config{Loops: loops, Handler: box, Listen: []Listen{{sipaddr.UDP, at}}})
			list := newCrowd(t, 100, at)
			list.ask(t)
			receive(t, all, "a datagram to each of the loops at once")
			list.expect(t, "all sockets")
			others.Store(0) // loops that were held up were moved
			list.ask(t)
			list.expect(t, "all sockets again")
			if n := others.Load(); n > 50 {
				t.Errorf("%d answers were sent from another loop's socket", n)
			}
			// Nobody's turn: always the same one for an address, and different ones for many.
			used := make(map[*udpSocket]bool)
			for i := range 100 {
				to := addrPort(ip, uint16(20000+i))
				s := b.sockets[0].chosen(to)
				if used[s] = true; s != b.sockets[3].chosen(to) {
					t.Error("not the same socket for the same address")
				}
			}
			if len(used) != loops {
				t.Errorf("%d sockets are used", len(used))
			}
		})
	}
}

// successor starts a Transport that has the sockets of another one, which stands still from now on.
func (b *bench) successor(loops int, at Listen) *bench {
	b.t.Helper()
	sockets, err := b.Sockets()
	if err != nil {
		b.t.Fatal(err)
	}
	inherit := func(l Listen) *os.File {
		if len(sockets) == 0 || sockets[0].Listen != l {
			return nil
		}
		f := os.NewFile(uintptr(sockets[0].FD), "socket")
		sockets = sockets[1:]
		return f
	}
	b.Pause()
	list := newCrowd(b.t, 100, at.Addr)
	list.ask(b.t) // nobody reads: they wait
	c := start(b.t, Config{Loops: loops, Handler: echo(), Listen: []Listen{at}, Inherit: inherit})
	if len(sockets) > 0 {
		b.t.Errorf("%d sockets were not taken", len(sockets))
	}
	list.expect(b.t, "what waited")
	return c
}

// TestSocketsPassOn: whoever takes the sockets of a listener over reads all of them, whether it has as many loops, fewer, more or none,
// and whatever comes while nobody reads waits.
func TestSocketsPassOn(t *testing.T) {
	for _, loops := range [][]int{{4, 4}, {4, 2, 3}, {4, 1}, {4, -1, 4}, {1, 4}, {2, 4}, {-1, 4}} {
		t.Run(fmt.Sprint(loops), func(t *testing.T) {
			at := Listen{sipaddr.UDP, addrPort(siptest.Loopback(t), 5060)}
			b := start(t, Config{Loops: loops[0], Handler: echo(), Listen: []Listen{at}})
			sockets := len(b.sockets)
			if want := max(1, loops[0]); sockets != want {
				t.Fatalf("%d sockets, want %d", sockets, want)
			}
			for _, n := range loops[1:] {
				next := b.successor(n, at)
				if err := b.Close(); err != nil {
					t.Error(err)
				}
				list := newCrowd(t, 100, at.Addr)
				list.ask(t)
				list.expect(t, "after the end of the one before")
				if b = next; len(b.sockets) != sockets {
					t.Errorf("%d sockets of %d", len(b.sockets), sockets)
				}
			}
		})
	}
}

// TestSocketsResumed: nothing is lost when one goes on that has stood still, because its successor did not come up.
func TestSocketsResumed(t *testing.T) {
	b := start(t, Config{Loops: 4, Handler: echo()})
	list := newCrowd(t, 100, b.at(sipaddr.UDP))
	eventually(t, "in the loops", func() bool {
		for _, s := range b.sockets {
			s.own.mu.RLock()
			defer s.own.mu.RUnlock()
			if s.own.loop == nil {
				return false
			}
		}
		return true
	})
	b.Pause()
	list.ask(t)
	b.Resume()
	list.expect(t, "what waited")
}

// TestAddressInUse: the address of a listener with several sockets is nobody else's, however many that one would have, and one
// loop leaves the socket as it was.
func TestAddressInUse(t *testing.T) {
	for _, loops := range []int{1, 4} {
		b := start(t, Config{Loops: loops})
		for _, s := range b.sockets {
			if err := s.control(func(fd int) error {
				set, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT)
				if (set == 1) != (loops > 1) {
					t.Errorf("%d loops: SO_REUSEPORT is %d", loops, set)
				}
				return err
			}); err != nil {
				t.Error(err)
			}
		}
		for _, others := range []int{1, 4} {
			second, err := New(Config{Listen: []Listen{{sipaddr.UDP, b.at(sipaddr.UDP)}}, Handler: newInbox(), Loops: others})
			if err != nil {
				t.Fatal(err)
			}
			var le *ListenError
			if err := second.Open(); !errors.As(err, &le) || !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("%d loops, then %d: %v", loops, others, err)
				_ = second.Close()
			}
		}
	}
}
