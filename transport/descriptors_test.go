//go:build linux

package transport

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// TestNoDescriptors takes away the descriptors while a client connects, and gives them back.
func TestNoDescriptors(t *testing.T) {
	b := start(t, Config{})
	peer := siptest.NewPeer(t, siptest.PeerConfig{})
	before := peer.Dial(sipaddr.TCP, b.at(sipaddr.TCP))
	eventually(t, "the first is accepted", func() bool { return b.Stats().Connections == 1 })
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "client")
	defer f.Close()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	none := old
	none.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Fatal(err)
		}
	}
	defer restore()
	to := b.at(sipaddr.TCP)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}); err != nil {
		t.Fatal(err)
	}
	t.Run("F19", func(t *testing.T) {
		eventually(t, "accept fails", func() bool { return b.Stats().AcceptErrors >= 2 })
		// Those that are there go on.
		before.SendRequest(before.Request("OPTIONS", "sip:example.com"))
		b.message()
		if n := b.Stats().AcceptErrors; n > 20 {
			t.Errorf("accept was asked %d times", n)
		}
		restore()
		eventually(t, "the client is accepted", func() bool { return b.Stats().Connections == 2 })
	})
}
