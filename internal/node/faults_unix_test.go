//go:build unix

package node_test

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
)

// socketError tells whether a connection has ended for an error or by a reset.
func socketError(raw syscall.RawConn) (ended bool) {
	err := raw.Control(func(fd uintptr) {
		if code, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR); err != nil || code != 0 {
			ended = true
			return
		}
		// A socket without a peer any more.
		if _, err := syscall.Getpeername(int(fd)); err != nil {
			ended = true
		}
	})
	return ended || err != nil
}

// listenWithoutBacklog listens and lets nobody wait.
func listenWithoutBacklog(t testing.TB, at netip.AddrPort) net.Listener {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close()
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
