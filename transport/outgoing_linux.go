package transport

import (
	"encoding/binary"
	"hash/maphash"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sentAtOnce and gatheredBytes bound the datagrams that wait for the end of a loop's turn. What finds no room among
// them has them sent at once.
const (
	sentAtOnce    = 64
	gatheredBytes = 64 << 10 // no less than one datagram can have
)

// outgoing gathers the datagrams that a socket is given while a loop is at work, and sends them with one system call:
// the receiver is woken once, and not for each. The order is kept.
//
// The system is asked at once about an address that it has not taken a datagram for of late, so that Send tells
// of one that cannot be reached. What it refuses later is counted, and makes the next Send to that address ask again.
type outgoing struct {
	// mu guards the fields below. It is held while the system is called, which does not block.
	mu      sync.Mutex
	listed  bool // the batch has it and will call flush
	n       int  // datagrams that wait
	used    int  // of bytes
	bytes   []byte
	headers [sentAtOnce]mmsghdr
	vectors [sentAtOnce]unix.Iovec
	names   [sentAtOnce]unix.RawSockaddrInet6
	keys    [sentAtOnce]uint64
	taken   [1024]uint64 // keys of addresses that the system took the latest datagram for, by their lowest bits
	seed    maphash.Seed
}

func newOutgoing() *outgoing {
	o := &outgoing{bytes: make([]byte, gatheredBytes), seed: maphash.MakeSeed()}
	for i := range o.headers {
		h := &o.headers[i]
		h.Name = (*byte)(unsafe.Pointer(&o.names[i]))
		h.Iov = &o.vectors[i]
		h.SetIovlen(1)
	}
	return o
}

// key returns a number of an address that few others share. It is never 0.
func (o *outgoing) key(a netip.AddrPort) uint64 {
	if ip := a.Addr().Unmap(); ip.Is4() {
		v4 := ip.As4()
		return 1<<63 | uint64(binary.BigEndian.Uint32(v4[:]))<<16 | uint64(a.Port())
	}
	return maphash.Comparable(o.seed, a) | 1<<63
}

// slot returns where taken has a key.
func (o *outgoing) slot(key uint64) *uint64 {
	return &o.taken[(key^key>>10^key>>20^key>>32)%uint64(len(o.taken))]
}

// chosen returns the socket of the listener to send to an address from: that of the loop whose turn it is, which then
// shares no lock with other loops, and else one that is always the same for the address.
func (s *udpSocket) chosen(to netip.AddrPort) *udpSocket {
	n := len(s.group)
	if n == 1 {
		return s
	}
	if l := s.t.seats.here(); l != nil {
		loops := s.t.cfg.Loops
		if k := (l.number - s.index%loops + loops) % loops; k < n { // loopFor, the other way round
			return s.group[k]
		}
	}
	return s.group[hashOf(to)%uint32(n)]
}

// write sends one datagram, at the end of the turn if a loop is at work. What finds no room in the socket's buffer is
// lost, as it might be anywhere.
func (s *udpSocket) write(b []byte, to netip.AddrPort) error {
	s = s.chosen(to)
	d := &s.own
	d.mu.RLock()
	defer d.mu.RUnlock()
	switch {
	case d.closed:
		return net.ErrClosed
	case d.loop == nil:
		return s.writeBlocking(b, to)
	case len(b) == 0:
		return nil
	}
	o := s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n == sentAtOnce || o.used+len(b) > gatheredBytes {
		_ = s.sendLocked()
	}
	key := o.key(to)
	known := *o.slot(key) == key
	if !known {
		_ = s.sendLocked() // what waits may be for the same address
	}
	if err := s.addLocked(b, to, key); err != nil {
		return err
	}
	if !known || !o.listed && !s.t.gathers(s) {
		return s.sendLocked()
	}
	o.listed = true
	return nil
}

// addLocked puts a copy of b behind what waits. There is room for it.
func (s *udpSocket) addLocked(b []byte, to netip.AddrPort, key uint64) error {
	o := s.out
	h, name := &o.headers[o.n], &o.names[o.n]
	if s.ep.listen.Addr().Is4() {
		ip := to.Addr().Unmap()
		if !ip.Is4() {
			return ErrBadAddress
		}
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		v4.Family, v4.Port, v4.Addr = unix.AF_INET, swapped(to.Port()), ip.As4()
		h.Namelen = unix.SizeofSockaddrInet4
	} else {
		*name = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: swapped(to.Port()), Addr: to.Addr().As16(), Scope_id: scopeOf(to.Addr().Zone())}
		h.Namelen = unix.SizeofSockaddrInet6
	}
	copy(o.bytes[o.used:], b)
	v := &o.vectors[o.n]
	v.Base = &o.bytes[o.used]
	v.SetLen(len(b))
	o.keys[o.n] = key
	o.used += len(b)
	o.n++
	return nil
}

// flush sends what was gathered: the batch calls it.
func (s *udpSocket) flush() {
	s.own.mu.RLock()
	defer s.own.mu.RUnlock()
	if s.own.loop == nil {
		return // nothing was gathered
	}
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	s.out.listed = false
	_ = s.sendLocked()
}

// sendLocked sends what waits. It returns the error of the last datagram. The locks of s.own, for reading, and of s.out
// are held.
func (s *udpSocket) sendLocked() error {
	o := s.out
	n := o.n
	o.n, o.used = 0, 0
	if s.own.closed {
		s.t.count.datagramErrs.Add(uint64(n))
		return net.ErrClosed
	}
	var last error
	for i := 0; i < n; {
		k, _, errno := syscall.Syscall6(unix.SYS_SENDMMSG, uintptr(s.own.fd), uintptr(unsafe.Pointer(&o.headers[i])),
			uintptr(n-i), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			s.t.count.datagramsOut.Add(uint64(k))
			for end := i + int(k); i < end; i++ {
				*o.slot(o.keys[i]) = o.keys[i]
			}
			continue
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
		default:
			if slot := o.slot(o.keys[i]); *slot == o.keys[i] {
				*slot = 0
			}
			if i == n-1 {
				last = errno
			}
		}
		s.t.count.datagramErrs.Add(1)
		i++
	}
	return last
}
