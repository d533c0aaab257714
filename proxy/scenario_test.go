package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// The scenarios go through RFC 3261, Section 16 in its order.

func TestForwardToServedDomain(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		req := b.at(agent).one("INVITE")
		if req.RequestURI() != "sip:bob@example.com" {
			t.Errorf("Request-URI %q was changed", req.RequestURI())
		}
		if n, _, _ := req.MaxForwards(); n != 69 {
			t.Errorf("Max-Forwards %d, want 69", n)
		}
		if v := header(req, "Max-Breadth"); v != "60" {
			t.Errorf("Max-Breadth %q, want 60", v)
		}
		b.at(agent).answer(req, 180)
		c.expect("180")
		b.at(agent).answer(req, 200, "Contact: <sip:bob@198.51.100.7:5070>")
		got := c.got()
		if len(got) != 1 || got[0].StatusCode() != 200 || got[0].Count(sip.FieldVia) != 1 {
			t.Fatalf("got %v", got)
		}
		if via := header(got[0], "Via"); !strings.Contains(via, "received=203.0.113.9") {
			t.Errorf("Via %q lost received", via)
		}
	})
}

func TestMaxForwards(t *testing.T) {
	tests := []struct{ name, method, uri, line, want string }{
		{"zero", "INVITE", "sip:bob@example.com", "Max-Forwards: 0", "483"},
		{"zero options for somebody", "OPTIONS", "sip:bob@example.com", "Max-Forwards: 0", "483"},
		{"zero options for us", "OPTIONS", "sip:192.0.2.1:5060", "Max-Forwards: 0", "200"},
		{"bad", "INVITE", "sip:bob@example.com", "Max-Forwards: x", "400"},
		{"huge", "INVITE", "sip:bob@example.com", "Max-Forwards: 99999999999", "400"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, Config{}, func(b *bench) {
				c := b.stranger()
				c.send(c.request(tt.method, tt.uri, tt.line))
				c.expect(tt.want)
			})
		})
	}
	t.Run("missing", func(t *testing.T) {
		run(t, Config{}, func(b *bench) {
			c := b.stranger()
			c.send(c.request("MESSAGE", "sip:bob@example.com", "-Max-Forwards:"))
			if n, ok, _ := b.at(agent).one("MESSAGE").MaxForwards(); n != 70 || !ok {
				t.Errorf("Max-Forwards %d, want 70 added", n)
			}
		})
	})
}

