package transport

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// TestUserTimeout: bytes under way may stay unacknowledged for UserTimeout only, and a connection that is quiet has
// all of its keepalive probes, of which the limit would leave it one. Both ends, dialed and accepted.
func TestUserTimeout(t *testing.T) {
	t.Parallel()
	ca, ip := newPKI(t), siptest.Loopback(t)
	from := serving(t, Config{Handler: &counter{}, KeepAlive: 4 * time.Second, Domains: []Domain{ca.domain(t, "example.com", "")}}, siptest.Loopback(t))
	to := serving(t, Config{Handler: &counter{}, KeepAlive: time.Second, Domains: []Domain{ca.domain(t, "example.net", "")}}, ip)
	ch := make(chan answer, 1)
	h := Hop{To: resolved(sipaddr.TLS, addrPort(ip, 5061)), Reference: "example.net"}
	from.Flow(h, func(f Flow, d alias.Decision, err error) { ch <- answer{f, d, err} })
	f := receive(t, ch, "a flow").f
	limits := func(want int) bool {
		ends := []*Conn{f.conn}
		to.mu.Lock()
		for _, c := range to.conns {
			ends = append(ends, c)
		}
		to.mu.Unlock()
		for _, c := range ends {
			if err := c.stream.control(func(fd int) error {
				n, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
				if n != want {
					return unix.EAGAIN
				}
				return err
			}); err != nil {
				return false
			}
		}
		return len(ends) == 2
	}
	eventually(t, "a limit from the start", func() bool { return limits(5000) })
	for i := range 2 {
		eventually(t, "no limit when quiet", func() bool { return limits(0) })
		f.Send(request(f, "OPTIONS", itoa(i)))
		begin := time.Now()
		eventually(t, "a limit when used", func() bool { return limits(5000) })
		if d := time.Since(begin); d > 4*time.Second {
			t.Errorf("a limit after %v: what was sent may have been given up by then", d)
		}
	}
}
