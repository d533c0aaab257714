package transport

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"time"
)

// send queues a copy of b for the writer. It does not block.
func (c *Conn) send(b []byte) error {
	if c.halted.Load() && startsTransaction(b) {
		return ErrClosed // RFC 5923, Section 8.3: not after the peer's closure alert, even if it was found before
	}
	if c.assoc != nil && c.tls == nil && len(b) > c.assoc.longest {
		return ErrTooLarge
	}
	c.mu.Lock()
	queued, takes := c.queuedLocked(), false
	for try := 0; try < 4 && queued > 0 && queued+len(b) > c.t.cfg.QueueBytes; try++ {
		inline := c.inline
		c.mu.Unlock()
		if inline {
			c.flush() // the loop may only have waited for the end of its batch
		} else {
			runtime.Gosched() // the writer may only be waiting for a processor
		}
		takes = c.takes()
		c.mu.Lock()
		queued = c.queuedLocked()
	}
	if c.finish {
		c.mu.Unlock()
		return ErrClosed
	}
	if queued > 0 && queued+len(b) > c.t.cfg.QueueBytes && !c.fits(queued+len(b), b, takes) {
		hopeless := c.inFlight > 0 && time.Since(c.since) > c.t.cfg.WriteTimeout/4 || !startsTransaction(b)
		c.mu.Unlock()
		c.t.count.queueFull.Add(1)
		if hopeless {
			c.t.count.stalled.Add(1)
			c.abort(errStalled)
		}
		return ErrQueueFull
	}
	if c.queue == nil {
		c.queue = getBuffer()
	}
	c.queue.b = append(c.queue.b, b...)
	if c.assoc != nil {
		c.queue.ends = append(c.queue.ends, len(c.queue.b))
	}
	tell, inline := !c.awake, c.inline
	c.awake = true
	c.mu.Unlock()
	if tell && inline {
		c.t.put(c)
	} else if tell {
		c.tell()
	}
	return nil
}

// queuedLocked returns how many bytes wait to be written. c.mu is held.
func (c *Conn) queuedLocked() int {
	n := c.inFlight
	if c.queue != nil {
		n += len(c.queue.b)
	}
	return n
}

// takes reports whether the peer is known to take what is written: it has taken as much as the queue holds, and the
// system has room for more.
func (c *Conn) takes() bool {
	limit, underway := c.t.cfg.QueueBytes, c.stream.underway()
	return underway < limit/2 && c.bytesOut.Load() >= uint64(limit+underway)
}

// queueBurst is how many times QueueBytes the queue may hold while the peer takes what is written, or for
// messages that belong to a transaction: those cannot be answered in place of the peer.
const queueBurst = 16

// fits decides for a queue that would hold size bytes with b, which is above QueueBytes. As long as the
// write in progress has not waited for long, and the peer is known to take what is written, it is a burst, and
// the queue takes it. From a peer that takes nothing it is a request that would start a transaction that is turned
// away first, because somebody is there to be told. c.mu is held.
func (c *Conn) fits(size int, b []byte, takes bool) bool {
	if size > queueBurst*c.t.cfg.QueueBytes {
		return false
	}
	waits := time.Duration(0)
	if c.inFlight > 0 {
		waits = time.Since(c.since)
	}
	return takes && waits < c.t.cfg.WriteTimeout/20 || waits < c.t.cfg.WriteTimeout/4 && !startsTransaction(b)
}

// startsTransaction reports whether b is a request that starts a transaction.
func startsTransaction(b []byte) bool {
	return !bytes.HasPrefix(b, []byte("SIP/2.0 ")) && !bytes.HasPrefix(b, []byte("ACK ")) && !bytes.HasPrefix(b, []byte("CANCEL "))
}

// tell wakes the writer up.
func (c *Conn) tell() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// writeLoop writes what is queued, all of it at once each time, until finishWriting was called and
// the queue is empty, or nothing can be written any more.
func (c *Conn) writeLoop() {
	defer close(c.written)
	if out := c.stuck; out != nil {
		c.stuck = nil
		if err := c.stream.finishRest(); err != nil {
			c.abort(err)
			c.rescue(out.b)
		}
		putBuffer(out)
	}
	for {
		c.mu.Lock()
		out, finish := c.queue, c.finish
		c.queue, c.inFlight = nil, 0
		if out == nil {
			c.awake = false
		} else {
			c.inFlight, c.since = len(out.b), time.Now()
		}
		since, aborted := c.since, c.aborted
		c.mu.Unlock()
		switch {
		case aborted:
			if out != nil {
				c.rescue(out.b)
				putBuffer(out)
			}
			return
		case out != nil:
			late := c.halted.Load() // what is written before the peer's end comes is not late
			err := c.writeOut(out, since)
			if err != nil {
				c.abort(err)
				c.rescue(out.b)
				putBuffer(out)
				continue // for what was queued meanwhile
			}
			if late {
				c.noteLate(out.b)
			}
			putBuffer(out)
		case finish:
			c.sendClosureAlert()
			return
		default:
			select {
			case <-c.wake:
			case <-c.dead:
			}
		}
	}
}

// writeOut writes what was queued.
func (c *Conn) writeOut(out *buffer, now time.Time) error {
	if c.whole() {
		return c.writeMessages(out, now)
	}
	if c.assoc != nil {
		if all := c.spread(); len(all) > 0 {
			return c.writeLanes(out, now, all)
		}
	}
	return c.write(out.b, now)
}

// write hands b to TLS or to the socket.
func (c *Conn) write(b []byte, now time.Time) error {
	n, err := c.plain.Write(b)
	c.bytesOut.Add(uint64(n))
	c.lastUsed.Store(now.UnixNano())
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.count.stalled.Add(1)
		return errStalled
	}
	return err
}

// sendClosureAlert says that nothing more will come: RFC 5923, Section 8.3.
func (c *Conn) sendClosureAlert() {
	if c.assoc != nil {
		for _, l := range c.spread() {
			_ = l.tls.CloseWrite()
		}
	}
	if c.tls != nil {
		_ = c.tls.CloseWrite()
	}
	_ = c.stream.CloseWrite()
}

// finishWriting lets the writer write what is queued and then the closure alert. From now on the
// queue takes nothing more.
func (c *Conn) finishWriting() {
	c.mu.Lock()
	c.finish = true
	c.mu.Unlock()
	c.tell()
}
