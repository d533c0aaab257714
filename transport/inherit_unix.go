//go:build unix

package transport

import "golang.org/x/sys/unix"

// Sockets returns the sockets of all listeners, for another process to have them too. With a listener for SCTP it is
// ErrNotInherited.
func (t *Transport) Sockets() ([]Socket, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []Socket
	add := func(index int, with func(func(fd int) error) error) error {
		return with(func(fd int) error {
			dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			if err == nil {
				list = append(list, Socket{t.cfg.Listen[index], dup})
			}
			return err
		})
	}
	var err error
	for _, l := range t.listeners {
		if l.tcp == nil {
			err = ErrNotInherited
			continue
		}
		raw, rerr := l.tcp.SyscallConn()
		if rerr == nil {
			rerr = add(l.index, func(f func(fd int) error) error { return control(raw, f) })
		}
		if rerr != nil {
			err = rerr
		}
	}
	for _, s := range t.sockets {
		if uerr := add(s.index, s.control); uerr != nil {
			err = uerr
		}
	}
	if err != nil {
		for _, s := range list {
			_ = unix.Close(s.FD)
		}
		return nil, err
	}
	return list, nil
}
