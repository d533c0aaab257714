package sctp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Options of a socket, from the header linux/sctp.h: RFC 6458, Section 8.
const (
	optRTO            = 0
	optAssociation    = 1
	optInit           = 2
	optNoDelay        = 3
	optPeerAddress    = 9
	optEvents         = 11
	optReceiveInfo    = 32
	optAddAddress     = 100
	optRemoteUDP      = 132
	pingEnable        = 1 // of optPeerAddress
	controlSendInfo   = 2
	controlReceive    = 3
	flagUnordered     = 1 // of controlSendInfo
	flagNotification  = 0x8000
	eventAssociation  = 0x8001 // RFC 6458, Section 6.1.1
	eventPeerAddress  = 0x8002 // RFC 6458, Section 6.1.2
	associationLost   = 1
	associationReborn = 2
	associationShut   = 3
)

// States of a peer's address, of eventPeerAddress.
const (
	addressAvailable   = 0
	addressUnreachable = 1
	addressRemoved     = 2
	addressConfirmed   = 5 // it had been announced, and now has answered
)

// native is the byte order of the kernel's structures.
var native = binary.NativeEndian

// KernelSpeaks tells whether the kernel has SCTP that can be used from here.
func KernelSpeaks() bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}

// setOption sets an option, whose structure is given as bytes.
func setOption(fd, option int, value []byte) error {
	if err := unix.SetsockoptString(fd, unix.IPPROTO_SCTP, option, string(value)); err != nil {
		return os.NewSyscallError(fmt.Sprintf("setsockopt %d", option), err)
	}
	return nil
}

// kernelSocket makes a socket of one association, or of one listener, set up as the configuration says.
func (k *kernel) kernelSocket(family int, udpPort uint16) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := k.setUp(fd, udpPort); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// setUp sets the options of a socket.
func (k *kernel) setUp(fd int, udpPort uint16) error {
	c := &k.cfg
	milliseconds := func(b []byte, d time.Duration) { native.PutUint32(b, uint32(max(1, d.Milliseconds()))) }
	begin := make([]byte, 8)
	native.PutUint16(begin, uint16(c.Streams))
	native.PutUint16(begin[2:], uint16(c.Streams))
	native.PutUint16(begin[4:], uint16(c.InitAttempts))
	native.PutUint16(begin[6:], uint16(min(max(1, c.RTOMax.Milliseconds()), 60000)))
	timeouts := make([]byte, 16)
	milliseconds(timeouts[4:], c.RTOInitial)
	milliseconds(timeouts[8:], c.RTOMax)
	milliseconds(timeouts[12:], c.RTOMin)
	attempts := make([]byte, 20)
	native.PutUint16(attempts[4:], uint16(c.Retransmissions))
	pings := make([]byte, 156)
	milliseconds(pings[132:], c.PingInterval)
	native.PutUint16(pings[136:], uint16(c.Retransmissions))
	native.PutUint32(pings[146:], pingEnable)
	on := native.AppendUint32(nil, 1)
	for _, o := range []struct {
		option int
		value  []byte
	}{
		{optInit, begin},
		{optRTO, timeouts},
		{optAssociation, attempts},
		{optPeerAddress, pings},
		{optNoDelay, on},
		{optReceiveInfo, on},
		{optEvents, []byte{0, 1, 1, 0, 0, 0, 0, 0}}, // the association's life, the peer's addresses
	} {
		if err := setOption(fd, o.option, o.value); err != nil {
			return err
		}
	}
	if udpPort != 0 {
		encapsulation := make([]byte, 144)
		native.PutUint16(encapsulation[8:], unix.AF_INET) // the wildcard: all addresses of the peer
		binary.BigEndian.PutUint16(encapsulation[136:], udpPort)
		if err := setOption(fd, optRemoteUDP, encapsulation); err != nil {
			return err
		}
	}
	// The system may give fewer bytes than it is asked for.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, c.ReceiveBuffer)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, max(c.SendBuffer, 2*c.MaxMessage))
	return nil
}

// bind binds a socket to the local addresses. Several share one port: RFC 6458, Section 9.1.
func bind(fd, family int, addresses []netip.Addr, port uint16) error {
	if len(addresses) == 0 {
		if port == 0 {
			return nil
		}
		addresses = []netip.Addr{netip.IPv6Unspecified()}
		if family == unix.AF_INET {
			addresses[0] = netip.IPv4Unspecified()
		}
	}
	if err := unix.Bind(fd, sockaddr(family, netip.AddrPortFrom(addresses[0], port))); err != nil {
		return os.NewSyscallError("bind", err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	for _, a := range addresses[1:] {
		if err := setOption(fd, optAddAddress, rawSockaddr(family, netip.AddrPortFrom(a, addrPort(bound).Port()))); err != nil {
			return err
		}
	}
	return nil
}

// familyOf is the family of sockets for addresses: IPv4 when all are.
func familyOf(addresses []netip.Addr) int {
	for _, a := range addresses {
		if !a.Unmap().Is4() {
			return unix.AF_INET6
		}
	}
	return unix.AF_INET
}

func sockaddr(family int, a netip.AddrPort) unix.Sockaddr {
	if family == unix.AF_INET {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().Unmap().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// rawSockaddr is the kernel's structure.
func rawSockaddr(family int, a netip.AddrPort) []byte {
	b := native.AppendUint16(nil, uint16(family))
	b = binary.BigEndian.AppendUint16(b, a.Port())
	if family == unix.AF_INET {
		bytes := a.Addr().Unmap().As4()
		return append(append(b, bytes[:]...), make([]byte, 8)...)
	}
	bytes := a.Addr().As16()
	return append(append(append(b, 0, 0, 0, 0), bytes[:]...), 0, 0, 0, 0)
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// readSockaddr reads the kernel's structure.
func readSockaddr(b []byte) netip.Addr {
	switch native.Uint16(b) {
	case unix.AF_INET:
		return netip.AddrFrom4([4]byte(b[4:8]))
	case unix.AF_INET6:
		return netip.AddrFrom16([16]byte(b[8:24])).Unmap()
	}
	return netip.Addr{}
}

// sendInfo is what goes beside a message: stream and order.
func sendInfo(stream uint16, unordered bool) []byte {
	b := make([]byte, unix.CmsgSpace(16))
	putControl(b, controlSendInfo, 16)
	info := b[unix.CmsgLen(0):]
	native.PutUint16(info, stream)
	if unordered {
		native.PutUint16(info[2:], flagUnordered)
	}
	return b
}

// putControl writes the header of a control message.
func putControl(b []byte, kind, length int) {
	if unix.SizeofCmsghdr == 16 {
		native.PutUint64(b, uint64(unix.CmsgLen(length)))
	} else {
		native.PutUint32(b, uint32(unix.CmsgLen(length)))
	}
	native.PutUint32(b[unix.SizeofCmsghdr-8:], unix.IPPROTO_SCTP)
	native.PutUint32(b[unix.SizeofCmsghdr-4:], uint32(kind))
}

// receivedStream reads the stream from what came beside a message.
func receivedStream(b []byte) uint16 {
	if len(b) < unix.CmsgLen(2) || native.Uint32(b[unix.SizeofCmsghdr-8:]) != unix.IPPROTO_SCTP ||
		native.Uint32(b[unix.SizeofCmsghdr-4:]) != controlReceive {
		return 0
	}
	return native.Uint16(b[unix.CmsgLen(0):])
}
