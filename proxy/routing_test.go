package proxy

import (
	"strconv"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

func routes(m *sip.Message, f sip.Field) string {
	var out []string
	for v := range m.Values(f) {
		out = append(out, v)
	}
	return strings.Join(out, " ")
}

func TestRoutePopping(t *testing.T) {
	const other = "<sip:192.0.2.77:5060;lr>"
	tests := []struct {
		name, uri string
		routes    []string
		to        string // where the request must come out
		wantURI   string
		left      string
	}{
		{"one of ours", "sip:bob@192.0.2.88", []string{"Route: <sip:192.0.2.1:5060;lr>"}, "udp:192.0.2.88:5060", "", ""},
		{"double", "sip:bob@192.0.2.88", []string{"Route: <sip:192.0.2.1:5060;lr>, <sip:p1.example.com;transport=tls;lr>"}, "udp:192.0.2.88:5060", "", ""},
		{"double in two lines", "sip:bob@192.0.2.88", []string{"Route: <sip:192.0.2.1;transport=tcp;lr>", "Route: <sip:p1.example.com;lr>"}, "udp:192.0.2.88:5060", "", ""},
		{"repeated many times", "sip:bob@192.0.2.88", []string{"Route: " + strings.Repeat("<sip:P1.EXAMPLE.com.;lr>, ", 49) + "<sip:p1.example.com;lr>"}, "udp:192.0.2.88:5060", "", ""},
		{"served domain as route", "sip:bob@192.0.2.88", []string{"Route: <sip:example.com;lr>"}, "udp:192.0.2.88:5060", "", ""},
		{"ours, then another", "sip:bob@192.0.2.88", []string{"Route: <sip:192.0.2.1:5060;lr>, " + other}, "udp:192.0.2.77:5060", "", other},
		{"another, then ours", "sip:bob@192.0.2.88", []string{"Route: " + other + ", <sip:192.0.2.1:5060;lr>"}, "udp:192.0.2.77:5060", "", other + " <sip:192.0.2.1:5060;lr>"},
		{"our address, other port", "sip:bob@192.0.2.88", []string{"Route: <sip:192.0.2.1:5999;lr>"}, "udp:192.0.2.1:5999", "", "<sip:192.0.2.1:5999;lr>"},
		{"ours by maddr elsewhere", "sip:bob@192.0.2.88", []string{"Route: <sip:p1.example.com;maddr=192.0.2.66;lr>"}, "", "", ""},
		{"served with a route left", "sip:bob@example.com", []string{"Route: " + other}, "udp:192.0.2.77:5060", "", other},
		{
			"strict router before us", "sip:192.0.2.1:5060;lr", []string{"Route: " + other + ", <sip:carol@192.0.2.99>"},
			"udp:192.0.2.77:5060", "sip:carol@192.0.2.99", other,
		},
		{
			"strict router before us, its last hop", "sip:p1.example.com;transport=tls;lr", []string{"Route: <sip:carol@192.0.2.99;x=1>"},
			"udp:192.0.2.99:5060", "sip:carol@192.0.2.99;x=1", "",
		},
		{
			"strict router before us, headers in the URI", "sip:p1.example.com;lr", []string{"Route: <sip:carol@192.0.2.99?Route=x>"},
			"udp:192.0.2.99:5060", "sip:carol@192.0.2.99", "",
		},
		{
			"strict router behind us", "sip:bob@192.0.2.88", []string{"Route: <sip:192.0.2.1;lr>, <sip:192.0.2.55:5062>, " + other},
			"udp:192.0.2.55:5062", "sip:192.0.2.55:5062", other + " <sip:bob@192.0.2.88>",
		},
		{
			"strict router behind us, alone", "sip:bob@192.0.2.88", []string{"Route: <sip:192.0.2.55:5062;method=INVITE?a=b>"},
			"udp:192.0.2.55:5062", "sip:192.0.2.55:5062", "<sip:bob@192.0.2.88>",
		},
		{
			"strict routers on both sides", "sip:192.0.2.1;lr", []string{"Route: <sip:192.0.2.55>, <sip:carol@192.0.2.99>"},
			"udp:192.0.2.55:5060", "sip:192.0.2.55", "<sip:carol@192.0.2.99>",
		},
		{"maddr of ours", "sip:bob@192.0.2.88;maddr=192.0.2.1;transport=tcp", nil, "udp:192.0.2.88:5060", "sip:bob@192.0.2.88", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, Config{}, func(b *bench) {
				b.names["192.0.2.66"] = []string{"udp:192.0.2.66:5060"}
				c := b.inside()
				c.send(c.request("MESSAGE", tt.uri, tt.routes...))
				if tt.to == "" {
					tt.to = "udp:192.0.2.66:5060"
					tt.left = "<sip:p1.example.com;maddr=192.0.2.66;lr>"
				}
				req := b.at(tt.to).one("MESSAGE")
				if tt.wantURI == "" {
					tt.wantURI = tt.uri
				}
				if req.RequestURI() != tt.wantURI {
					t.Errorf("Request-URI %q, want %q", req.RequestURI(), tt.wantURI)
				}
				if got := routes(req, sip.FieldRoute); got != tt.left {
					t.Errorf("Route %q, want %q", got, tt.left)
				}
				if err := req.Validate(); err != nil {
					t.Errorf("forwarded something bad: %v\n%s", err, req.Raw())
				}
			})
		})
	}
}

