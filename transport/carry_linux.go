package transport

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

// carry has a loop read and write c from now on, and returns when the loop hands it back: with the error that ended
// it, with again when TLS has one to tell, or with neither when c begins to close. The goroutine that reads calls
// it and waits in it; in between, what belongs to that goroutine belongs to the loop.
func (c *Conn) carry() (again bool, err error) {
	defer c.startWriter()
	l := c.t.loopFor(uint64(c.id))
	raw, err := c.stream.SyscallConn()
	if err != nil {
		return false, nil
	}
	c.back = make(chan error, 1)
	c.stream.wmu.Lock()
	c.stream.inline, c.stream.maxRest = true, 2*queueBurst*c.t.cfg.QueueBytes
	c.stream.wmu.Unlock()
	due := !c.due.IsZero()
	if due {
		c.readDue.Store(c.due.UnixNano())
	}
	if c.stream.own.take(l, raw, c.stream.TCPConn, c) {
		// Not before, or else whoever finds the queue full would write to a socket that no loop has.
		c.writing.Lock()
		c.mu.Lock()
		c.inline = true
		c.mu.Unlock()
		c.writing.Unlock()
		if due {
			c.stream.own.watch(c)
		}
		if c.State() >= Closing {
			c.stream.own.depart() // who began to close it may have set the deadline on what was taken away
		}
		c.flush() // what was queued until now
		err = <-c.back
	}
	c.writing.Lock()
	c.mu.Lock()
	c.inline, c.awake = false, true
	c.mu.Unlock()
	gerr := c.stream.giveBack()
	c.writing.Unlock()
	c.stream.wmu.Lock()
	c.stream.inline = false
	c.stream.wmu.Unlock()
	if gerr != nil {
		c.abort(gerr)
	}
	if until := c.stream.own.until(); !until.IsZero() {
		_ = c.stream.SetReadDeadline(until)
	} else if !c.due.IsZero() || c.State() >= Closing {
		_ = c.putDeadline()
	}
	if errors.Is(err, io.EOF) && !c.stream.eof {
		return true, nil // the closure alert came, and TLS says so once more
	}
	return false, err
}

// turn handles what has come; waited is what waiting for it has returned.
func (c *Conn) turn(waited error) error {
	if errors.Is(waited, io.EOF) {
		c.stream.eof = true // TLS decides whether the end may come here
	} else if waited != nil {
		return waited
	}
	return c.readHeld()
}

// giveBack returns the stream to Go's poller, unless it is closed.
func (s *stream) giveBack() error {
	s.own.mu.Lock()
	defer s.own.mu.Unlock()
	tcp, err := s.own.giveBackLocked()
	if tcp == nil {
		return err
	}
	s.TCPConn = tcp
	return s.sys.init(s)
}

var _ carried = (*Conn)(nil)

// ready reads once, and handles what has come. More makes the loop call it again.
func (c *Conn) ready(in, out bool) (more, stay bool) {
	if out {
		c.writable()
	}
	if !in {
		return false, true
	}
	waited := c.stream.fetch()
	if errors.Is(waited, errNoData) {
		return false, true
	}
	more = c.stream.held != nil && len(c.stream.held.b) == cap(c.stream.held.b)
	err := c.turn(waited)
	if err == nil && c.State() < Closing {
		if c.noteDeadline() {
			if c.due.IsZero() {
				c.readDue.Store(0)
			} else {
				c.readDue.Store(c.due.UnixNano())
				c.stream.own.watch(c)
			}
		}
		return more, true
	}
	if c.verdict == nil {
		c.verdict = err
	}
	return false, false
}

// left hands c back to its goroutine.
func (c *Conn) left() {
	c.stream.own.quit()
	c.back <- c.verdict
}

// fetch reads what the socket has, as wait does, but never blocks.
func (s *stream) fetch() error {
	buf := getBuffer()
	n, err := s.own.read(buf.b[:cap(buf.b)])
	if n > 0 {
		buf.b = buf.b[:n]
		s.held, s.off = buf, 0
		s.in.Add(uint64(n))
		if s.records != nil {
			s.records.add(buf.b)
		}
		return nil
	}
	putBuffer(buf)
	switch {
	case err == nil:
		return io.EOF
	case errors.Is(err, syscall.EAGAIN):
		return errNoData
	}
	return err
}

