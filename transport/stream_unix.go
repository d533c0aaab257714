//go:build unix

package transport

import (
	"syscall"
)

// socket waits for the readiness of the descriptor and takes a buffer when there is something to
// put into it.
type socket struct {
	raw  syscall.RawConn
	read func(fd uintptr) bool // made once: a closure for each read would be an allocation
	n    int
	err  error
}

func (k *socket) init(s *stream) error {
	raw, err := s.TCPConn.SyscallConn()
	if err != nil {
		return err
	}
	k.raw = raw
	k.read = func(fd uintptr) bool {
		buf := getBuffer()
		for {
			n, err := syscall.Read(int(fd), buf.b[:cap(buf.b)])
			switch {
			case err == syscall.EINTR:
				continue
			case err == syscall.EAGAIN:
				putBuffer(buf)
				return false
			case n <= 0 || err != nil:
				putBuffer(buf)
				k.n, k.err = 0, err
				return true
			}
			buf.b = buf.b[:n]
			s.held, s.off = buf, 0
			k.n, k.err = n, nil
			return true
		}
	}
	return nil
}

// fill blocks until something was read into s.held. No bytes and no error are the end of the
// stream.
func (k *socket) fill(s *stream) (int, error) {
	k.n, k.err = 0, nil
	if err := k.raw.Read(k.read); err != nil {
		return 0, err
	}
	return k.n, k.err
}
