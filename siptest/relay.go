package siptest

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
)

// Relay carries the UDP packets between two addresses, until it is cut. Both sides see packets from the other's address,
// which is what SCTP over UDP goes by (RFC 6951, Section 5.4).
type Relay struct {
	// Port is where the first address sends to, at the second one's address.
	Port uint16

	near, far *net.UDPConn   // bound at the first address and at the second
	to        netip.AddrPort // of the second side
	from      atomic.Pointer[netip.AddrPort]
	cut       atomic.Bool
	alter     atomic.Pointer[func(packet []byte, there bool)]
	done      sync.WaitGroup
}

// NewRelay carries what from sends to Port of to's address on to to, and the answers back. It ends with the test.
func NewRelay(tb testing.TB, from netip.Addr, to netip.AddrPort) *Relay {
	tb.Helper()
	r := &Relay{to: to}
	for _, x := range []struct {
		socket **net.UDPConn
		at     netip.Addr
	}{{&r.near, from}, {&r.far, to.Addr()}} {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(x.at, 0)))
		if err != nil {
			tb.Fatal(err)
		}
		*x.socket = c
	}
	r.Port = r.far.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	// Both end when the sockets are closed.
	r.done.Go(func() { r.carry(r.far, r.near, func() *netip.AddrPort { return &r.to }, &r.from) })
	r.done.Go(func() { r.carry(r.near, r.far, r.from.Load, nil) })
	tb.Cleanup(func() {
		_ = r.near.Close()
		_ = r.far.Close()
		r.done.Wait()
	})
	return r
}

// Cut has every packet lost from now on.
func (r *Relay) Cut() { r.cut.Store(true) }

// Alter has each packet changed on its way from now on; there tells those of the first address.
func (r *Relay) Alter(change func(packet []byte, there bool)) { r.alter.Store(&change) }

// carry reads one socket and sends what comes by the other.
func (r *Relay) carry(in, out *net.UDPConn, to func() *netip.AddrPort, note *atomic.Pointer[netip.AddrPort]) {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := in.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if note != nil {
			note.Store(&from)
		}
		if change := r.alter.Load(); change != nil {
			(*change)(buf[:n], note != nil)
		}
		if at := to(); at != nil && !r.cut.Load() {
			_, _ = out.WriteToUDPAddrPort(buf[:n], *at) // what is lost is sent again
		}
	}
}
