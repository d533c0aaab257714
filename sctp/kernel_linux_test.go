package sctp

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
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

// TestKernel holds of the kernel's SCTP, alone and together with that in userland, over IPv4 and IPv6, what
// other tests hold of that in userland.
func TestKernel(t *testing.T) {
	needKernel(t)
	inKernel := func(cfg Config) func(t *testing.T) Provider {
		return func(t *testing.T) Provider { return inKernel(t, cfg) }
	}
	inUserland := func(cfg Config) func(t *testing.T) Provider {
		return func(t *testing.T) Provider { s, _ := userland(t, cfg); return s }
	}
	for _, pair := range []struct {
		name           string
		client, server func(t *testing.T) Provider
		udp            uint16 // UDP port of a peer in the kernel
		short          bool
	}{
		{"kernel with kernel", inKernel(quick()), inKernel(quick()), 0, false},
		{"userland with kernel", inUserland(quick()), inKernel(quick()), udpPort, false},
		{"kernel with userland", inKernel(quick()), inUserland(quick()), 0, false},
		{"kernel with kernel over IPv6", inKernel(quick6()), inKernel(quick6()), 0, true},
		{"userland with kernel over IPv6", inUserland(quick6()), inKernel(quick6()), udpPort, true},
		{"kernel with userland over IPv6", inKernel(quick6()), inUserland(quick6()), 0, true},
	} {
		dial := func(t *testing.T) (client, server Association) {
			t.Helper()
			c, s := pair.client(t), pair.server(t)
			l, err := s.Listen(0)
			if err != nil {
				t.Fatal(err)
			}
			udp := pair.udp
			if st, ok := s.(*stack); ok {
				udp = st.socket.local().Port()
			}
			client, err = c.Dial(within(t), l.Addr(), udp)
			if err != nil {
				t.Fatal(err)
			}
			if server, err = l.Accept(within(t)); err != nil {
				t.Fatal(err)
			}
			if client.RemoteAddr() != l.Addr() || server.LocalAddr() != l.Addr() || server.RemoteAddr() != client.LocalAddr() {
				t.Errorf("between %v and %v, and there between %v and %v", client.LocalAddr(), client.RemoteAddr(), server.LocalAddr(), server.RemoteAddr())
			}
			return client, server
		}
		t.Run(pair.name, func(t *testing.T) {
			tests := map[string]func(t *testing.T, client, server Association){
				"messages": exchange, "shutdown": shutDown, "abort": abortOne,
				"TLS": func(t *testing.T, client, server Association) { speakTLS(t, client, server, tls.VersionTLS13) },
			}
			if !pair.short {
				tests["full buffer"], tests["deadlines"], tests["closing a stream"] = fillBuffer, waitOnStream, closeStream
			}
			for name, test := range tests {
				t.Run(name, func(t *testing.T) {
					client, server := dial(t)
					test(t, client, server)
				})
			}
		})
	}
}

// needKernel skips a test that needs SCTP in the kernel.
func needKernel(t *testing.T) {
	t.Helper()
	if !KernelSpeaks() {
		t.Skip("this kernel has no SCTP; .ci/kernel/run runs this test in one that has")
	}
}

// TestKernelEnds holds that refused, lost and restarted are told apart, as in userland.
func TestKernelEnds(t *testing.T) {
	needKernel(t)
	t.Parallel()
	k := inKernel(t, quick())
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

// inKernel opens a provider in the kernel.
func inKernel(t *testing.T, cfg Config) Provider {
	t.Helper()
	cfg.Kind = Kernel
	p, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}
