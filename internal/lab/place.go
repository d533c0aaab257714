package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/tandem-sip/tandem/sipaddr"
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
	sip    uint16 // UDP and TCP, and SCTP
	tls    uint16 // and TLS over SCTP
	admin  uint16 // of its admin API
	agents netip.Addr
	encap  uint16 // UDP port that SCTP is carried over in userland; 0: nobody speaks it there
}

// port returns where a proxy listens for a transport.
func (s spot) port(t sipaddr.Transport) uint16 {
	if t.Secure() {
		return s.tls
	}
	return s.sip
}

// usualEncap is the UDP port of SCTP over UDP: RFC 6951, Section 7.
const usualEncap = 9899

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

// findPlace looks for addresses, and when SCTP is carried over UDP for its ports, that nobody uses: the usual ports on 127.0.N.11 and 127.0.N.12 for a
// small N, so that several labs run side by side, or else free ports on 127.0.0.1 (where a system has
// no other loopback address, or somebody listens on the SIP ports of all addresses).
func findPlace(overUDP bool) (*foundPlace, error) {
	var last error
	for n := range 255 {
		want := place{
			dns: netip.AddrPortFrom(loopback(n, 53), 5300),
			sides: [2]spot{
				{proxy: loopback(n, 11), sip: 5060, tls: 5061, admin: 8060, agents: loopback(n, 21)},
				{proxy: loopback(n, 12), sip: 5060, tls: 5061, admin: 8060, agents: loopback(n, 22)},
			},
		}
		if overUDP {
			want.sides[0].encap, want.sides[1].encap = usualEncap, usualEncap
		}
		f, err := bindPlace(want, overUDP)
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
		}, overUDP)
		if err == nil {
			return f, nil
		}
		last = err
	}
	return nil, fmt.Errorf("lab: no free addresses on the loopback: %w", last)
}

func loopback(n, host int) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, byte(n), byte(host)}) }

// bindPlace binds all that want needs; a port 0 in want becomes the one that the system gave.
func bindPlace(want place, overUDP bool) (*foundPlace, error) {
	f := &foundPlace{place: want}
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(want.dns))
	if err != nil {
		return nil, err
	}
	f.dns, f.place.dns = udp, udp.LocalAddr().(*net.UDPAddr).AddrPort()
	for i := range f.sides {
		if err := f.bind(&f.sides[i], overUDP); err != nil {
			f.release()
			udp.Close()
			return nil, err
		}
	}
	return f, nil
}

// bind holds the ports of one proxy.
func (f *foundPlace) bind(s *spot, overUDP bool) error {
	for _, port := range []*uint16{&s.sip, &s.tls, &s.admin} {
		tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.proxy, *port)))
		if err != nil {
			return err
		}
		f.held = append(f.held, tcp)
		*port = tcp.Addr().(*net.TCPAddr).AddrPort().Port()
	}
	ports := []*uint16{&s.sip}
	if overUDP {
		ports = append(ports, &s.encap)
	}
	for _, port := range ports {
		udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.proxy, *port)))
		if err != nil {
			return err
		}
		f.held = append(f.held, udp)
		*port = udp.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	}
	return nil
}