func TestBadRouteIsRefused(t *testing.T) {
	for _, r := range []string{"sip:192.0.2.1;lr", "<sip:@>", "<>", "<sip:192.0.2.1;lr>, ,<x", "\"a <sip:b>"} {
		run(t, Config{}, func(b *bench) {
			c := b.inside()
			c.send(c.request("MESSAGE", "sip:bob@192.0.2.88", "Route: "+r))
			c.expect("400")
		})
	}
}

func TestDoubleRecordRoute(t *testing.T) {
	rules := testRules("sip:198.51.100.7:5070;transport=udp")
	run(t, Config{Rules: rules}, func(b *bench) {
		c := b.peer()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		req := b.at(agent).one("INVITE")
		var values []string
		for v := range req.Values(sip.FieldRecordRoute) {
			values = append(values, v)
		}
		// The side that the agent sees stands above the one that the peer sees: RFC 5658, Section 5.
		if len(values) != 2 || !strings.HasPrefix(values[0], "<sip:192.0.2.1:5060;lr;td=") ||
			!strings.HasPrefix(values[1], "<sip:p1.example.com;transport=tls;lr;td=") {
			t.Fatalf("Record-Route %q", values)
		}
		if !strings.Contains(values[0], ";ti=example.net;") {
			t.Errorf("%q lacks the identity of the peer", values[0])
		}
		b.at(agent).answer(req, 200, "Contact: <sip:bob@198.51.100.7:5070>")
		resp := c.got()[0]
		rr := strings.Fields(routes(resp, sip.FieldRecordRoute))
		if len(rr) != 2 || !strings.HasPrefix(rr[0], "<sip:192.0.2.1:5060;lr;td=") || !strings.HasPrefix(rr[1], "<sip:p1.example.com;transport=tls;lr;td=") {
			t.Fatalf("Record-Route %q", rr)
		}
		if rr[0] == values[0] || rr[1] == values[1] {
			t.Error("the response carries the token for the other way")
		}
		// The peer's ACK and BYE come with both, in reverse order; our domain is the one that the peer knows.
		route := "Route: " + rr[1] + ", " + rr[0]
		c.send(c.request("BYE", "sip:bob@198.51.100.7:5070", route, "To: <sip:bob@example.com>;tag=b1", "Call-ID: "+req.CallID()))
		bye := b.at(agent).one("BYE")
		if bye.Count(sip.FieldRoute) != 0 {
			t.Errorf("Route %q is left", routes(bye, sip.FieldRoute))
		}
	})
}

func TestOneRecordRouteWhenBothSidesAreTheSame(t *testing.T) {
	rules := testRules("sip:198.51.100.7:5070;transport=tcp")
	run(t, Config{Rules: rules}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com", "Record-Route: <sip:p.example.net;lr>"))
		req := b.at("tcp:198.51.100.7:5070").one("INVITE")
		rr := strings.Fields(routes(req, sip.FieldRecordRoute))
		if len(rr) != 2 || rr[1] != "<sip:p.example.net;lr>" {
			t.Fatalf("Record-Route %q", rr)
		}
	})
}

