package transport

import (
	"bytes"
	"errors"
	"syscall"
	"time"

	"github.com/tandem-sip/tandem/framing"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// rescue sends the responses in b, which a connection that broke did not carry any more, over another one to
// the same peer: RFC 3261, Section 18.2.2. That one of them had arrived does no harm, for a response that
// belongs to nothing is dropped. Requests are not sent again here: their transactions are told.
func (c *Conn) rescue(b []byte) {
	c.mu.Lock()
	cause := c.cause
	c.mu.Unlock()
	switch {
	case cause == nil || errors.Is(cause, errStalled) || errors.Is(cause, errWedged) || errors.Is(cause, errNoPong):
		return // closed by this side, or a peer that would take it no better over another connection
	case len(b) > c.t.cfg.QueueBytes || !bytes.Contains(b, []byte("SIP/2.0 ")):
		return
	}
	d := framing.Decoder{Limits: c.t.cfg.Limits}
	for len(b) > 0 {
		kind, n, err := d.Next(b)
		if err != nil || kind == framing.More {
			return
		}
		raw := b[:n]
		b = b[n:]
		if kind != framing.Message || !bytes.HasPrefix(raw, []byte("SIP/2.0 ")) {
			continue
		}
		m, err := sip.Parse(string(raw))
		if err != nil {
			continue
		}
		via, err := m.TopVia()
		if err != nil {
			continue
		}
		port := sipaddr.Advertised{Port: via.Port, Transport: c.ep.advertised.Transport}.EffectivePort()
		if c.t.sendBack(Flow{conn: c, back: port}, raw) == nil {
			c.t.count.repliesRescued.Add(1)
		}
	}
}

// lateTimeout is how long an ended connection is kept to see whether what was written last arrives.
const lateTimeout = 500 * time.Millisecond

// noteLate keeps what was written although the peer had ended its side. Whether it only says that nothing more is
// to come, or takes nothing more either, shows when it is written to.
func (c *Conn) noteLate(b []byte) {
	if !bytes.Contains(b, []byte("SIP/2.0 ")) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.late)+len(b) <= c.t.cfg.QueueBytes {
		c.late = append(c.late, b...)
	}
}

// settleLate waits, for a short time, until what was written after the peer's end has arrived, and sends it over
// another connection when it has not. Nobody reads or writes c any more.
func (c *Conn) settleLate() {
	c.mu.Lock()
	late := c.late
	c.late = nil
	c.mu.Unlock()
	if len(late) == 0 {
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for end := time.Now().Add(lateTimeout); time.Now().Before(end); timer.Reset(5 * time.Millisecond) {
		select {
		case <-c.dead:
			c.rescue(late)
			return
		case <-c.t.quit:
			return
		case <-timer.C:
		}
		// In this order: nothing is under way any more, either, when the peer has refused what was.
		arrived := c.stream.underway() == 0
		if c.stream.refused() {
			c.blame(syscall.ECONNRESET)
			c.rescue(late)
			return
		}
		if arrived {
			return
		}
	}
}
