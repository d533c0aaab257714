package siptest

import (
	"crypto/rand"
	"encoding/binary"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
)

// guardPort is held on an address for as long as it belongs to a test, also of another process.
const guardPort = 39999

// lastLoopback counts the addresses tried by this process, from a random start.
var lastLoopback = func() *atomic.Uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	n := new(atomic.Uint32)
	n.Store(binary.BigEndian.Uint32(b[:]))
	return n
}()

// Loopback gives an address in 127.0.0.0/8 that belongs to the test until it ends: on it, all ports but
// one high one are free. Where the system has 127.0.0.1 only, the test is skipped.
func Loopback(t testing.TB) netip.Addr {
	t.Helper()
	var last error
	for range 100 {
		n := lastLoopback.Add(1)
		addr := netip.AddrFrom4([4]byte{127, 16 + byte(n>>16)%224, byte(n >> 8), 1 + byte(n)%254})
		guard, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, guardPort)))
		if err != nil {
			last = err
			continue
		}
		t.Cleanup(func() { _ = guard.Close() })
		return addr
	}
	t.Skipf("siptest: no loopback address for this test alone: %v", last)
	return netip.Addr{}
}

// FreePort gives a port of an address that neither TCP nor UDP uses now. On an address from Loopback it
// stays free.
func FreePort(t testing.TB, addr netip.Addr) uint16 {
	t.Helper()
	for range 100 {
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
		if err != nil {
			t.Fatalf("siptest: no free port on %v: %v", addr, err)
		}
		at := l.Addr().(*net.TCPAddr).AddrPort()
		u, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		_ = l.Close()
		if err == nil {
			_ = u.Close()
			return at.Port()
		}
	}
	t.Fatalf("siptest: no free port on %v", addr)
	return 0
}
