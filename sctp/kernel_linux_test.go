package sctp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"
)

// TestKernelSpeaks holds that Open believes what it finds.
func TestKernelSpeaks(t *testing.T) {
	p, err := Open(Config{UDPPort: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if got, want := p.Kind() == Kernel, KernelSpeaks(); got != want {
		t.Errorf("automatically %v, and the kernel speaks it: %v", p.Kind(), want)
	}
	if _, err := Open(Config{Kind: Kernel}); (err == nil) != KernelSpeaks() || err != nil && !errors.Is(err, ErrNoKernel) {
		t.Errorf("open: %v", err)
	}
}

// TestKernel holds of the kernel's SCTP, alone and together with that in userland, what other tests hold of
// that in userland.
func TestKernel(t *testing.T) {
	if !KernelSpeaks() {
		t.Skip("this kernel has no SCTP; .ci/kernel/run runs this test in one that has")
	}
	for _, pair := range []struct {
		name           string
		client, server func(t *testing.T) Provider
		clientPort     uint16 // UDP port of the peer
	}{
		{"kernel with kernel", inKernel, inKernel, 0},
		{"userland with kernel", inUserland, inKernel, 9899},
		{"kernel with userland", inKernel, inUserland, 0},
	} {
		dial := func(t *testing.T) (client, server Association) {
			t.Helper()
			c, s := pair.client(t), pair.server(t)
			l, err := s.Listen(0)
			if err != nil {
				t.Fatal(err)
			}
			udp := pair.clientPort
			if st, ok := s.(*stack); ok {
				udp = st.socket.local().Port()
			}
			client, err = c.Dial(within(t), netip.AddrPortFrom(quick().Addresses[0], l.Addr().Port()), udp)
			if err != nil {
				t.Fatal(err)
			}
			if server, err = l.Accept(within(t)); err != nil {
				t.Fatal(err)
			}
			return client, server
		}
		t.Run(pair.name, func(t *testing.T) {
			for name, test := range map[string]func(t *testing.T, client, server Association){
				"messages": exchange, "full buffer": fillBuffer, "shutdown": shutDown, "deadlines": waitOnStream, "closing a stream": closeStream,
				"TLS":   func(t *testing.T, client, server Association) { speakTLS(t, client, server, tls.VersionTLS13) },
				"abort": abortOne,
			} {
				t.Run(name, func(t *testing.T) {
					client, server := dial(t)
					test(t, client, server)
				})
			}
		})
	}
}

// abortOne holds that both sides learn of an abort.
func abortOne(t *testing.T, client, server Association) {
	t.Helper()
	_, end := collect(server)
	client.Abort("enough")
	if err := next(t, end); !errors.Is(err, ErrAborted) {
		t.Errorf("the peer's end is %v", err)
	}
	if err := client.Err(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("our own end is %v", err)
	}
}

// TestKernelEnds holds that refused, lost and restarted are told apart, as in userland.
func TestKernelEnds(t *testing.T) {
	if !KernelSpeaks() {
		t.Skip("this kernel has no SCTP; .ci/kernel/run runs this test in one that has")
	}
	k := inKernel(t)
	l, err := k.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(quick().Addresses[0], l.Addr().Port())
	t.Run("refused", func(t *testing.T) {
		if _, err := k.Dial(within(t), netip.AddrPortFrom(to.Addr(), 9), 0); !errors.Is(err, ErrRefused) {
			t.Errorf("dial: %v", err)
		}
	})
	t.Run("unanswered", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if _, err := k.Dial(ctx, netip.MustParseAddrPort("192.0.2.1:5060"), 0); err == nil {
			t.Error("it was answered")
		}
	})
	accept := func(t *testing.T) Association {
		t.Helper()
		a, err := l.Accept(within(t))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	t.Run("lost", func(t *testing.T) {
		u, c := userland(t, quick())
		if _, err := u.Dial(within(t), to, udpPort); err != nil {
			t.Fatal(err)
		}
		server := accept(t)
		_, end := collect(server)
		c.cut.Store(true)
		begin := time.Now()
		if err := next(t, end); !errors.Is(err, ErrLost) {
			t.Errorf("the end is %v", err)
		}
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("it took %v", took)
		}
	})
	t.Run("restarted", func(t *testing.T) {
		u, c := userland(t, quick())
		client, err := u.Dial(within(t), to, udpPort)
		if err != nil {
			t.Fatal(err)
		}
		_, end := collect(accept(t))
		a := again(reborn(t, u, c), client, netip.AddrPortFrom(to.Addr(), udpPort))
		if err := a.shake(within(t)); err != nil {
			t.Fatal(err)
		}
		if err := next(t, end); !errors.Is(err, ErrRestarted) {
			t.Errorf("the old one's end is %v", err)
		}
		got, _ := collect(accept(t))
		if err := a.Send(within(t), []byte("hello again"), 0, true); err != nil {
			t.Fatal(err)
		}
		if m := next(t, got); m.text != "hello again" {
			t.Errorf("got %q", m.text)
		}
	})
}

// TestKernelAddresses makes associations between several addresses on each side.
func TestKernelAddresses(t *testing.T) {
	if !KernelSpeaks() {
		t.Skip("this kernel has no SCTP; .ci/kernel/run runs this test in one that has")
	}
	cfg := quick()
	cfg.Kind = Kernel
	open := func(addresses ...string) Provider {
		cfg.Addresses = nil
		for _, a := range addresses {
			cfg.Addresses = append(cfg.Addresses, netip.MustParseAddr(a))
		}
		p, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		return p
	}
	client := open("127.0.0.2", "127.0.0.3")
	server := open("127.0.0.4", "127.0.0.5")
	l, err := server.Listen(5060)
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"127.0.0.4:5060", "127.0.0.5:5060"} {
		a, err := client.Dial(within(t), netip.MustParseAddrPort(to), 0)
		if err != nil {
			t.Fatal(err)
		}
		b, err := l.Accept(within(t))
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, a, b)
	}
}

// TestKernelLeaks opens and ends associations by shutdown and by abort: goroutines and sockets are then what
// they were.
func TestKernelLeaks(t *testing.T) {
	if !KernelSpeaks() {
		t.Skip("this kernel has no SCTP; .ci/kernel/run runs this test in one that has")
	}
	k := inKernel(t)
	l, err := k.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	goroutines := runtime.NumGoroutine()
	for i := range 300 {
		client, err := k.Dial(within(t), l.Addr(), 0)
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept(within(t))
		if err != nil {
			t.Fatal(err)
		}
		_, end := collect(server)
		if i%2 == 0 {
			client.Abort("")
		} else if err := client.Shutdown(within(t)); err != nil {
			t.Fatal(err)
		}
		_ = next(t, end)
	}
	gone(t, goroutines)
	if n := k.Stats().Associations; n != 0 {
		t.Errorf("%d associations are left", n)
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	if len(open) > 30 {
		t.Errorf("%d descriptors are open", len(open))
	}
}

// inKernel opens a provider in the kernel.
func inKernel(t *testing.T) Provider {
	t.Helper()
	cfg := quick()
	cfg.Kind = Kernel
	p, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// inUserland opens one in userland.
func inUserland(t *testing.T) Provider {
	t.Helper()
	s, _ := userland(t, quick())
	return s
}
