package sctp

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ownNetwork gives the calling goroutine a network of its own, whose loopback interface has the addresses.
// Sockets that it opens are there.
func ownNetwork(t *testing.T, addresses ...string) {
	t.Helper()
	runtime.LockOSThread() // for good: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); errors.Is(err, unix.EPERM) {
		runtime.UnlockOSThread()
		t.Skip("it needs the right to make a network of its own")
	} else if err != nil {
		t.Fatal(err)
	}
	// No packets that are longer than the usual: .ci/kernel/init says why.
	network(t, "link set lo mtu 1500 gso_max_size 1400 gso_max_segs 1 up")
	for _, a := range addresses {
		network(t, "address add "+a+" dev lo nodad")
	}
}

// network changes the network of the calling goroutine, as the command ip does.
func network(t *testing.T, change string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(change)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", change, err, out)
	}
}

// addresses makes addresses of text.
func addresses(list ...string) (all []netip.Addr) {
	for _, a := range list {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

// TestKernelAddresses makes associations between several addresses on each side, over IPv4, IPv6 and both.
func TestKernelAddresses(t *testing.T) {
	needKernel(t)
	t.Parallel()
	for _, test := range []struct {
		name           string
		client, server []netip.Addr
	}{
		{"IPv4", addresses("127.0.0.2", "127.0.0.3"), addresses("127.0.0.4", "127.0.0.5")},
		{"IPv6", addresses("fd00::2", "fd00::3"), addresses("fd00::4", "fd00::5")},
		{"both", addresses("fd00::2", "127.0.0.3"), addresses("127.0.0.4", "fd00::5")},
	} {
		t.Run(test.name, func(t *testing.T) {
			ownNetwork(t, "fd00::2", "fd00::3", "fd00::4", "fd00::5")
			cfg := quick()
			cfg.Addresses = test.client
			client := inKernel(t, cfg)
			cfg.Addresses = test.server
			l, err := inKernel(t, cfg).Listen(5060)
			if err != nil {
				t.Fatal(err)
			}
			for _, to := range test.server {
				a, err := client.Dial(within(t), netip.AddrPortFrom(to, 5060), 0)
				if err != nil {
					t.Fatal(err)
				}
				b, err := l.Accept(within(t))
				if err != nil {
					t.Fatal(err)
				}
				exchange(t, a, b)
			}
		})
	}
}

// change is what PathChange was told.
type change struct {
	address netip.Addr
	up      bool
}

// TestKernelPathChange takes away one of the peer's addresses after the other: each time that is reported, the
// association goes on over the other address, and the return of the first is reported as well.
func TestKernelPathChange(t *testing.T) {
	needKernel(t)
	t.Parallel()
	ownNetwork(t)
	changes := make(chan change, 100)
	cfg := quick()
	cfg.RTOInitial, cfg.RTOMax, cfg.PingInterval = 50*time.Millisecond, 100*time.Millisecond, 50*time.Millisecond
	cfg.Addresses = addresses("127.0.0.2", "127.0.0.3")
	cfg.PathChange = func(_ Association, address netip.Addr, up bool) { changes <- change{address, up} }
	client := inKernel(t, cfg)
	cfg.Addresses, cfg.PathChange = addresses("127.0.0.4", "127.0.0.5"), nil
	l, err := inKernel(t, cfg).Listen(5060)
	if err != nil {
		t.Fatal(err)
	}
	a, err := client.Dial(within(t), l.Addr(), 0)
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept(within(t))
	if err != nil {
		t.Fatal(err)
	}
	_, end := collect(a)
	got, _ := collect(b)
	await := func(address netip.Addr, up bool) {
		t.Helper()
		for late := time.After(patience); ; {
			select {
			case c := <-changes:
				if c == (change{address, up}) {
					return
				}
				t.Errorf("told of %+v", c)
			case err := <-end:
				t.Fatal(err)
			case <-late:
				t.Fatalf("not told of %v, %v", address, up)
			}
		}
	}
	dialed, other := l.Addr().Addr(), cfg.Addresses[1]
	if dialed != cfg.Addresses[0] {
		t.Errorf("the listener's address is %v", dialed)
	}
	await(other, true) // nothing had been sent there
	for _, address := range []netip.Addr{dialed, other} {
		network(t, "route add table local blackhole "+address.String()+"/32")
		if err := a.Send(within(t), []byte("still here"), 0, true); err != nil {
			t.Fatal(err)
		}
		if m := next(t, got); m.text != "still here" {
			t.Errorf("got %q", m.text)
		}
		await(address, false)
		network(t, "route delete table local blackhole "+address.String()+"/32")
		await(address, true)
	}
}

// TestKernelLeaks opens and ends 300 associations, by shutdown, by abort, and by silence: goroutines, memory
// and sockets are then what they were.
func TestKernelLeaks(t *testing.T) {
	needKernel(t)
	k := inKernel(t, quick())
	l, err := k.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	u, c := userland(t, quick())
	descriptors := func() int {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(open)
	}
	i := 0
	dial := func() (client, server Association) {
		t.Helper()
		dialer, udp := k, uint16(0)
		if i++; i > 200 { // its cable can be cut
			dialer, udp = u, udpPort
		}
		client, err := dialer.Dial(within(t), l.Addr(), udp)
		if err != nil {
			t.Fatal(err)
		}
		server, err = l.Accept(within(t))
		if err != nil {
			t.Fatal(err)
		}
		return client, server
	}
	before := descriptors()
	leave(t, dial, c)
	for _, p := range []Provider{k, u} {
		if n := p.Stats().Associations; n != 0 {
			t.Errorf("%v: %d associations are left", p.Kind(), n)
		}
	}
	if n := descriptors(); n > before {
		t.Errorf("%d descriptors are open, %d before", n, before)
	}
}
