package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// TestAmplify: the source of a datagram may be forged, so that whoever really is there gets one response to a request that is
// refused, and not much more than the request was. What RFC 3261, Section 8.2.6 has copied from the request cannot be left out, and
// Via, To and the status line grow a little.
func TestAmplify(t *testing.T) {
	const grown = 100
	for name, text := range map[string]func(c *client) string{
		"relaying denied": func(c *client) string { return c.request("INVITE", "sip:bob@foreign.example") },
		"extension": func(c *client) string {
			return c.request("INVITE", "sip:bob@example.com", "Proxy-Require: "+strings.Repeat("x", 90))
		},
		"loop":         func(c *client) string { return c.request("INVITE", "sip:bob@example.com", "Max-Forwards: 0") },
		"scheme":       func(c *client) string { return c.request("INVITE", "x:"+strings.Repeat("y", 90)) },
		"to the proxy": func(c *client) string { return c.request("INVITE", "sip:192.0.2.1:5060") },
		"malformed":    func(c *client) string { return "INVITE x SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n\r\n" },
		"malformed CSeq": func(c *client) string {
			return strings.Replace(c.request("INVITE", "sip:bob@example.com"), "CSeq: ", "CSeq: 9999999999", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, Config{}, func(b *bench) {
				c := b.client("udp:203.0.113.9:5060", Source{})
				request := text(c)
				m, err := sip.Parse(request)
				if err == nil {
					err = m.Validate()
				}
				if err != nil {
					b.core.Malformed(m, err, c.src)
				} else {
					c.send(request)
				}
				wait(time.Minute)
				c.flow.mu.Lock()
				defer c.flow.mu.Unlock()
				if sent := strings.Join(c.flow.sent, ""); len(sent) > len(request) && strings.Contains(sent, "Warning") {
					t.Errorf("%d bytes are answered with %d, which need not be so many: %q", len(request), len(sent), sent)
				}
				if len(c.flow.sent) != 1 || !strings.HasPrefix(c.flow.sent[0], "SIP/2.0 4") || len(c.flow.sent[0]) > len(request)+grown {
					t.Errorf("%d bytes are answered with %d messages of %d bytes: %q", len(request), len(c.flow.sent), len(strings.Join(c.flow.sent, "")), c.flow.sent)
				}
			})
		})
	}
}
