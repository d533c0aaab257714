package transport

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// stream is the socket of a connection as TLS and the read loop see it. Reading is split in two:
// wait blocks until the socket has bytes and takes a buffer only then; Read hands out what wait
// has brought and never blocks, except while blocking is set, which it is during the handshake. So
// a connection that waits holds no buffer, and one system call brings what otherwise takes TLS
// two for each record.
//
// Closing is that of the embedded connection and may be done at any time. Writing is done by one
// goroutine at a time, which TLS sees to (an answer to a KeyUpdate is written by the one that
// reads). All else belongs to the goroutine that reads.
type stream struct {
	*net.TCPConn
	over medium     // instead of TCP; nil: TCP
	sys  socket     // how this system waits for bytes
	own  descriptor // the socket, while a loop carries it
	// carry, if it is there, has a loop carry the connection before the goroutine that reads waits for the first time.
	carry func() (again bool, err error)

	held     *buffer // what was read from the socket; nil: nothing
	off      int     // in held: taken until here
	blocking bool
	eof      bool         // the peer's FIN came and Read has said so
	gate     *gate        // with blocking: left while waiting, so that only computing counts
	inGate   bool         // it has a slot of the gate
	deadline time.Time    // of the handshake, for the gate
	shake    *handshake   // for the callbacks of TLS; nil when the handshake has ended
	records  *recordMeter // nil: not TLS
	in       atomic.Uint64

	writeTimeout time.Duration

	// wmu guards the fields below, and is held while the one who writes does so.
	wmu      sync.Mutex
	inline   bool   // a loop carries it: writing does not block
	rest     []byte // what the socket did not take meanwhile
	maxRest  int
	writeDue time.Time
}

// errNoData is what Read says when nothing has come: TLS lets it pass, since it is temporary, and
// keeps a partial record for the next call.
var errNoData net.Error = noData{}

type noData struct{}

func (noData) Error() string   { return "transport: nothing to read yet" }
func (noData) Timeout() bool   { return false }
func (noData) Temporary() bool { return true }

func newStream(c *net.TCPConn, writeTimeout time.Duration) (*stream, error) {
	s := &stream{TCPConn: c, writeTimeout: writeTimeout}
	if err := s.sys.init(s); err != nil {
		return nil, err
	}
	return s, nil
}

// wait blocks until there are bytes for Read. It returns io.EOF when the peer has sent its FIN,
// and obeys SetReadDeadline.
func (s *stream) wait() error {
	if s.held != nil {
		return nil
	}
	if carry := s.carry; carry != nil {
		s.carry = nil
		if again, err := carry(); again || err != nil {
			return err
		}
	}
	n, err := s.fill()
	if n > 0 {
		s.in.Add(uint64(n))
		if s.records != nil {
			s.records.add(s.held.b)
		}
		return nil
	}
	if err == nil {
		err = io.EOF
	}
	return err
}

// Read implements net.Conn for TLS.
func (s *stream) Read(p []byte) (int, error) {
	if s.held == nil {
		if !s.blocking {
			if s.eof {
				return 0, io.EOF
			}
			return 0, errNoData
		}
		if err := s.waitOutsideGate(); err != nil {
			if errors.Is(err, io.EOF) {
				s.eof = true
			}
			return 0, err
		}
	}
	n := copy(p, s.held.b[s.off:])
	s.off += n
	if s.off == len(s.held.b) {
		putBuffer(s.held)
		s.held, s.off = nil, 0
	}
	return n, nil
}

// Write implements net.Conn for TLS. The deadline is moved only when half of it has passed, because
// moving it costs more than writing a short message does.
func (s *stream) Write(p []byte) (int, error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if s.inline {
		return s.writeInline(p)
	}
	if len(s.rest) > 0 {
		rest := s.rest
		s.rest = nil
		if _, err := s.writeLocked(rest); err != nil {
			return 0, err
		}
	}
	return s.writeLocked(p)
}

// finishRest writes what the socket did not take while a loop carried it.
func (s *stream) finishRest() error {
	_, err := s.Write(nil)
	return err
}

// waits reports whether there is a rest.
func (s *stream) waits() bool {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	return len(s.rest) > 0
}

// SetReadDeadline obeys net.Conn. A connection that a loop carries is handed back first.
func (s *stream) SetReadDeadline(t time.Time) error {
	if s.own.deadline(t) {
		return nil
	}
	return s.below().SetReadDeadline(t)
}

// Close closes the socket, whoever waits for it.
func (s *stream) Close() error {
	if s.own.close() {
		return nil
	}
	return s.below().Close()
}

func (s *stream) writeLocked(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if now := time.Now(); s.writeDue.Sub(now) < s.writeTimeout/2 {
		s.writeDue = now.Add(s.writeTimeout)
		if err := s.below().SetWriteDeadline(s.writeDue); err != nil {
			return 0, err
		}
	}
	return s.below().Write(p)
}

func (s *stream) waitOutsideGate() error {
	if s.gate == nil {
		return s.wait()
	}
	s.gate.leave()
	s.inGate = false
	err := s.wait()
	if s.inGate = s.gate.enter(s.deadline); !s.inGate && err == nil {
		err = errGate
	}
	return err
}

// release puts back what is held, when nobody will read it.
func (s *stream) release() {
	if s.held != nil {
		putBuffer(s.held)
		s.held, s.off = nil, 0
	}
}

// recordMeter follows the records of TLS in the bytes from the socket, without looking into them,
// so that the read loop knows whether the peer left one unfinished.
type recordMeter struct {
	head  [5]byte
	have  int    // bytes of head
	need  int    // bytes of the record that are to come
	count uint64 // records that are complete
}

// add takes the next bytes.
func (m *recordMeter) add(b []byte) {
	for len(b) > 0 {
		if m.need > 0 {
			n := min(m.need, len(b))
			m.need -= n
			b = b[n:]
		} else {
			n := copy(m.head[m.have:], b)
			m.have += n
			b = b[n:]
			if m.have < len(m.head) {
				return
			}
			m.need = int(m.head[3])<<8 | int(m.head[4])
			m.have = len(m.head)
		}
		if m.need == 0 {
			m.have = 0
			m.count++
		}
	}
}

// partial reports whether a record has begun and not ended.
func (m *recordMeter) partial() bool { return m.have > 0 }
