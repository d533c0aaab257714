package proxy

import (
	"errors"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/transaction"
)

func TestMalformed(t *testing.T) {
	const good = "Via: SIP/2.0/TCP h.example;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n"
	tests := []struct{ name, raw, want string }{
		{"version", "INVITE sip:a@b SIP/7.0\r\n" + good + "\r\n", "505"},
		{"Request-URI", "INVITE <sip:a@b> SIP/2.0\r\n" + good + "\r\n", "400"},
		{"Content-Length", "INVITE sip:a@b SIP/2.0\r\n" + good + "Content-Length: 9\r\n\r\n", "400"},
		{"CSeq", "INVITE sip:a@b SIP/2.0\r\n" + strings.Replace(good, "1 INVITE", "99999999999 INVITE", 1) + "\r\n", "400"},
		{"long start line", "INVITE sip:" + strings.Repeat("a", sip.MaxStartLine) + "@b SIP/2.0\r\n" + good + "\r\n", ""},
		{"long header section", "INVITE sip:a@b SIP/2.0\r\n" + good + "X: " + strings.Repeat("a", sip.MaxHeader) + "\r\n\r\n", "513"},
		{"ACK", "ACK sip:a@b SIP/7.0\r\n" + strings.Replace(good, "INVITE", "ACK", 1) + "\r\n", ""},
		{"response", "SIP/2.0 99999 OK\r\n" + good + "\r\n", ""},
		{"no Via", "INVITE sip:a@b SIP/7.0\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n", ""},
		{"bad Via", "INVITE sip:a@b SIP/7.0\r\n" + strings.Replace(good, "h.example", ":]", 1) + "\r\n", "505"},
		{"bad Via in a datagram", "INVITE sip:a@b SIP/7.0\r\n" + strings.Replace(good, "h.example", ":]", 1) + "\r\n", ""},
		{"garbage", "\x00\x01\x02", ""},
		{"nothing", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, Config{}, func(b *bench) {
				c := b.stranger()
				if strings.HasSuffix(tt.name, "datagram") {
					c = b.client("udp:203.0.113.9:5060", Source{})
				}
				m, err := sip.Parse(tt.raw)
				if err == nil {
					err = m.Validate()
				}
				if err == nil {
					t.Fatal("that is no bad message")
				}
				b.core.Malformed(m, err, c.src)
				b.core.Malformed(m, err, c.src)
				got := c.got()
				if tt.want == "" {
					if tt.name != "long start line" && len(got) != 0 {
						t.Fatalf("answered\n%s", got[0].Raw())
					}
					return
				}
				if len(got) != 2 || strings.Fields(got[0].Raw())[1] != tt.want || got[0].Raw() != got[1].Raw() {
					t.Fatalf("got %v", got)
				}
			})
		})
	}
	run(t, Config{}, func(b *bench) {
		b.core.Malformed(nil, errors.New("x"), b.stranger().src)
		b.core.Malformed(nil, errors.New("x"), nil)
		b.core.Malformed(nil, nil, &transaction.Source{})
		if n := b.core.Stats().Malformed; n != 3 {
			t.Errorf("%d counted", n)
		}
	})
}

func TestWarningText(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"plain", "no route", `399 p1.example.com "no route"`},
		{"quotes", `a "b" \c`, `399 p1.example.com "a \"b\" \\c"`},
		{"line ends", "a\r\nX-Trusted: evil", `399 p1.example.com "a??X-Trusted: evil"`},
		{"not ASCII", "caf\u00e9 \x00\x7f\xff", `399 p1.example.com "caf? ???"`},
		{"long", strings.Repeat("x", 300), `399 p1.example.com "` + strings.Repeat("x", 200) + `"`},
		{"long with escapes", strings.Repeat(`"`, 300), `399 p1.example.com "` + strings.Repeat(`\"`, 100) + `"`},
		{"an escape at the limit", strings.Repeat("x", 199) + `"y`, `399 p1.example.com "` + strings.Repeat("x", 199) + `"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := warning(399, "p1.example.com", tt.text); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestPeerTextIsCutInWarnings(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.inside()
		host := strings.Repeat("a", 63) + "." + strings.Repeat("b", 63) + ".example"
		c.send(c.request("INVITE", "sip:x@"+host))
		got := c.got()[0]
		if w := header(got, "Warning"); got.StatusCode() != 404 || len(w) > 130 || strings.Contains(w, "example\"") {
			t.Errorf("Warning %q", w)
		}
	})
}

func TestStatusError(t *testing.T) {
	cause := errors.New("cause")
	e := &StatusError{Status: 404, Warning: "no x", Err: cause}
	if e.Error() != "proxy: 404 Not Found: no x: cause" || !errors.Is(e, cause) {
		t.Errorf("got %q", e.Error())
	}
	c := &ConnectError{Text: "refused", Err: cause}
	if c.Error() != "proxy: refused: cause" || !errors.Is(c, cause) || (&ConnectError{Text: "a"}).Error() != "proxy: a" {
		t.Errorf("got %q", c.Error())
	}
}

func TestStats(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		c.send(c.request("MESSAGE", "sip:bob@example.net"))
		c.send(c.request("EVIL-METHOD", "sip:bob@example.net"))
		req := b.at(agent).one("INVITE")
		b.at(agent).answer(req, 180)
		s := b.core.Stats()
		if s.Requests["INVITE"] != 1 || s.Requests["MESSAGE"] != 1 || s.Requests["other"] != 1 || s.Forwarded["INVITE"] != 1 ||
			s.ResponsesSent[4] != 2 || s.ResponsesSent[1] != 1 || s.ResponsesReceived[1] != 1 || s.Active != 1 {
			t.Errorf("%+v", s)
		}
		if _, ok := s.Requests["EVIL-METHOD"]; ok {
			t.Error("a method that a peer made up became a counter")
		}
	})
}

// TestSourceForms: the judgement may be missing, a value or a pointer, and the flow may be any.
func TestSourceForms(t *testing.T) {
	for _, any := range []any{nil, Source{}, &Source{}, (*Source)(nil), "x"} {
		run(t, Config{}, func(b *bench) {
			c := b.stranger()
			c.src.Any = any
			c.send(c.request("INVITE", "sip:bob@example.net"))
			c.expect("403")
			c.send(c.request("INVITE", "sip:bob@example.com"))
			b.at(agent).one("INVITE")
		})
	}
}
