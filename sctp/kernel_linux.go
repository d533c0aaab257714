package sctp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// kernel is the SCTP of the kernel, with a socket for each association, on the runtime's poller.
type kernel struct {
	cfg Config
	counters
	wg sync.WaitGroup // the goroutines of listeners

	// mu guards the fields below.
	mu        sync.Mutex
	all       map[*kernelAssociation]bool
	listeners map[*Listener]bool
	ended     bool
}

// openKernel makes sure that there is SCTP in the kernel.
func openKernel(c Config) (Provider, error) {
	if !KernelSpeaks() {
		return nil, ErrNoKernel
	}
	return &kernel{cfg: c, all: make(map[*kernelAssociation]bool), listeners: make(map[*Listener]bool)}, nil
}

// Kind is Kernel.
func (k *kernel) Kind() Kind { return Kernel }

// Stats implements Provider.
func (k *kernel) Stats() Stats {
	k.mu.Lock()
	n := len(k.all)
	k.mu.Unlock()
	return k.stats(n)
}

// Listen implements Provider.
func (k *kernel) Listen(port uint16) (*Listener, error) {
	family := unix.AF_INET6
	if len(k.cfg.Addresses) > 0 {
		family = familyOf(k.cfg.Addresses)
	}
	fd, err := k.listen(family, port)
	if err != nil && len(k.cfg.Addresses) == 0 {
		fd, err = k.listen(unix.AF_INET, port) // there may be no IPv6
	}
	if err != nil {
		return nil, fmt.Errorf("sctp: listen: %w", err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("sctp: listen: %w", os.NewSyscallError("getsockname", err))
	}
	file := os.NewFile(uintptr(fd), "sctp listener")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("sctp: listen: %w", err)
	}
	var l *Listener
	l = newListener(k.first(addrPort(bound)), k.cfg.Backlog, func() {
		file.Close()
		k.mu.Lock()
		delete(k.listeners, l)
		k.mu.Unlock()
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		file.Close()
		return nil, fmt.Errorf("sctp: listen: %w", net.ErrClosed)
	}
	k.listeners[l] = true
	k.wg.Add(1)
	// Ends when the listener is closed.
	go k.accept(raw, l)
	return l, nil
}

// first is a local address of a socket, or the first of those that were configured: the kernel names the last.
func (k *kernel) first(bound netip.AddrPort) netip.AddrPort {
	if len(k.cfg.Addresses) > 0 {
		return netip.AddrPortFrom(k.cfg.Addresses[0].Unmap(), bound.Port())
	}
	return bound
}

// listen makes the socket of a listener.
func (k *kernel) listen(family int, port uint16) (int, error) {
	fd, err := k.kernelSocket(family, 0)
	if err != nil {
		return -1, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) // a port that was just used is free
	if err = bind(fd, family, k.cfg.Addresses, port); err == nil {
		err = os.NewSyscallError("listen", unix.Listen(fd, k.cfg.Backlog))
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// accept takes associations from the kernel for a listener.
func (k *kernel) accept(raw syscall.RawConn, l *Listener) {
	defer k.wg.Done()
	for {
		var fd int
		var err error
		if raw.Read(func(s uintptr) bool {
			fd, _, err = unix.Accept4(int(s), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			return !errors.Is(err, unix.EAGAIN)
		}) != nil {
			return
		}
		if err != nil {
			if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ECONNABORTED) {
				select { // out of descriptors, for one
				case <-l.closed:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
			continue
		}
		a, err := k.newAssociation(fd, l)
		if err != nil {
			continue
		}
		if !k.hand(a, l) {
			k.refused.Add(1)
			a.Abort("")
			continue
		}
		k.accepted.Add(1)
	}
}

// hand queues an association at its listener. The lock keeps that from being closed meanwhile.
func (k *kernel) hand(a *kernelAssociation, l *Listener) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.listeners[l] && len(k.all) <= k.cfg.MaxAssociations && l.offer(a)
}

// Dial implements Provider.
func (k *kernel) Dial(ctx context.Context, peer netip.AddrPort, udpPort uint16) (Association, error) {
	if udpPort == 0 {
		udpPort = uint16(k.cfg.PeerUDPPort)
	}
	if !peer.IsValid() || peer.Port() == 0 {
		return nil, fmt.Errorf("sctp: dial %v: no address to dial", peer)
	}
	k.dialing.Add(1)
	defer k.dialing.Add(-1)
	a, err := k.dial(ctx, peer, udpPort)
	if err != nil {
		return nil, fmt.Errorf("sctp: dial %v: %w", peer, err)
	}
	k.dialed.Add(1)
	return a, nil
}

func (k *kernel) dial(ctx context.Context, peer netip.AddrPort, udpPort uint16) (*kernelAssociation, error) {
	family := familyOf(append([]netip.Addr{peer.Addr()}, k.cfg.Addresses...))
	fd, err := k.kernelSocket(family, udpPort)
	if err != nil {
		return nil, err
	}
	if err := bind(fd, family, k.cfg.Addresses, 0); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "sctp")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = file.SetWriteDeadline(time.Unix(1, 0)) })
	begun := false
	waited := raw.Write(func(s uintptr) bool {
		if !begun {
			begun = true
			err = unix.Connect(int(s), sockaddr(family, peer))
			return !errors.Is(err, unix.EINPROGRESS)
		}
		var code int
		if code, err = unix.GetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
			if err == nil {
				err = syscall.Errno(code)
			}
			return true
		}
		_, err = unix.Getpeername(int(s))
		return !errors.Is(err, unix.ENOTCONN) // not yet
	})
	if !stop() || waited != nil || err != nil {
		file.Close()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case waited != nil:
			return nil, waited
		}
		return nil, kernelError(os.NewSyscallError("connect", err))
	}
	_ = file.SetWriteDeadline(time.Time{})
	return k.adopt(file, raw, nil)
}

// kernelError says in the room's errors what the kernel said.
func kernelError(err error) error {
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return ErrRefused
	case errors.Is(err, unix.ECONNRESET):
		return ErrAborted
	case errors.Is(err, unix.ETIMEDOUT):
		return ErrLost
	}
	return err
}

// Close implements Provider.
func (k *kernel) Close() error {
	k.mu.Lock()
	k.ended = true
	var listeners []*Listener
	for l := range k.listeners {
		listeners = append(listeners, l)
	}
	var left []*kernelAssociation
	for a := range k.all {
		left = append(left, a)
	}
	k.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close() // it never fails
	}
	for _, a := range left {
		a.Abort("")
	}
	k.wg.Wait()
	return nil
}
