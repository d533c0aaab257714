package node_test

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// TestBlackHole: a next hop that takes no connection, because as many as may wait for it do, is given up when
// the time to dial is over.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: 5061, Addr: o.there.As4()}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	full := false
	for range 8 { // the queue takes a few all the same
		c, err := net.DialTimeout("tcp", netip.AddrPortFrom(o.there, 5061).String(), 100*time.Millisecond)
		if err != nil {
			full = true
			break
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	if !full {
		t.Skip("the system's queue for connections is never full")
	}
	o.refused("sip:bob@next.example", 300*time.Millisecond, []int{500, 503}, "did not answer")
}
