package transport

import (
	"syscall"
	"time"

	"github.com/tandem-sip/tandem/alias"
)

// BeginClose begins to close a connection in the orderly way of RFC 5923, Section 8.3, and returns
// at once: no request finds it any more, its outstanding transactions may end (Config.Outstanding,
// Config.DrainTimeout), then the closure alert is sent, and what comes until the peer's own alert
// is discarded. It reports false when there is no such connection, or it is being closed already.
func (t *Transport) BeginClose(id alias.ConnID, cause error) bool {
	t.mu.Lock()
	c := t.conns[id]
	t.mu.Unlock()
	return c != nil && c.beginClose(cause)
}

func (c *Conn) beginClose(cause error) bool {
	if !c.advance(Draining) {
		return false
	}
	c.blame(cause)
	c.t.forget(c)
	if !c.t.hold() {
		return false // the transport closes every connection itself
	}
	// Ends when the closure alert may be sent, DrainTimeout at the latest; Run waits for it.
	go func() {
		defer c.t.wg.Done()
		if !c.drain() {
			// RFC 5923, Section 8.3: what still waits is abandoned, and told so.
			c.tellEnded()
		}
		c.beginClosing()
	}()
	return true
}

// beginClosing lets the writer send the closure alert and the reader wait for the peer's.
func (c *Conn) beginClosing() { c.beginClosingWithin(c.t.cfg.CloseTimeout) }

func (c *Conn) beginClosingWithin(timeout time.Duration) {
	if c.advance(Closing) {
		c.finishWriting()
	}
	// The deadline is set from here and not by the reader, which may be waiting.
	_ = c.stream.SetReadDeadline(time.Now().Add(timeout))
}

// blame notes why c ends; the first reason counts.
func (c *Conn) blame(cause error) {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = cause
	}
	c.mu.Unlock()
}

// tellEnded tells that no response comes over c any more.
func (c *Conn) tellEnded() {
	if c.t.cfg.Ended != nil {
		c.t.protect(func() { c.t.cfg.Ended(c.id) })
	}
}

// drain waits until no transaction needs c any more, or DrainTimeout has passed, or c is dead. It reports whether
// none does.
func (c *Conn) drain() bool {
	outstanding := c.t.cfg.Outstanding
	if outstanding == nil {
		return true
	}
	begun := time.Now()
	end := begun.Add(c.t.cfg.DrainTimeout)
	pause := 5 * time.Millisecond
	timer := time.NewTimer(pause)
	defer timer.Stop()
	// It begins with a pause, for a request may have found the connection and not been sent yet.
	for first := true; (first || outstanding(c.id) > 0) && time.Now().Before(end); first = false {
		hold := c.t.handing.Load() && time.Since(begun)%holdEvery < holdFor
		if c.held.on.Load() && !hold {
			c.letPass()
		} else if hold {
			c.held.on.Store(true)
			pause = holdLook
		}
		select {
		case <-timer.C:
		case <-c.dead:
			return false
		case <-c.t.quit:
			return false
		}
		if c.halted.Load() && c.stream.broken() {
			c.abort(syscall.ECONNRESET)
			return false
		}
		pause = min(2*pause, 250*time.Millisecond)
		timer.Reset(pause)
	}
	return outstanding(c.id) == 0
}

// ended is what the reader does when nothing more will come: err is nil after the peer's closure
// alert or FIN. No new transaction starts on c (RFC 5923, Section 8.3), but responses may still go
// out as long as the connection carries them.
func (c *Conn) ended(err error) {
	if err != nil {
		c.abort(err)
		return
	}
	c.halted.Store(true)
	begun := c.advance(Draining)
	if begun {
		c.t.forget(c)
	}
	if c.State() == Draining {
		c.tellEnded()
	}
	if begun {
		if !c.stream.finished() {
			c.drain()
		}
		if c.advance(Closing) {
			c.finishWriting()
		}
	}
	// Otherwise whoever began to close it lets the writer finish.
}
