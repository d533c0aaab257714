package sctp

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"
)

// TestIPv6 holds of IPv6 what other tests hold of IPv4.
func TestIPv6(t *testing.T) {
	hold(t, func(t *testing.T) *ends { return join(t, quick6()) })
}

// TestRaw holds of packets in IP what other tests hold of packets in UDP.
func TestRaw(t *testing.T) {
	if KernelSpeaks() {
		if _, err := Open(Config{Kind: Raw}); err == nil {
			t.Error("the kernel speaks SCTP itself, and raw packets are taken all the same")
		}
		t.Skip("this kernel speaks SCTP itself; .ci/kernel/run runs this test in one that does not")
	}
	for _, family := range []struct {
		name           string
		client, server netip.Addr
	}{
		{"IPv4", netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")},
		{"IPv6", netip.IPv6Loopback(), netip.IPv6Loopback()}, // there is no second: each gets the packets of both
	} {
		t.Run(family.name, func(t *testing.T) {
			hold(t, func(t *testing.T) *ends {
				cfg := quick()
				cfg.Kind = Raw
				cfg.Addresses = []netip.Addr{family.client}
				e := &ends{}
				e.clientStack, e.clientCable = overIP(t, cfg)
				e.serverStack, e.serverCable = e.clientStack, e.clientCable
				if family.server != family.client {
					cfg.Addresses = []netip.Addr{family.server}
					e.serverStack, e.serverCable = overIP(t, cfg)
				}
				e.meet(t)
				return e
			})
		})
	}
}

// overIP opens a provider that sends packets in IP, where that is allowed.
func overIP(t *testing.T, cfg Config) (*stack, *cable) {
	t.Helper()
	p, err := Open(cfg)
	if errors.Is(err, os.ErrPermission) {
		t.Skip("it needs the right to send raw packets")
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = p.Close() // what was opened is of no use: the next has a cable
	if p.Kind() != Raw {
		t.Errorf("it is %v", p.Kind())
	}
	return userland(t, cfg)
}

// hold holds what there is to hold of any way to carry packets.
func hold(t *testing.T, join func(t *testing.T) *ends) {
	for name, test := range map[string]func(t *testing.T, client, server Association){
		"messages": exchange, "shutdown": shutDown, "abort": abortOne, "full buffer": fillBuffer,
		"TLS": func(t *testing.T, client, server Association) { speakTLS(t, client, server, tls.VersionTLS13) },
	} {
		t.Run(name, func(t *testing.T) {
			e := join(t)
			test(t, e.client, e.server)
		})
	}
	t.Run("refused", func(t *testing.T) {
		e := join(t)
		to := netip.AddrPortFrom(e.listener.Addr().Addr(), 9)
		if _, err := e.clientStack.Dial(within(t), to, e.serverStack.socket.local().Port()); !errors.Is(err, ErrRefused) {
			t.Errorf("dial: %v", err)
		}
	})
	t.Run("lost", func(t *testing.T) {
		e := join(t)
		_, end := collect(e.client)
		e.serverCable.cut.Store(true)
		begin := time.Now()
		if err := next(t, end); !errors.Is(err, ErrLost) {
			t.Errorf("the end is %v", err)
		}
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
