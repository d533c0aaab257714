package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// The parts of RFC 5923's Figure 4. Forward is from the first to the second.
var (
	domainNames = [2]string{"example.com", "example.net"}
	proxyNames  = [2]string{"p1.example.com", "p2.example.net"}
)

// place is where the parts of one lab are.
type place struct {
	dns   netip.AddrPort
	sides [2]spot
}

// spot is where one proxy and its agents are.
type spot struct {
	proxy  netip.Addr
	sip    uint16 // UDP and TCP
	tls    uint16
	agents netip.Addr
}

// foundPlace is a place with what was bound there to keep it.
type foundPlace struct {
	place
	dns  net.PacketConn // bound for the DNS server; it keeps the place for this lab
	held []interface{ Close() error }
}

// release frees the proxies' addresses for the proxies.
func (f *foundPlace) release() {
	for _, c := range f.held {
		_ = c.Close()
	}
	f.held = nil
}

// findPlace looks for addresses that nobody uses: the usual ports on 127.0.N.11 and 127.0.N.12 for a
// small N, so that several labs run side by side, or else free ports on 127.0.0.1 (where a system has
// no other loopback address, or somebody listens on the SIP ports of all addresses).
func findPlace() (*foundPlace, error) {
	var last error
	for n := range 255 {
		f, err := bindPlace(place{
			dns: netip.AddrPortFrom(loopback(n, 53), 5300),
			sides: [2]spot{
				{loopback(n, 11), 5060, 5061, loopback(n, 21)},
				{loopback(n, 12), 5060, 5061, loopback(n, 22)},
			},
		})
		if err == nil {
			return f, nil
		}
		last = err
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			break // no such address on this system, nor the others
		}
	}
	here := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	for range 20 {
		f, err := bindPlace(place{
			dns:   netip.AddrPortFrom(here, 0),
			sides: [2]spot{{proxy: here, agents: here}, {proxy: here, agents: here}},
		})
		if err == nil {
			return f, nil
		}
		last = err
	}
	return nil, fmt.Errorf("lab: no free addresses on the loopback: %w", last)
}

func loopback(n, host int) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, byte(n), byte(host)}) }

// bindPlace binds all that want needs; a port 0 in want becomes the one that the system gave.
func bindPlace(want place) (*foundPlace, error) {
	f := &foundPlace{place: want}
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(want.dns))
	if err != nil {
		return nil, err
	}
	f.dns, f.place.dns = udp, udp.LocalAddr().(*net.UDPAddr).AddrPort()
	for i := range f.sides {
		if err := f.bind(&f.sides[i]); err != nil {
			f.release()
			udp.Close()
			return nil, err
		}
	}
	return f, nil
}

// bind holds the ports of one proxy.
func (f *foundPlace) bind(s *spot) error {
	for _, port := range []*uint16{&s.sip, &s.tls} {
		tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.proxy, *port)))
		if err != nil {
			return err
		}
		f.held = append(f.held, tcp)
		*port = tcp.Addr().(*net.TCPAddr).AddrPort().Port()
	}
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.proxy, s.sip)))
	if err != nil {
		return err
	}
	f.held = append(f.held, udp)
	return nil
}
