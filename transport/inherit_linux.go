package transport

import (
	"time"

	"golang.org/x/sys/unix"
)

// pause has nobody read the socket any more.
func (s *udpSocket) pause() {
	if !s.own.halt() {
		_ = s.conn.SetReadDeadline(past)
	}
}

// resume has it read again.
func (s *udpSocket) resume() {
	if !s.own.proceed() {
		_ = s.conn.SetReadDeadline(time.Time{})
	}
}

// halt has the loop wait for the socket no more, and reports false when none carries it. proceed undoes it.
func (d *descriptor) halt() bool {
	d.quit()
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.loop != nil
}

func (d *descriptor) proceed() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.loop != nil && !d.closed {
		_ = d.loop.control(unix.EPOLL_CTL_ADD, d.fd, d.slot, unix.EPOLLIN)
	}
	return d.loop != nil
}

// control calls f with the descriptor of the socket, wherever that is.
func (s *udpSocket) control(f func(fd int) error) error {
	s.own.mu.RLock()
	defer s.own.mu.RUnlock()
	switch {
	case s.own.closed:
		return ErrClosed
	case s.own.loop != nil:
		return f(s.own.fd)
	}
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	return control(raw, f)
}
