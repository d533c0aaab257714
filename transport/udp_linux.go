package transport

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// datagramsAtOnce is how many datagrams one system call brings at most.
const datagramsAtOnce = 16

// gathering is what one call of recvmmsg fills.
type gathering struct {
	headers [datagramsAtOnce]mmsghdr
	vectors [datagramsAtOnce]unix.Iovec
	names   [datagramsAtOnce]unix.RawSockaddrInet6
	buffers [datagramsAtOnce][]byte
	used    int // headers that the call before filled
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	n uint32
}

// datagramRoom is a little more than a datagram can have. Pages that were never written to take no memory. It is no
// power of two, or else all datagrams would compete for the same few lines of the processor's cache.
const datagramRoom = 64<<10 + 1088

func newGathering() *gathering {
	g := &gathering{}
	all := make([]byte, datagramsAtOnce*datagramRoom)
	for i := range g.headers {
		g.buffers[i] = all[i*datagramRoom : (i+1)*datagramRoom]
		g.vectors[i].Base = &g.buffers[i][0]
		g.vectors[i].SetLen(datagramRoom)
		h := &g.headers[i]
		h.Name = (*byte)(unsafe.Pointer(&g.names[i]))
		h.Iov = &g.vectors[i]
		h.SetIovlen(1)
		h.Namelen = unix.SizeofSockaddrInet6
	}
	return g
}

// carry has a loop read the socket, and returns true when it was closed. It returns false when there is no loop.
func (s *udpSocket) carry() bool {
	l := s.t.loopFor(uint64(s.index + s.place))
	if l == nil {
		return false
	}
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return false
	}
	s.gather, s.out = newGathering(), newOutgoing()
	if !s.own.take(l, raw, s.conn, s) {
		return false
	}
	<-s.gone
	return true
}

var _ carried = (*udpSocket)(nil)

func (s *udpSocket) left() { close(s.gone) }

// ready reads datagrams, as many as are there and one call brings.
func (s *udpSocket) ready(bool, bool) (more, stay bool) {
	g := s.gather
	n, err := s.own.gather(g)
	if err != nil {
		switch {
		case errors.Is(err, net.ErrClosed):
			return false, false
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		default:
			s.t.count.datagramErrs.Add(1) // an ICMP error for something that was sent
		}
		return false, true
	}
	for i := range n {
		s.datagram(g.buffers[i][:g.headers[i].n], addrPortOf(&g.names[i]))
	}
	return n == datagramsAtOnce, true
}

// gather fills g.
func (d *descriptor) gather(g *gathering) (int, error) {
	for i := range g.used { // the others are as they were made
		g.headers[i].Namelen = unix.SizeofSockaddrInet6
	}
	g.used = 0
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.loop == nil || d.closed {
		return 0, net.ErrClosed
	}
	n, _, errno := syscall.Syscall6(unix.SYS_RECVMMSG, uintptr(d.fd), uintptr(unsafe.Pointer(&g.headers[0])),
		datagramsAtOnce, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	g.used = int(n)
	return g.used, nil
}

func addrPortOf(name *unix.RawSockaddrInet6) netip.AddrPort {
	if name.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), swapped(v4.Port))
	}
	ip := netip.AddrFrom16(name.Addr).Unmap()
	if name.Scope_id != 0 && ip.Is6() {
		ip = ip.WithZone(strconv.FormatUint(uint64(name.Scope_id), 10))
	}
	return netip.AddrPortFrom(ip, swapped(name.Port))
}

// swapped returns a port as it is from the order of bytes of the network, and the other way round.
func swapped(port uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&port))
	return uint16(b[0])<<8 | uint16(b[1])
}

// scopeOf returns the number of a zone of IPv6, 0 when there is none.
func scopeOf(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index)
	}
	return 0
}
