package sctp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	engine "github.com/pion/sctp"
)

// userStream is a stream of an association in userland.
type userStream struct {
	a  *association
	id uint16
	s  *engine.Stream

	writeDeadline deadline
	room          chan struct{} // has one element when half of the send buffer has become free

	// mu guards the fields below; it is held while a message waits for room.
	mu        sync.Mutex
	unordered bool

	reading chan struct{} // holds an element while something is read from the engine
	closed  chan struct{} // closed by close

	// waking guards the fields below.
	waking  sync.Mutex
	timer   *time.Timer // of the read deadline
	expired bool        // the engine was told so
	done    bool        // closed is closed
}

// read implements carrier.
func (us *userStream) read(b []byte) (int, error) {
	select {
	case us.reading <- struct{}{}:
	case <-us.closed:
		return 0, errEnded
	}
	n, _, err := us.s.ReadSCTP(b)
	<-us.reading
	if n > us.a.stack.cfg.MaxMessage {
		us.a.violated(causeProtocolViolation, "message too long")
		return 0, us.a.Err()
	}
	if err == nil || errors.Is(err, io.ErrShortBuffer) || errors.Is(err, engine.ErrReadDeadlineExceeded) {
		select {
		case <-us.closed:
			return 0, errEnded
		default:
			return n, err
		}
	}
	<-us.a.done
	return 0, us.a.Err()
}

// setReadDeadline implements carrier. The engine starts a goroutine for each deadline, so it is told of those
// only that have come.
func (us *userStream) setReadDeadline(t time.Time) {
	us.waking.Lock()
	defer us.waking.Unlock()
	if us.done {
		return
	}
	if us.timer != nil {
		us.timer.Stop()
		us.timer = nil
	}
	if us.expired {
		us.expired = false
		_ = us.s.SetReadDeadline(time.Time{}) // it never fails
	}
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		us.wake()
		return
	}
	var own *time.Timer
	own = time.AfterFunc(left, func() {
		us.waking.Lock()
		defer us.waking.Unlock()
		if us.timer == own {
			us.timer = nil
			us.wake()
		}
	})
	us.timer = own
}

// wake ends the read that waits, and those to come; waking is held.
func (us *userStream) wake() {
	us.expired = true
	_ = us.s.SetReadDeadline(time.Unix(1, 0)) // it never fails
}

// setWriteDeadline implements carrier.
func (us *userStream) setWriteDeadline(t time.Time) { us.writeDeadline.move(t) }

// close implements carrier. What still comes is read and thrown away, because it would fill the association's
// receive buffer.
func (us *userStream) close() {
	us.setReadDeadline(time.Unix(1, 0))
	us.waking.Lock()
	again := us.done
	if !again {
		us.done = true
		close(us.closed)
	}
	us.waking.Unlock()
	if again || us.a.Err() != nil {
		return
	}
	// Ends with the association.
	go func() {
		if err := us.discard(); errors.Is(err, io.ErrShortBuffer) {
			us.a.violated(causeProtocolViolation, "message too long")
		}
	}()
}

// discard throws away what comes, when the last read has come back. There is none after it.
func (us *userStream) discard() error {
	us.reading <- struct{}{}
	_ = us.s.SetReadDeadline(time.Time{}) // it never fails
	buf := make([]byte, us.a.stack.cfg.MaxMessage)
	for {
		if _, _, err := us.s.ReadSCTP(buf); err != nil {
			return err
		}
	}
}

// write implements carrier.
func (us *userStream) write(b []byte) error { return us.send(context.Background(), b, false) }

// send sends one message.
func (us *userStream) send(ctx context.Context, b []byte, unordered bool) error {
	cfg := &us.a.stack.cfg
	if len(b) == 0 || len(b) > cfg.MaxMessage {
		return fmt.Errorf("%w: %d bytes, and not from 1 to %d", ErrLength, len(b), cfg.MaxMessage)
	}
	us.mu.Lock()
	defer us.mu.Unlock()
	for us.s.BufferedAmount() > 0 && us.s.BufferedAmount()+uint64(len(b)) > uint64(cfg.SendBuffer) {
		select {
		case <-us.room:
		case <-us.a.done:
			return us.a.Err()
		case <-ctx.Done():
			return ctx.Err()
		case <-us.writeDeadline.wait():
			return fmt.Errorf("sctp: write: %w", os.ErrDeadlineExceeded)
		}
	}
	select {
	case <-us.writeDeadline.wait():
		return fmt.Errorf("sctp: write: %w", os.ErrDeadlineExceeded)
	default:
	}
	if unordered != us.unordered {
		us.s.SetReliabilityParams(unordered, engine.ReliabilityTypeReliable, 0)
		us.unordered = unordered
	}
	if _, err := us.s.WriteSCTP(b, 0); err != nil {
		if err := us.a.Err(); err != nil {
			return err
		}
		return fmt.Errorf("sctp: association is being shut down: %w", net.ErrClosed)
	}
	return nil
}
