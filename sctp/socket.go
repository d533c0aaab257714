package sctp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// protocol is the number of SCTP in the headers of IP.
const protocol = 132

// udpPort is the port of SCTP over UDP: RFC 6951, Section 7.
const udpPort = 9899

// socketBuffer is how many bytes a socket is asked to hold in each direction; the system may give fewer.
const socketBuffer = 4 << 20

// socket carries packets. The ports of the addresses are UDP's, and 0 over IP.
type socket interface {
	read(b []byte) (n int, from netip.AddrPort, err error)
	write(b []byte, to netip.AddrPort) error
	close() error
	local() netip.AddrPort
}

// openSocket opens the socket of a provider.
func openSocket(c *Config) (socket, error) {
	if len(c.Addresses) > 1 {
		return nil, fmt.Errorf("sctp: in userland an association has one local address, and not %d", len(c.Addresses))
	}
	address := ""
	if len(c.Addresses) == 1 {
		address = c.Addresses[0].String()
	}
	if c.Kind == Raw {
		return openRaw(c, address)
	}
	port := c.UDPPort
	switch {
	case port == 0:
		port = udpPort
	case port < 0:
		port = 0
	}
	conn, err := net.ListenPacket("udp", net.JoinHostPort(address, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("sctp: %w", err)
	}
	udp := conn.(*net.UDPConn)
	enlarge(udp)
	return udpSocket{udp}, nil
}

// openRaw opens a socket for packets in IP.
func openRaw(c *Config, address string) (socket, error) {
	if KernelSpeaks() {
		return nil, errors.New("sctp: the kernel speaks SCTP itself, and would abort what it does not know of: use it, or UDP")
	}
	network := "ip4:" + strconv.Itoa(protocol)
	if len(c.Addresses) == 1 && c.Addresses[0].Is6() {
		network = "ip6:" + strconv.Itoa(protocol)
	}
	conn, err := net.ListenPacket(network, address)
	if err != nil {
		return nil, fmt.Errorf("sctp: %w", err)
	}
	ip := conn.(*net.IPConn)
	enlarge(ip)
	return rawSocket{ip}, nil
}

// enlarge asks for larger buffers. Smaller ones cost packets, which are sent again.
func enlarge(c interface {
	SetReadBuffer(bytes int) error
	SetWriteBuffer(bytes int) error
},
) {
	_ = c.SetReadBuffer(socketBuffer)
	_ = c.SetWriteBuffer(socketBuffer)
}

// udpSocket carries packets over UDP: RFC 6951.
type udpSocket struct{ conn *net.UDPConn }

func (s udpSocket) read(b []byte) (int, netip.AddrPort, error) {
	n, from, err := s.conn.ReadFromUDPAddrPort(b)
	return n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), err
}

func (s udpSocket) write(b []byte, to netip.AddrPort) error {
	_, err := s.conn.WriteToUDPAddrPort(b, to)
	return err
}

func (s udpSocket) close() error { return s.conn.Close() }

func (s udpSocket) local() netip.AddrPort {
	a := s.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// rawSocket carries packets in IP.
type rawSocket struct{ conn *net.IPConn }

func (s rawSocket) read(b []byte) (int, netip.AddrPort, error) {
	n, from, err := s.conn.ReadFromIP(b)
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	a, _ := netip.AddrFromSlice(from.IP)
	return n, netip.AddrPortFrom(a.Unmap().WithZone(from.Zone), 0), nil
}

func (s rawSocket) write(b []byte, to netip.AddrPort) error {
	_, err := s.conn.WriteToIP(b, &net.IPAddr{IP: to.Addr().AsSlice(), Zone: to.Addr().Zone()})
	return err
}

func (s rawSocket) close() error { return s.conn.Close() }

func (s rawSocket) local() netip.AddrPort {
	a, _ := netip.AddrFromSlice(s.conn.LocalAddr().(*net.IPAddr).IP)
	return netip.AddrPortFrom(a.Unmap(), 0)
}
