package transport

import (
	"errors"
	"os"
	"time"
)

// send queues a copy of b for the writer. It does not block.
func (c *Conn) send(b []byte) error {
	c.mu.Lock()
	if c.finish {
		c.mu.Unlock()
		return ErrClosed
	}
	queued := c.inFlight
	if c.queue != nil {
		queued += len(c.queue.b)
	}
	if queued > 0 && queued+len(b) > c.t.cfg.QueueBytes {
		stalled := c.inFlight > 0 && time.Since(c.since) > c.t.cfg.WriteTimeout/4
		c.mu.Unlock()
		c.t.count.queueFull.Add(1)
		if stalled {
			// A queue that is full for a moment turns messages away; one that is full because the
			// peer takes nothing is the end of the connection.
			c.t.count.stalled.Add(1)
			c.abort(errStalled)
		}
		return ErrQueueFull
	}
	if c.queue == nil {
		c.queue = getBuffer()
	}
	c.queue.b = append(c.queue.b, b...)
	tell := !c.awake
	c.awake = true
	c.mu.Unlock()
	if tell {
		c.tell()
	}
	return nil
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
				putBuffer(out)
			}
			return
		case out != nil:
			err := c.write(out.b, since)
			putBuffer(out)
			if err != nil {
				c.abort(err)
				return
			}
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
