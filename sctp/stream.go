package sctp

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// recordHeader is the size of what stands before each TLS record, in bytes.
const recordHeader = 5

// carrier is what a provider has of a stream: whole messages.
type carrier interface {
	// read reads the next message, or as much of it as fits: then the error is io.ErrShortBuffer, n is the
	// length of the whole, and the message stays.
	read(b []byte) (n int, err error)
	write(b []byte) error
	setReadDeadline(t time.Time)
	setWriteDeadline(t time.Time)
	close()
}

// Stream is a bidirectional stream of an association, a net.Conn that TLS can be spoken over: RFC 3436. What
// is read are the bytes of the messages as they come; what is written goes out with each TLS record in a
// message of its own (RFC 3436, Section 3.2), ordered. Methods may be called at once, as those of any net.Conn.
type Stream struct {
	carrier
	id            uint16
	local, remote netip.AddrPort

	// mu guards the fields below. It is held while a message is read, so one reads at a time.
	mu   sync.Mutex
	buf  []byte // grows to the longest message
	rest []byte // of it, what has not been read
}

// ID is the number of the stream, the same in both directions.
func (s *Stream) ID() uint16 { return s.id }

// Read reads the next bytes. It returns io.EOF when the peer has shut the association down, and otherwise an
// error that says how it ended.
func (s *Stream) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rest) == 0 {
		n, err := s.read(b)
		if !errors.Is(err, io.ErrShortBuffer) {
			return n, plainTimeout(err)
		}
		if len(s.buf) < n {
			s.buf = make([]byte, max(n, 4<<10))
		}
		if n, err = s.read(s.buf); err != nil {
			return 0, plainTimeout(err)
		}
		s.rest = s.buf[:n]
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// plainTimeout takes the wrapping off a timeout: TLS looks at the error itself, and takes every other for the
// end of the connection.
func plainTimeout(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return os.ErrDeadlineExceeded
	}
	return err
}

// Write sends b, and waits for room in the send buffer.
func (s *Stream) Write(b []byte) (int, error) {
	sent := 0
	for sent < len(b) {
		n := len(b) - sent
		if n > recordHeader {
			n = min(n, recordHeader+int(binary.BigEndian.Uint16(b[sent+3:])))
		}
		if err := s.write(b[sent : sent+n]); err != nil {
			return sent, plainTimeout(err)
		}
		sent += n
	}
	return sent, nil
}

// Close ends the stream on this side: what still comes is thrown away. The association goes on.
func (s *Stream) Close() error {
	s.close()
	return nil
}

// LocalAddr is the association's local address, a *net.TCPAddr because the standard library has none for SCTP.
func (s *Stream) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(s.local) }

// RemoteAddr is the peer's address, of the same type.
func (s *Stream) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.remote) }

// SetReadDeadline sets until when Read waits; the zero time is for ever.
func (s *Stream) SetReadDeadline(t time.Time) error { s.setReadDeadline(t); return nil }

// SetWriteDeadline sets until when Write waits; the zero time is for ever.
func (s *Stream) SetWriteDeadline(t time.Time) error { s.setWriteDeadline(t); return nil }

// SetDeadline sets both.
func (s *Stream) SetDeadline(t time.Time) error {
	s.setReadDeadline(t)
	s.setWriteDeadline(t)
	return nil
}
