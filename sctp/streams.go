package sctp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	engine "github.com/pion/sctp"
)

// stream gives a stream by its number; made tells whether it is new. One that the peer opened is given as s.
func (a *association) stream(id uint16, s *engine.Stream) (us *userStream, made bool, err error) {
	if err := a.Err(); err != nil {
		return nil, false, err
	}
	a.opening.Lock()
	defer a.opening.Unlock()
	if us := a.streams[id]; us != nil {
		return us, false, nil
	}
	if s == nil {
		if int(id) >= min(a.streamLimit(), int(a.peer.streamsIn), int(a.local.streamsOut)) {
			return nil, false, fmt.Errorf("%w: %d", ErrStream, id)
		}
		if s, err = a.engine.OpenStream(id, 0); err != nil {
			return nil, false, fmt.Errorf("sctp: association is being shut down: %w", net.ErrClosed)
		}
	}
	us = &userStream{a: a, id: id, s: s, room: make(chan struct{}, 1), reading: make(chan struct{}, 1), closed: make(chan struct{})}
	s.SetBufferedAmountLowThreshold(uint64(a.stack.cfg.SendBuffer / 2))
	s.OnBufferedAmountLow(func() {
		select {
		case us.room <- struct{}{}:
		default:
		}
	})
	a.streams[id] = us
	if a.serve != nil {
		a.serve(us)
	}
	return us, true, nil
}

// Serve implements Association.
func (a *association) Serve(handle func(message []byte, stream uint16)) error {
	var one sync.Mutex
	var pumps sync.WaitGroup
	pump := func(us *userStream) {
		pumps.Add(1)
		// Ends when the association has ended and everything is handed out.
		go func() {
			defer pumps.Done()
			buf := make([]byte, 2048)
			for {
				n, err := us.read(buf)
				if errors.Is(err, io.ErrShortBuffer) {
					buf = make([]byte, n)
					continue
				}
				if err != nil {
					return
				}
				one.Lock()
				handle(buf[:n], us.id)
				one.Unlock()
			}
		}()
	}
	a.opening.Lock()
	a.serve = pump
	for _, us := range a.streams {
		pump(us)
	}
	a.opening.Unlock()
	for {
		s, err := a.engine.AcceptStream()
		if err != nil {
			break
		}
		if _, _, err := a.stream(s.StreamIdentifier(), s); err != nil {
			break
		}
	}
	<-a.done
	pumps.Wait()
	return a.Err()
}

// Send implements Association.
func (a *association) Send(ctx context.Context, message []byte, stream uint16, unordered bool) error {
	us, _, err := a.stream(stream, nil)
	if err != nil {
		return err
	}
	return us.send(ctx, message, unordered)
}

// OpenStream implements Association.
func (a *association) OpenStream(id uint16) (*Stream, error) {
	us, _, err := a.stream(id, nil)
	if err != nil {
		return nil, err
	}
	return a.conn(us), nil
}

// AcceptStream implements Association.
func (a *association) AcceptStream(ctx context.Context) (*Stream, error) {
	a.opening.Lock()
	if a.arrived == nil {
		a.arrived = make(chan *userStream, a.streamLimit())
		// Ends with the association.
		go a.accept(a.arrived)
	}
	arrived := a.arrived
	a.opening.Unlock()
	select {
	case us, ok := <-arrived:
		if !ok {
			<-a.done
			return nil, a.Err()
		}
		return a.conn(us), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// accept takes the streams that the peer opens. There are never more of them than the channel holds.
func (a *association) accept(arrived chan<- *userStream) {
	defer close(arrived)
	for {
		s, err := a.engine.AcceptStream()
		if err != nil {
			return
		}
		us, made, err := a.stream(s.StreamIdentifier(), s)
		if err != nil {
			return
		}
		if made {
			arrived <- us
		}
	}
}

// conn makes a stream what others see of it.
func (a *association) conn(us *userStream) *Stream {
	return &Stream{carrier: us, id: us.id, local: a.LocalAddr(), remote: a.RemoteAddr()}
}