func TestLocalStatuses(t *testing.T) {
	tests := []struct {
		name, method, uri string
		lines             []string
		want              string
		header, value     string
	}{
		{"scheme", "INVITE", "http://b.example.net/", nil, "416", "Warning", `399 p1.example.com "scheme http"`},
		{"tel without a route", "INVITE", "tel:+1", nil, "416", "", ""},
		{"headers in the Request-URI", "INVITE", "sip:bob@example.com?Route=%3Csip:evil.example%3E", nil, "400", "", ""},
		{"Proxy-Require", "INVITE", "sip:bob@example.com", []string{"Proxy-Require: foo, bar"}, "420", "Unsupported", "foo, bar"},
		{"Require for us", "OPTIONS", "sip:192.0.2.1", []string{"Require: baz"}, "420", "Unsupported", "baz"},
		{"Max-Breadth zero", "INVITE", "sip:bob@example.com", []string{"Max-Breadth: 0"}, "440", "", ""},
		{"Max-Breadth bad", "INVITE", "sip:bob@example.com", []string{"Max-Breadth: many"}, "400", "", ""},
		{"no route", "INVITE", "sip:bob@example.org", nil, "404", "Warning", `399 example.org "no route for example.org"`},
		{"foreign", "INVITE", "sip:bob@example.net", nil, "403", "Warning", `399 p1.example.com "relaying denied"`},
		{"maddr away", "INVITE", "sip:bob@example.com;maddr=evil.example", nil, "403", "", ""},
		{"options", "OPTIONS", "sip:192.0.2.1:5060", nil, "200", "Allow", "OPTIONS"},
		{"options for the domain", "OPTIONS", "sip:example.com", nil, "200", "Accept", "application/sdp"},
		{"options for the sent-by", "OPTIONS", "sip:p1.example.com:5061;transport=tls", nil, "200", "Supported", ""},
		{"options with a user at our address", "OPTIONS", "sip:x@192.0.2.1", nil, "200", "", ""},
		{"user at our address", "INVITE", "sip:x@192.0.2.1", nil, "404", "", ""},
		{"register with us", "REGISTER", "sip:192.0.2.1", nil, "405", "Allow", "OPTIONS"},
		{"unknown method for us", "FROB", "sip:192.0.2.1", nil, "501", "", ""},
		{"too many routes", "INVITE", "sip:bob@example.com", []string{"Route: " + strings.Repeat("<sip:r.example.net;lr>, ", 70) + "<sip:r.example.net;lr>"}, "483", "", ""},
		{"sips without a way", "INVITE", "sips:bob@example.com", nil, "480", "", ""},
		{"empty cookie", "INVITE", "sip:bob@example.com", []string{"-Via:", "Via: SIP/2.0/TCP h;branch=z9hG4bK"}, "400", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rules := testRules("sip:198.51.100.7:5070;transport=udp")
			run(t, Config{Rules: rules}, func(b *bench) {
				c := b.stranger()
				c.send(c.request(tt.method, tt.uri, tt.lines...))
				got := c.got()
				if len(got) != 1 || header(got[0], "To") == "" {
					t.Fatalf("got %d responses", len(got))
				}
				if s := strings.Fields(got[0].Raw())[1]; s != tt.want {
					t.Fatalf("got %s, want %s:\n%s", s, tt.want, got[0].Raw())
				}
				if tt.header != "" && header(got[0], tt.header) != tt.value {
					t.Errorf("%s: %q, want %q", tt.header, header(got[0], tt.header), tt.value)
				}
				if to, _ := got[0].To(); to.Tag() == "" {
					t.Errorf("no tag in To: %s", got[0].Raw())
				}
				if got := b.at("udp:198.51.100.7:5070").methods(); got != "" {
					t.Errorf("forwarded %s all the same", got)
				}
			})
		})
	}
}

func TestUnknownMethodIsForwarded(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("FROBNICATE", "sip:bob@example.com"))
		req := b.at(agent).one("FROBNICATE")
		if req.Count(sip.FieldRecordRoute) == 0 {
			t.Error("an unknown method may make a dialog and must be record-routed")
		}
	})
}

func TestRecordRouteByMethod(t *testing.T) {
	for method, want := range map[string]bool{
		"INVITE": true, "SUBSCRIBE": true, "REFER": true, "NOTIFY": true,
		"MESSAGE": false, "OPTIONS": false, "REGISTER": false, "BYE": false, "PUBLISH": false,
	} {
		run(t, Config{}, func(b *bench) {
			c := b.stranger()
			c.send(c.request(method, "sip:bob@example.com"))
			if got := b.at(agent).one(method).Count(sip.FieldRecordRoute) > 0; got != want {
				t.Errorf("%s: Record-Route %v, want %v", method, got, want)
			}
		})
	}
}

func TestProvisionalForOtherRequestsIsNotForwarded(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("MESSAGE", "sip:bob@example.com"))
		req := b.at(agent).one("MESSAGE")
		b.at(agent).answer(req, 183)
		c.expect("")
		b.at(agent).answer(req, 202)
		c.expect("202")
		b.at(agent).answer(req, 200)
		c.expect("")
	})
}

func TestTryingIsNotForwarded(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		b.at(agent).answer(b.at(agent).one("INVITE"), 100)
		wait(time.Second)
		if n := len(c.flow.take(t, 0)); n != 1 {
			t.Errorf("%d responses, want only our own 100", n)
		}
	})
}

func TestEachFurtherSuccessIsForwarded(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		req := b.at(agent).one("INVITE")
		b.at(agent).answer(req, 200)
		b.at(agent).answer(req, 200)
		c.expect("200 200")
	})
}

func TestResponseWithoutOtherVias(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("MESSAGE", "sip:bob@example.com"))
		req := b.at(agent).one("MESSAGE")
		resp, _ := sip.Parse(string(sip.AppendResponse(nil, req, 200, "", "x")))
		e := resp.Edit()
		via := header(req, "Via")
		e.RemoveAll("Via")
		e.Add("Via", via)
		b.at(agent).raw(string(e.AppendTo(nil)))
		c.expect("502")
	})
}