// flush writes what is queued, as far as the socket takes it. Whoever has set awake calls it; it does not block.
func (c *Conn) flush() {
	for {
		c.writing.Lock()
		c.mu.Lock()
		if !c.inline || c.stuck != nil {
			inline := c.inline
			c.mu.Unlock()
			c.writing.Unlock()
			if !inline {
				c.tell() // the writer has taken over
			}
			return
		}
		out, aborted := c.queue, c.aborted
		c.queue, c.inFlight = nil, 0
		if out == nil {
			c.awake = false
		} else {
			c.inFlight, c.since = len(out.b), time.Now()
		}
		since := c.since
		c.mu.Unlock()
		if out == nil {
			c.writing.Unlock()
			return
		}
		var err error
		stuck := false
		if !aborted {
			err = c.write(out.b, since)
			stuck = err == nil && c.stream.waits()
		}
		if stuck {
			c.stuck = out
			c.stuckSince.Store(since.UnixNano())
			c.stream.own.want(true)
			c.stream.own.watch(c)
		}
		c.writing.Unlock()
		switch {
		case stuck:
			return // awake stays set until the socket takes the rest
		case err != nil:
			c.abort(err)
			c.rescue(out.b)
		case aborted:
			c.rescue(out.b)
		}
		putBuffer(out)
	}
}

// writable writes the rest of what the socket did not take, and then what has been queued behind it.
func (c *Conn) writable() {
	c.writing.Lock()
	if c.stuck == nil {
		c.writing.Unlock()
		return
	}
	progress, err := c.stream.push()
	if err == nil && c.stream.waits() {
		if progress {
			c.stuckSince.Store(time.Now().UnixNano())
		}
		c.writing.Unlock()
		return
	}
	out := c.stuck
	c.stuck = nil
	c.stuckSince.Store(0)
	c.stream.own.want(false)
	c.writing.Unlock()
	if err != nil {
		c.abort(err)
		c.rescue(out.b)
	}
	putBuffer(out)
	c.flush()
}

// overdue reports whether a deadline of c has passed, and whether there is one to look at again. It may be called
// by the loop alone.
func (c *Conn) overdue(now time.Time) (over, keep bool) {
	read, stuck := c.readDue.Load(), c.stuckSince.Load()
	over = read != 0 && now.UnixNano() >= read || stuck != 0 && now.UnixNano()-stuck >= int64(c.t.cfg.WriteTimeout)
	return over, !over && (read != 0 || stuck != 0)
}

// tooLate ends a connection whose deadline has passed.
func (c *Conn) tooLate() {
	now := time.Now().UnixNano()
	if stuck := c.stuckSince.Load(); stuck != 0 && now-stuck >= int64(c.t.cfg.WriteTimeout) {
		c.t.count.stalled.Add(1)
		c.abort(errStalled)
		return
	}
	c.verdict = os.ErrDeadlineExceeded
	c.stream.own.depart()
}

// writeInline writes what the socket takes and keeps the rest. wmu is held.
func (s *stream) writeInline(p []byte) (int, error) {
	n := 0
	if len(s.rest) == 0 {
		for n < len(p) {
			k, err := s.own.write(p[n:])
			n += k
			if errors.Is(err, syscall.EAGAIN) {
				break
			}
			if err != nil {
				return n, err
			}
		}
	}
	if len(s.rest)+len(p)-n > s.maxRest {
		return n, errStalled
	}
	s.rest = append(s.rest, p[n:]...)
	return len(p), nil
}

// push writes the rest as far as the socket takes it, and reports whether it took any.
func (s *stream) push() (progress bool, err error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	for len(s.rest) > 0 {
		k, err := s.own.write(s.rest)
		if errors.Is(err, syscall.EAGAIN) {
			return progress, nil
		}
		if err != nil {
			return progress, err
		}
		s.rest, progress = s.rest[k:], true
	}
	s.rest = nil
	return progress, nil
}
