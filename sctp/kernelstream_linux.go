package sctp

import (
	"context"
	"fmt"
	"os"
	"time"
)

// streamQueue is how many pieces of messages a stream holds that nobody has read. When it is full, whoever
// reads the socket waits for that stream's reader.
const streamQueue = 64

// kernelStream is a stream of an association of the kernel.
type kernelStream struct {
	turn
	a      *kernelAssociation
	id     uint16
	queue  chan []byte // what another's reader read for this one
	closed chan struct{}
	done   bool // closed is closed; kernelAssociation.mu guards it

	readDeadline, writeDeadline deadline
	rest                        []byte // owned by who reads this stream: what is left of a piece
}

// stream gives a stream by its number; made tells whether it is new.
func (a *kernelAssociation) stream(id uint16) (s *kernelStream, made bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.streams[id]; s != nil {
		return s, false
	}
	s = &kernelStream{a: a, id: id, queue: make(chan []byte, streamQueue), closed: make(chan struct{})}
	a.streams[id] = s
	return s, true
}

// OpenStream implements Association.
func (a *kernelAssociation) OpenStream(id uint16) (*Stream, error) {
	if int(id) >= a.kernel.cfg.Streams {
		return nil, fmt.Errorf("%w: %d", ErrStream, id)
	}
	if err := a.Err(); err != nil {
		return nil, err
	}
	s, _ := a.stream(id)
	return &Stream{carrier: s, id: id, local: a.local, remote: a.remote}, nil
}

// AcceptStream implements Association.
func (a *kernelAssociation) AcceptStream(ctx context.Context) (*Stream, error) {
	t := &turn{}
	stop := context.AfterFunc(ctx, func() { a.move(t, time.Unix(1, 0)) })
	defer stop()
	for {
		select {
		case s := <-a.arrived:
			return &Stream{carrier: s, id: s.id, local: a.local, remote: a.remote}, nil
		default:
		}
		select {
		case s := <-a.arrived:
			return &Stream{carrier: s, id: s.id, local: a.local, remote: a.remote}, nil
		case a.reading <- struct{}{}:
			if len(a.arrived) == 0 {
				_, _ = a.lead(t, nil, nil) // the end shows in done, and that of ctx below
			}
			<-a.reading
		case <-a.done:
			return nil, a.Err()
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// move changes until when somebody wants to read, also while that one does.
func (a *kernelAssociation) move(t *turn, until time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t.until = until
	if a.leader == t {
		_ = a.file.SetReadDeadline(until)
	}
}

// lead reads the socket once, for the stream own or, when that is nil, for all. What is own's goes into b and n
// tells how much; what is another's goes to its queue, and n is 0. The caller has its turn at reading.
func (a *kernelAssociation) lead(t *turn, own *kernelStream, b []byte) (n int, err error) {
	a.mu.Lock()
	if a.err != nil {
		a.mu.Unlock()
		return 0, a.err
	}
	a.leader = t
	_ = a.file.SetReadDeadline(t.until)
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		a.leader = nil
		a.mu.Unlock()
	}()
	into := b
	if len(into) < scratchSize {
		into = a.scratch
	}
	n, id, _, err := a.receive(into)
	if err != nil {
		return 0, err
	}
	if own != nil && id == own.id {
		if len(b) < scratchSize {
			copied := copy(b, into[:n])
			own.rest = append(own.rest[:0], into[copied:n]...)
			n = copied
		}
		return n, nil
	}
	s, made := a.stream(id)
	if made {
		a.arrived <- s // never more than there are streams
	}
	select {
	case s.queue <- append([]byte(nil), into[:n]...):
	case <-s.closed:
	case <-a.done:
	}
	return 0, nil
}

// read implements carrier. A message may come in pieces, as over any connection; the rest of one stays.
func (s *kernelStream) read(b []byte) (int, error) {
	for {
		if len(s.rest) > 0 {
			n := copy(b, s.rest)
			s.rest = s.rest[n:]
			return n, nil
		}
		select {
		case <-s.closed:
			return 0, errEnded
		case <-s.readDeadline.wait():
			return 0, os.ErrDeadlineExceeded
		case s.rest = <-s.queue:
			continue
		default:
		}
		select {
		case <-s.closed:
			return 0, errEnded
		case <-s.readDeadline.wait():
			return 0, os.ErrDeadlineExceeded
		case s.rest = <-s.queue:
		case s.a.reading <- struct{}{}:
			n := 0
			if len(s.queue) == 0 {
				n, _ = s.a.lead(&s.turn, s, b) // errors show above, and in done
			}
			<-s.a.reading
			if n > 0 {
				return n, nil
			}
			if err := s.a.Err(); err != nil && len(s.queue) == 0 {
				return 0, err
			}
		case <-s.a.done:
			if len(s.queue) == 0 {
				return 0, s.a.Err()
			}
		}
	}
}

// write implements carrier.
func (s *kernelStream) write(b []byte) error {
	select {
	case <-s.closed:
		return errEnded
	default:
		return s.a.send(context.Background(), s.writeDeadline.wait(), b, s.id, false)
	}
}

// setReadDeadline implements carrier.
func (s *kernelStream) setReadDeadline(t time.Time) {
	s.readDeadline.move(t)
	s.a.move(&s.turn, t)
}

// setWriteDeadline implements carrier.
func (s *kernelStream) setWriteDeadline(t time.Time) { s.writeDeadline.move(t) }

// close implements carrier.
func (s *kernelStream) close() {
	s.a.mu.Lock()
	if !s.done {
		s.done = true
		close(s.closed)
	}
	s.a.mu.Unlock()
	s.a.move(&s.turn, time.Unix(1, 0))
}
