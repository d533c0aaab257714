package transport

// Keepalive with double CRLF (RFC 5626, Section 3.5.1), and how it is agreed on by the keep parameter
// (RFC 6223). What is agreed on for a registration or a dialog holds here for the connection: that is pinged at
// least as often, and for at least as long.

import (
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
)

// pingText is the keepalive of RFC 5626, Section 3.5.1.
var pingText = []byte("\r\n\r\n")

// maxKeep bounds what is taken from a keep parameter, so that no peer has us ping more often than the lower or
// for longer than is sane.
const (
	minKeep = time.Second
	maxKeep = 24 * time.Hour
)

// pingInterval returns the time between two pings on c, 0 for none.
func (c *Conn) pingInterval() time.Duration {
	every := c.source.Load().pingEvery
	agreed := time.Duration(c.agreed.Load())
	if every <= 0 || agreed > 0 && agreed < every {
		return agreed
	}
	return every
}

// nextPing returns when to ping after now: 80 to 100 percent of the interval later, by chance
// (RFC 6223, Section 5).
func nextPing(now time.Time, interval time.Duration) time.Time {
	return now.Add(interval - rand.N(interval/5+1))
}

// configuredPing returns how often a connection is pinged by configuration alone.
func (c *Conn) configuredPing(user any) time.Duration {
	if c.t.cfg.PingPeer != nil {
		return c.t.cfg.PingPeer(user)
	}
	if c.direction == alias.Dialed {
		return c.t.cfg.PingInterval
	}
	return 0
}

// Keep reports whether a request that is sent over f, and makes a registration or a dialog that this side stays
// on the path of, is to offer keepalives by a keep parameter in its Via: RFC 6223, Section 4.3. That is so on
// connections that this side has dialed and pings, until the peer has agreed.
func (f Flow) Keep() bool {
	c := f.conn
	return c != nil && c.direction == alias.Dialed && c.agreed.Load() == 0 && c.source.Load().pingEvery > 0
}

// recommend answers the offer of keepalives in a request: RFC 6223, Section 4.4. Those in an ACK and in a request
// that makes neither a registration nor a dialog mean nothing.
func (c *Conn) recommend(m *sip.Message) {
	if c.t.cfg.Recommend <= 0 {
		return
	}
	via, err := m.TopVia()
	if err != nil || !via.Keep || via.KeepValue != "" || !keepable(m) {
		return
	}
	m.SetKeep(max(1, int(c.t.cfg.Recommend/time.Second)))
	c.t.count.keepsAnswered.Add(1)
}

// keepable reports whether keepalives can be agreed on by a request.
func keepable(m *sip.Message) bool {
	switch m.Method() {
	case sip.MethodRegister:
		return true
	case sip.MethodInvite, sip.MethodSubscribe, sip.MethodRefer:
		to, err := m.To()
		return err == nil && to.Tag() == ""
	}
	return false
}

// agree takes note of a response to an offer of keepalives: with a value the peer is willing to receive them,
// and answers them (RFC 6223, Section 4.3).
func (c *Conn) agree(m *sip.Message) {
	if c.direction != alias.Dialed || c.agreed.Load() != 0 || c.source.Load().pingEvery <= 0 {
		return
	}
	via, err := m.TopVia()
	if err != nil || !via.Keep || via.KeepValue == "" {
		return
	}
	seconds, err := strconv.ParseUint(via.KeepValue, 10, 31)
	if err != nil {
		return
	}
	interval := time.Duration(seconds) * time.Second
	if seconds == 0 { // as often as we like: RFC 6223, Section 5
		interval = c.source.Load().pingEvery
	}
	interval = min(max(interval, minKeep), maxKeep)
	c.hasPonged.Store(true)
	if c.agreed.CompareAndSwap(0, int64(interval)) {
		c.t.count.keepsAgreed.Add(1)
		next := nextPing(time.Now(), c.pingInterval()).UnixNano()
		c.pingNext.Store(min(c.pingNext.Load(), next))
	}
}

// quiet is what watch saw of a connection when it looked last. The goroutine of watch owns it.
type quiet struct {
	heard int64     // when something had come last
	since time.Time // something was sent, and nothing has come since; zero: nothing is waited for
}

// waits reports whether the peer has been silent for long since something was sent to it. It need not be wrong,
// but it is time to ask: a frozen peer is found out sooner than by the next ping of an idle connection.
// heard is when something came last, used when something came or was sent last.
func (q *quiet) waits(heard, used int64, now time.Time, long time.Duration) bool {
	if heard != q.heard || used <= heard {
		q.heard, q.since = heard, time.Time{}
	}
	if used > heard && q.since.IsZero() {
		q.since = now
	}
	return !q.since.IsZero() && now.Sub(q.since) >= long
}

// ping sends a ping when one is due.
func (c *Conn) ping(now time.Time) {
	interval := c.pingInterval()
	if interval <= 0 {
		return
	}
	asks := c.quiet.waits(c.lastHeard.Load(), c.lastUsed.Load(), now, c.t.cfg.PongTimeout/4)
	due := now.UnixNano() >= c.pingNext.Load()
	switch sent := c.pingSent.Load(); {
	case sent != 0 && c.hasPonged.Load() && now.UnixNano()-sent > int64(c.t.cfg.PongTimeout)/2:
		c.suspect(errNoPong, now, time.Unix(0, sent).Add(c.t.cfg.PongTimeout))
	case due || asks && sent == 0 && c.hasPonged.Load():
		c.pingNext.Store(nextPing(now, interval).UnixNano())
		c.sendPing(now)
	}
}

// sendPing sends a ping, which counts as sent before its pong can come.
func (c *Conn) sendPing(now time.Time) {
	first := c.pingSent.CompareAndSwap(0, now.UnixNano())
	switch {
	case c.send(pingText) == nil:
		c.t.count.pingsSent.Add(1)
	case first:
		c.pingSent.CompareAndSwap(now.UnixNano(), 0)
	}
}
