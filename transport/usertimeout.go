package transport

import "time"

// Linux gives a connection up when TCP_USER_TIMEOUT has passed since something was heard and one keepalive probe is
// unanswered (tcp_keepalive_timer), however many probes there are to be. With a limit that is shorter than the idle
// time before the first probe, one lost packet would end a connection that is well. So the limit is for connections
// at work, whose bytes wait for an answer, and those that are quiet are left to the count of probes.

// quietAfter is how long a connection is unused until its limit is lifted: more than watch takes to see a use, and
// less than there is until the second probe.
func (t *Transport) quietAfter() time.Duration { return max(t.cfg.KeepAlive/2, 2*watchEvery) }

// hasLimit reports whether there is a limit to lift, and keepalive in its place.
func (c *Conn) hasLimit() bool {
	return c.t.cfg.UserTimeout > 0 && c.t.cfg.KeepAlive > 0 && c.stream.over == nil
}

// limit sets or lifts the limit of c by how it is used. Watch calls it at each look: within a second of a use, and so
// long before the limit has passed.
func (c *Conn) limit(now time.Time) {
	if !c.hasLimit() {
		return
	}
	quiet := now.UnixNano()-c.lastUsed.Load() >= int64(c.t.quietAfter()) && !c.stream.waits()
	if quiet && !c.unlimited && c.stream.underway() > 0 {
		return
	}
	if quiet == c.unlimited {
		return
	}
	limit := c.t.cfg.UserTimeout
	if quiet {
		limit = 0
	}
	if err := c.stream.setUserTimeout(limit); err == nil {
		c.unlimited = quiet
	}
}
