//go:build !unix

package transport

import (
	"errors"
	"io"
)

// socket reads the ordinary way, into a small buffer that is held while it waits.
type socket struct{}

func (*socket) init(*stream) error { return nil }

func (*socket) fill(s *stream) (int, error) {
	buf := &buffer{b: make([]byte, 4<<10)}
	n, err := s.TCPConn.Read(buf.b)
	if n > 0 {
		buf.b = buf.b[:n]
		s.held, s.off = buf, 0
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return 0, err
}