func TestSipsRecordRoute(t *testing.T) {
	rules := testRules("sip:a.example.com;transport=tls")
	run(t, Config{Rules: rules}, func(b *bench) {
		b.names["a.example.com"] = []string{"tls:198.51.100.7:5061"}
		c := b.peer()
		c.send(c.request("INVITE", "sips:bob@example.com"))
		req := b.at("tls:198.51.100.7:5061").one("INVITE")
		if rr := routes(req, sip.FieldRecordRoute); !strings.HasPrefix(rr, "<sips:p1.example.com;lr;") || strings.Contains(rr, "transport") {
			t.Errorf("Record-Route %q", rr)
		}
	})
}

func TestSpiralThroughUs(t *testing.T) {
	// The request comes back with another Request-URI: it is a spiral and goes on, and each pass signs its own
	// Record-Route value (RFC 3261, Section 16.7 item 8).
	run(t, Config{}, func(b *bench) {
		c := b.inside()
		b.names["example.net"] = []string{"tcp:192.0.2.50:5060"}
		c.send(c.request("INVITE", "sip:bob@example.net"))
		first := b.at("tcp:192.0.2.50:5060").one("INVITE")
		e := first.Edit()
		e.SetRequestURI("sip:bob@example.com")
		e.Prepend(sip.FieldVia, "SIP/2.0/TCP 192.0.2.50;branch=z9hG4bKother")
		back := b.client("tcp:192.0.2.50:41000", Source{})
		back.send(string(e.AppendTo(nil)))
		second := b.at(agent).one("INVITE")
		b.at(agent).answer(second, 200, "Contact: <sip:bob@198.51.100.7:5070>")
		resp := back.got()[0]
		if n := resp.Count(sip.FieldRecordRoute); n != 3 {
			t.Errorf("%d Record-Route lines, want 3 (two of the second pass, one of the first)", n)
		}
		last := ""
		for v := range resp.Values(sip.FieldRecordRoute) {
			last = v
		}
		if v, _ := first.FirstValue(sip.FieldRecordRoute); v != last {
			t.Error("the value of the first pass was changed by the second")
		}
	})
}

func TestLoop(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.inside()
		b.names["example.net"] = []string{"tcp:192.0.2.50:5060"}
		c.send(c.request("INVITE", "sip:bob@example.net"))
		first := b.at("tcp:192.0.2.50:5060").one("INVITE")
		for i, via := range []string{"SIP/2.0/TCP 192.0.2.50;branch=z9hG4bKother", `SIP/2.0/X odd ; q="a,b";;z ;branch=z9hG4bKz`} {
			e := first.Edit()
			e.Prepend(sip.FieldVia, via)
			e.Prepend(sip.FieldVia, "SIP/2.0/TCP 192.0.2.50;branch=z9hG4bKtop"+strconv.Itoa(i))
			back := b.client("tcp:192.0.2.50:41000", Source{Relay: true, Inside: true})
			back.send(string(e.AppendTo(nil)))
			back.expect("482")
		}
		// Another Route makes it a spiral.
		e := first.Edit()
		e.Prepend(sip.FieldVia, "SIP/2.0/TCP 192.0.2.50;branch=z9hG4bKthird")
		e.Prepend(sip.FieldRoute, "<sip:192.0.2.1:5060;lr>")
		back := b.client("tcp:192.0.2.50:41000", Source{Relay: true, Inside: true})
		back.send(string(e.AppendTo(nil)))
		back.expect("")
	})
}

