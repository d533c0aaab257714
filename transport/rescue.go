package transport

import (
	"bytes"
	"errors"

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
