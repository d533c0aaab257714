package transport

import (
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// descriptor is a socket that was taken away from Go's poller, for a loop. The zero value has none.
type descriptor struct {
	// mu guards the fields below. Those who use the socket hold it for reading: no call blocks.
	mu     sync.RWMutex
	loop   *loop // nil: not taken away
	fd     int
	slot   int32
	owner  carried
	closed bool
	readBy time.Time // the deadline that was asked for meanwhile, which ends the stay in the loop
}

// take duplicates the socket behind raw, closes the one that Go's poller knows, and has the loop carry it. It
// reports false, and has changed nothing, when that is not possible.
func (d *descriptor) take(l *loop, raw syscall.RawConn, old interface{ Close() error }, owner carried) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	fd := -1
	if err := control(raw, func(old int) (err error) {
		fd, err = unix.FcntlInt(uintptr(old), unix.F_DUPFD_CLOEXEC, 0)
		return err
	}); err != nil {
		return false
	}
	d.fd, d.owner = fd, owner
	slot, err := l.enter(fd, owner)
	if err != nil {
		_ = unix.Close(fd)
		return false
	}
	d.loop, d.slot = l, slot
	_ = old.Close()
	return true
}

// giveBackLocked returns the connection to Go's poller, and no connection if it was closed or none was taken.
func (d *descriptor) giveBackLocked() (*net.TCPConn, error) {
	if d.loop == nil || d.closed {
		return nil, nil
	}
	f := os.NewFile(uintptr(d.fd), "connection")
	d.loop = nil
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		d.closed = true
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// quit has the loop wait for the socket no more. The loop calls it when it lets go: until the socket is given back it
// would be woken by it all the time.
func (d *descriptor) quit() {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.loop != nil && !d.closed {
		_ = d.loop.control(unix.EPOLL_CTL_DEL, d.fd, 0, 0)
	}
}

// close closes the socket and asks the loop to let go of it. It reports false when it was not taken away, so that
// Go's has to be closed.
func (d *descriptor) close() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return d.loop != nil
	}
	d.closed = true
	if d.loop == nil {
		return false
	}
	_ = unix.Close(d.fd)
	d.loop.leave(d.slot, d.owner)
	return true
}

// deadline keeps a deadline for reading and asks the loop to let go. It reports false when the socket is with Go's poller.
func (d *descriptor) deadline(t time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.loop == nil || d.closed {
		return false
	}
	d.readBy = t
	d.loop.leave(d.slot, d.owner)
	return true
}

// depart asks the loop to let go.
func (d *descriptor) depart() {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.loop != nil {
		d.loop.leave(d.slot, d.owner)
	}
}

// watch has the loop look at the deadlines of c.
func (d *descriptor) watch(c *Conn) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.loop != nil {
		d.loop.watch(c)
	}
}

// until returns the deadline that was asked for.
func (d *descriptor) until() time.Time {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.readBy
}

// want tells the loop whether to say when the socket takes bytes.
func (d *descriptor) want(out bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.loop == nil || d.closed {
		return
	}
	events := uint32(unix.EPOLLIN)
	if out {
		events |= unix.EPOLLOUT
	}
	_ = d.loop.control(unix.EPOLL_CTL_MOD, d.fd, d.slot, events)
}

// read reads what is there, and returns EAGAIN when nothing is.
func (d *descriptor) read(p []byte) (int, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.loop == nil || d.closed {
		return 0, net.ErrClosed
	}
	for {
		n, err := syscall.Read(d.fd, p)
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// write writes what the socket takes, and returns EAGAIN when that is nothing.
func (d *descriptor) write(p []byte) (int, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.loop == nil || d.closed {
		return 0, net.ErrClosed
	}
	for {
		n, err := syscall.Write(d.fd, p)
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// control calls f with the descriptor of the socket, wherever that is.
func (s *stream) control(f func(fd int) error) error {
	s.own.mu.RLock()
	defer s.own.mu.RUnlock()
	if s.own.loop != nil {
		if s.own.closed {
			return net.ErrClosed
		}
		return f(s.own.fd)
	}
	raw, err := s.TCPConn.SyscallConn()
	if err != nil {
		return err
	}
	return control(raw, f)
}
