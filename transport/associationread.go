package transport

import (
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// takeMessage handles one message of an association without TLS. Its length is that of the message, as with datagrams:
// RFC 3261, Section 18.3. Pings and pongs (RFC 5626, Section 3.5.1) are messages as well.
func (c *Conn) takeMessage(b []byte) {
	now := time.Now().UnixNano()
	c.lastUsed.Store(now)
	c.lastHeard.Store(now)
	c.stream.in.Add(uint64(len(b)))
	if c.State() >= Closing {
		return
	}
	if c.suspected.Load() {
		c.alive.Store(true)
	}
	switch {
	case string(b) == "\r\n\r\n":
		c.t.count.pings.Add(1)
		c.pong()
		return
	case string(b) == "\r\n":
		c.pingSent.Store(0)
		c.hasPonged.Store(true)
		return
	case isKeepAlive(b):
		return
	}
	if c.unanswered.Load() != 0 {
		c.unanswered.Store(0)
	}
	src := c.settled()
	m, err := sip.ParseBytes(b)
	if m != nil && m.IsRequest() {
		m.SetReceived(c.remote.Addr(), c.remote.Port())
	}
	if err != nil {
		c.t.malformed(m, err, src)
		return
	}
	c.t.count.messagesIn.Add(1)
	c.dispatch(m, src)
}
