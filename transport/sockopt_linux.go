package transport

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dialControl lets the system choose the ephemeral port when it knows the far address, so that one
// port can serve several of them.
func dialControl(_, _ string, c syscall.RawConn) error {
	return control(c, func(fd int) error {
		// A system without the option is served as well.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		return nil
	})
}

// broken reports whether the connection of s has been reset, which nobody is told who neither reads nor writes.
func (s *stream) broken() (broken bool) {
	if s.over != nil {
		return s.finished()
	}
	const closed = 7 // TCP_CLOSE, in the numbers of the kernel
	err := s.control(func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		broken = err != nil || info.State == closed
		return nil
	})
	return broken || err != nil
}

// refused reports whether the peer has answered what was written last with a reset, or the socket is closed here. It
// says so once.
func (s *stream) refused() (refused bool) {
	if s.over != nil {
		return s.finished()
	}
	err := s.control(func(fd int) error {
		code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		refused = err != nil || code != 0
		return nil
	})
	return refused || err != nil
}

// underway returns how many bytes the peer's system has not acknowledged.
func (s *stream) underway() (n int) {
	if s.over != nil {
		return 0 // it is not told
	}
	_ = s.control(func(fd int) (err error) {
		n, err = unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		return err
	})
	return n
}

// streamOptions bounds how long sent bytes may stay unacknowledged, and how many the kernel takes
// beyond what the peer's window lets through.
func streamOptions(c syscall.RawConn, userTimeout time.Duration, unsent int) error {
	return control(c, func(fd int) error {
		if userTimeout > 0 {
			if err := setUserTimeout(fd, userTimeout); err != nil {
				return err
			}
		}
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)
	})
}

// setUserTimeout bounds how long sent bytes may stay unacknowledged; 0: as long as the system likes.
func (s *stream) setUserTimeout(d time.Duration) error {
	return s.control(func(fd int) error { return setUserTimeout(fd, d) })
}

func setUserTimeout(fd int, d time.Duration) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}