func TestLocalDomain(t *testing.T) {
	rules := testRules()
	rules.Routes = append(rules.Routes, Route{Domain: "example.org", To: routeTargets("sip:198.51.100.9")})
	tests := []struct {
		name   string
		client func(b *bench) *client
		uri    string
		lines  []string
		want   string
	}{
		{"popped route", (*bench).inside, "sip:x@192.0.2.88", []string{"Route: <sip:example.org;lr>", "From: <sip:a@example.com>;tag=1"}, "example.org"},
		{"another domain's route over TLS", (*bench).peer, "sip:x@192.0.2.88", []string{"Route: <sip:example.org;lr>"}, "example.com"},
		{"another domain's From over TLS", (*bench).peer, "sip:x@192.0.2.88", []string{"From: <sip:a@example.org>;tag=1"}, "example.com"},
		{"popped sent-by", (*bench).inside, "sip:x@192.0.2.88", []string{"Route: <sip:p1.example.com;lr>", "From: <sip:a@example.org>;tag=1"}, "example.com"},
		{"last of two", (*bench).inside, "sip:x@192.0.2.88", []string{"Route: <sip:example.com;lr>, <sip:example.org;lr>"}, "example.org"},
		{"served over TLS", (*bench).peer, "sip:bob@example.org", nil, "example.org"},
		{"From", (*bench).inside, "sip:x@192.0.2.88", []string{"From: <sip:a@Example.ORG>;tag=1"}, "example.org"},
		{"source", (*bench).peer, "sip:x@192.0.2.88", nil, "example.com"},
		{"first", (*bench).inside, "sip:x@192.0.2.88", nil, "example.com"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, Config{Rules: rules}, func(b *bench) {
				c := tt.client(b)
				c.send(c.request("MESSAGE", tt.uri, tt.lines...))
				if len(b.hops) != 1 || b.hops[0].LocalDomain != tt.want {
					t.Errorf("hops %+v, want local domain %s", b.hops, tt.want)
				}
			})
		})
	}
}

func TestRules(t *testing.T) {
	rules := testRules()
	rules.Routes = []Route{
		{Domain: "Example.COM", Method: "MESSAGE", To: routeTargets("sip:192.0.2.30")},
		{Domain: "example.com", Peer: "partner", To: routeTargets("sip:192.0.2.31")},
		{Domain: "example.com", To: routeTargets("sip:192.0.2.32", "sip:192.0.2.32")},
		{Domain: "closed.example", To: nil},
		{To: routeTargets("sip:192.0.2.33")},
	}
	tests := []struct {
		name   string
		client func(b *bench) *client
		method string
		uri    string
		lines  []string
		to     string // "": refused with status
		status string
	}{
		{"method", (*bench).peer, "MESSAGE", "sip:bob@example.com", nil, "udp:192.0.2.30:5060", ""},
		{"peer", (*bench).peer, "INFO", "sip:bob@example.com", nil, "udp:192.0.2.31:5060", ""},
		{"first match, no target twice", (*bench).stranger, "INFO", "sip:bob@EXAMPLE.com:5060", nil, "udp:192.0.2.32:5060", ""},
		{"foreign by rule", (*bench).inside, "INFO", "sip:bob@example.net", nil, "udp:192.0.2.33:5060", ""},
		{"foreign by rule needs the right", (*bench).stranger, "INFO", "sip:bob@example.net", nil, "", "403"},
		{"tel by rule", (*bench).inside, "INFO", "tel:+15551234", nil, "udp:192.0.2.33:5060", ""},
		{"tel by rule needs the right", (*bench).stranger, "INFO", "tel:+15551234", nil, "", "403"},
		{"no targets", (*bench).inside, "INFO", "sip:bob@closed.example", nil, "", "480"},
		{"served without a rule of its own", (*bench).stranger, "INFO", "sip:bob@example.org", nil, "udp:192.0.2.33:5060", ""},
		{
			"in a dialog a rule for all does not divert", (*bench).inside, "BYE", "sip:bob@192.0.2.88",
			[]string{"Route: <sip:192.0.2.1;lr>", "To: <sip:b@x>;tag=1"}, "udp:192.0.2.88:5060", "",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, Config{Rules: rules}, func(b *bench) {
				c := tt.client(b)
				c.send(c.request(tt.method, tt.uri, tt.lines...))
				if tt.to == "" {
					c.expect(tt.status)
					return
				}
				if got := b.at(tt.to).one(tt.method); got.RequestURI() != tt.uri {
					t.Errorf("Request-URI %q was changed", got.RequestURI())
				}
			})
		})
	}
}

func TestUpdateKeepsRequestsUnderWay(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		req := b.at(agent).one("INVITE")
		b.core.Update(Rules{Served: []Domain{{Name: "example.org"}}, Self: []sipaddr.Advertised{{Host: "192.0.2.1"}}})
		c.send(c.request("INVITE", "sip:bob@example.com"))
		c.expect("403")
		b.at(agent).answer(req, 200)
		c.expect("200")
	})
}
