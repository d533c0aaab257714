package proxy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sip"
)

func TestAccessMatrix(t *testing.T) {
	sources := map[string]func(b *bench) *client{
		"stranger": (*bench).stranger, "inside": (*bench).inside, "peer": (*bench).peer,
		"neighbour": (*bench).neighbour,
	}
	tests := []struct {
		name, uri, route string
		want             map[string]string // by source: the address that is reached, or a status
	}{
		{"served", "sip:bob@example.com", "", map[string]string{
			"stranger": agent, "inside": agent, "peer": agent}},
		{"foreign name", "sip:bob@example.net", "", map[string]string{
			"stranger": "403", "inside": "udp:192.0.2.50:5060", "peer": "udp:192.0.2.50:5060"}},
		{"foreign loopback", "sip:bob@127.0.0.1:22", "", map[string]string{
			"stranger": "403", "inside": "udp:127.0.0.1:22", "peer": "403"}},
		{"foreign name of a private address", "sip:bob@rebound.example", "", map[string]string{
			"stranger": "403", "inside": "udp:10.0.0.1:5060", "peer": "udp:192.0.2.51:5060", "neighbour": "udp:10.0.0.1:5060"}},
		{"private address", "sip:bob@10.0.0.1", "", map[string]string{"neighbour": "403"}},
		{"name of the loopback", "sip:bob@home.example", "", map[string]string{"neighbour": "403", "peer": "403"}},
		{"address in maddr", "sip:bob@rebound.example;maddr=10.0.0.1", "", map[string]string{"neighbour": "403"}},
		{"localhost", "sip:bob@localhost", "", map[string]string{"neighbour": "403", "peer": "403"}},
		{"metadata service", "sip:bob@169.254.169.254", "", map[string]string{
			"stranger": "403", "inside": "udp:169.254.169.254:5060", "peer": "403"}},
		{"mapped loopback", "sip:bob@[::ffff:127.0.0.1]", "", map[string]string{
			"stranger": "403", "peer": "403"}},
		{"translated loopback", "sip:bob@[64:ff9b::7f00:1]", "", map[string]string{
			"stranger": "403", "peer": "403"}},
		{"broadcast", "sip:bob@255.255.255.255", "", map[string]string{
			"stranger": "403", "inside": "403", "peer": "403"}},
		{"multicast", "sip:bob@239.1.1.1", "", map[string]string{
			"stranger": "403", "inside": "403", "peer": "403"}},
		{"unspecified", "sip:bob@0.0.0.0", "", map[string]string{
			"stranger": "403", "inside": "403", "peer": "403"}},
		{"preloaded route inside", "sip:bob@example.com", "<sip:127.0.0.1:22;lr>", map[string]string{
			"stranger": "403", "inside": "udp:127.0.0.1:22", "peer": "403"}},
		{"preloaded route through us", "sip:bob@127.0.0.1:22", "<sip:192.0.2.1;lr>", map[string]string{
			"stranger": "403", "inside": "udp:127.0.0.1:22", "peer": "403"}},
		{"forged token", "sip:bob@192.0.2.88", "<sip:192.0.2.1;lr;td=aaaaaaaaaaaaaaaaaaaaaaaaaa>", map[string]string{
			"stranger": "403", "inside": "udp:192.0.2.88:5060", "peer": "udp:192.0.2.88:5060"}},
		{"empty token", "sip:bob@192.0.2.88", "<sip:192.0.2.1;lr;td>", map[string]string{"stranger": "403"}},
	}
	for _, tt := range tests {
		for who, want := range tt.want {
			t.Run(tt.name+"/"+who, func(t *testing.T) {
				run(t, Config{}, func(b *bench) {
					b.names["example.net"] = []string{"udp:192.0.2.50:5060"}
					b.names["rebound.example"] = []string{"udp:10.0.0.1:5060", "udp:255.255.255.255:5060", "udp:192.0.2.51:5060"}
					b.names["10.0.0.1"] = []string{"udp:10.0.0.1:5060"}
					b.names["home.example"] = []string{"udp:127.0.0.1:5060"}
					b.names["localhost"] = []string{"udp:127.0.0.1:5060"}
					c := sources[who](b)
					var lines []string
					if tt.route != "" {
						lines = append(lines, "Route: "+tt.route)
					}
					c.send(c.request("MESSAGE", tt.uri, lines...))
					if !strings.Contains(want, ":") {
						c.expect(want)
						if len(b.hops) != 0 {
							t.Errorf("asked for a connection to %v", b.hops[0].To)
						}
						return
					}
					b.at(want).one("MESSAGE")
				})
			})
		}
	}
}

func TestSpecialAddresses(t *testing.T) {
	for ip, want := range map[string]bool{
		"127.0.0.1": true, "10.1.2.3": true, "172.16.0.1": true, "192.168.9.9": true, "169.254.1.1": true,
		"100.64.0.1": true, "::1": true, "fe80::1%eth0": true, "fc00::1": true, "240.0.0.1": true, "fec0::1": true,
		"198.51.100.1": false, "2001:db8::1": false, "8.8.8.8": false, "172.32.0.1": false, "64:ff9b::a00:1": true,
	} {
		if got := !(reach{}).may(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s is special: %v, want %v", ip, got, want)
		}
	}
	for _, ip := range []string{"0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:255.255.255.255"} {
		if (reach{any: true}).may(netip.MustParseAddr(ip)) {
			t.Errorf("%s may be reached", ip)
		}
	}
	if (reach{any: true}).may(netip.Addr{}) {
		t.Error("no address at all may be reached")
	}
}

// dialogOf sets a dialog up from a stranger to the agent and returns what each side knows of the route.
func dialogOf(b *bench, c *client, contact string) (callID, callerRoute, agentRoute string) {
	b.t.Helper()
	c.send(c.request("INVITE", "sip:bob@example.com", "Contact: "+contact))
	req := b.at(agent).one("INVITE")
	b.at(agent).answer(req, 200, "Contact: <sip:bob@10.0.0.7:5070>")
	resp := c.got()[0]
	var forward, reverse []string
	for v := range req.Values(sip.FieldRecordRoute) {
		forward = append(forward, v)
	}
	for v := range resp.Values(sip.FieldRecordRoute) {
		reverse = append([]string{v}, reverse...)
	}
	return req.CallID(), strings.Join(reverse, ", "), strings.Join(forward, ", ")
}

func TestDialogToken(t *testing.T) {
	tests := []struct {
		name   string
		uri    string
		edit   func(route string) string
		callID string // "": that of the dialog
		lines  []string
		want   string // "": forwarded to the agent's contact
	}{
		{name: "fits"},
		{name: "fits in another case", uri: "sip:BOB@10.0.0.7:5070;x=y"},
		{name: "other Call-ID", callID: "other@example.net", want: "403"},
		{name: "other host", uri: "sip:bob@10.0.0.8:5070", want: "403"},
		{name: "other port", uri: "sip:bob@10.0.0.7:22", want: "403"},
		{name: "maddr elsewhere", uri: "sip:bob@10.0.0.7:5070;maddr=127.0.0.1", want: "403"},
		{name: "absent", edit: func(r string) string { return "<sip:192.0.2.1;transport=tcp;lr>" }, want: "403"},
		{name: "cut", edit: func(r string) string { return strings.Replace(r, "td=", "td=x", -1) }, want: "403"},
		{name: "with an identity that was not signed", edit: func(r string) string { return strings.ReplaceAll(r, ">", ";ti=evil.example>") }, want: "403"},
		{name: "another route behind ours", edit: func(r string) string { return r + ", <sip:127.0.0.1:22;lr>" }, want: "403"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, Config{}, func(b *bench) {
				c := b.stranger()
				callID, route, _ := dialogOf(b, c, "<sip:alice@198.51.100.20:5090>")
				if tt.edit != nil {
					route = tt.edit(route)
				}
				if tt.callID != "" {
					callID = tt.callID
				}
				if tt.uri == "" {
					tt.uri = "sip:bob@10.0.0.7:5070"
				}
				c.send(c.request("BYE", tt.uri, "Route: "+route, "Call-ID: "+callID, "To: <sip:bob@example.com>;tag=b1"))
				if tt.want != "" {
					c.expect(tt.want)
					return
				}
				b.at("udp:10.0.0.7:5070").one("BYE")
			})
		})
	}
}

func TestDialogTokenForTheWayBack(t *testing.T) {
	// The agent comes from an address without rights and hangs up: the token of the INVITE lets it through to the
	// caller's Contact, a private address that the caller really sends from.
	run(t, Config{}, func(b *bench) {
		callID, _, route := dialogOf(b, b.client("tcp:10.9.9.9:40000", Source{}), "<sip:alice@10.9.9.9:5090;transport=tcp>")
		a := b.client("udp:198.51.100.7:5070", Source{})
		bye := a.request("BYE", "sip:alice@10.9.9.9:5090;transport=tcp", "Route: "+route, "Call-ID: "+callID, "To: <sip:alice@example.net>;tag=a1")
		a.send(bye)
		b.at("tcp:10.9.9.9:5090").one("BYE")
		a.send(a.request("BYE", "sip:alice@10.9.9.9:5091;transport=tcp", "Route: "+route, "Call-ID: "+callID, "To: <sip:alice@example.net>;tag=a1"))
		a.expect("403")
	})
}

func TestDialogTokenDoesNotOpenTheInside(t *testing.T) {
	// A stranger writes an address of our inside into its Contact: the token does not lead there.
	for contact, want := range map[string]string{
		"sip:x@127.0.0.1:22": "403", "sip:x@inside.example": "403", "sip:x@[::1]:22": "403", "sip:x@192.0.2.90": "",
	} {
		run(t, Config{}, func(b *bench) {
			b.names["inside.example"] = []string{"udp:10.0.0.1:22"}
			callID, _, route := dialogOf(b, b.stranger(), "<"+contact+">")
			a := b.client("udp:198.51.100.7:5070", Source{})
			a.send(a.request("BYE", contact, "Route: "+route, "Call-ID: "+callID, "To: <sip:alice@example.net>;tag=a1"))
			a.expect(want)
		})
	}
}

func TestErrorsCarryNoToken(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		req := b.at(agent).one("INVITE")
		var lines []string
		for v := range req.Values(sip.FieldRecordRoute) {
			lines = append(lines, "Record-Route: "+v)
		}
		b.at(agent).answer(req, 486, lines...)
		if got := c.got()[0]; got.Count(sip.FieldRecordRoute) == 0 || strings.Contains(got.Raw(), "td=") {
			t.Errorf("got\n%s", got.Raw())
		}
	})
}

func TestDialogTokenIsForTheNextElement(t *testing.T) {
	// Another proxy before us record-routes too: requests that come back go to it, not to the Contact.
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com", "Record-Route: <sip:192.0.2.70:5060;lr>"))
		req := b.at(agent).one("INVITE")
		a := b.client("udp:198.51.100.7:5070", Source{})
		a.send(a.request("BYE", "sip:alice@198.51.100.20:5090", "Route: "+strings.ReplaceAll(routes(req, sip.FieldRecordRoute), "> <", ">, <"),
			"Call-ID: "+req.CallID(), "To: <sip:alice@example.net>;tag=a1"))
		b.at("udp:192.0.2.70:5060").one("BYE")
	})
}

func TestDialogKeySurvivesRestart(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	u, _ := sip.ParseURI("sip:bob@h.example:5070")
	one, two := newSigner(key), newSigner(key)
	cl := claim{reference: "x", special: "any"}
	cl.token = string(one.appendToken(nil, "c1", u, cl))
	if !two.valid(cl, "c1", u) {
		t.Error("a token does not survive a restart with the same key")
	}
	if newSigner([]byte("another key 3456")).valid(cl, "c1", u) {
		t.Error("a token fits another key")
	}
}

func TestDialogIdentity(t *testing.T) {
	// The peer's Contact is an address that stands in no certificate. Requests back to it are authenticated as
	// what the peer proved when the dialog was made.
	run(t, Config{}, func(b *bench) {
		callID, _, route := dialogOf(b, b.peer(), "<sip:gw@203.0.113.5:5061;transport=tls>")
		a := b.client("udp:198.51.100.7:5070", Source{})
		b.hops = nil
		a.send(a.request("BYE", "sip:gw@203.0.113.5:5061;transport=tls", "Route: "+route, "Call-ID: "+callID, "To: <sip:x@example.net>;tag=a1"))
		if len(b.hops) != 1 || b.hops[0].Reference != "example.net" || b.hops[0].LocalDomain != "example.com" {
			t.Errorf("hops %+v", b.hops)
		}
	})
}

func TestTrustHeaders(t *testing.T) {
	spellings := []string{
		"P-Asserted-Identity: <sip:evil-id@victim.example>",
		"p-asserted-identity: <sip:evil-id@victim.example>",
		"P-ASSERTED-IDENTITY \t: <sip:evil-id@victim.example>",
		"P-Asserted-Identity:\r\n <sip:evil-id@victim.example>,\r\n\t<tel:+1-evil-id>",
		"P-Asserted-Identity: <sip:evil-id@victim.example>\r\nX: y\r\nP-Asserted-identity: <tel:+1;evil-id>",
		"P-Preferred-Identity: <sip:evil-id@victim.example>",
		"Remote-Party-ID: <sip:evil-id@victim.example>",
		"P-Charging-Vector: icid-value=evil-id",
		"X-Trusted : evil-id",
	}
	for _, s := range spellings {
		run(t, Config{}, func(b *bench) {
			c := b.stranger()
			c.send(c.request("MESSAGE", "sip:bob@example.com", s))
			if raw := b.at(agent).one("MESSAGE").Raw(); strings.Contains(raw, "evil-id") {
				t.Errorf("%q was forwarded for a stranger:\n%s", s, raw)
			}
			p := b.peer()
			p.send(p.request("MESSAGE", "sip:bob@example.com", s))
			if raw := b.at(agent).one("MESSAGE").Raw(); !strings.Contains(raw, s) {
				t.Errorf("%q was not forwarded for a trusted peer", s)
			}
		})
	}
	t.Run("configured", func(t *testing.T) {
		rules := testRules()
		rules.UntrustedHeaders = []string{"X-Mine", "s"}
		run(t, Config{Rules: rules}, func(b *bench) {
			c := b.stranger()
			c.send(c.request("MESSAGE", "sip:bob@example.com", "X-mine: gone", "Subject: gone", "P-Asserted-Identity: <sip:stays@x>"))
			raw := b.at(agent).one("MESSAGE").Raw()
			if strings.Contains(raw, "gone") || !strings.Contains(raw, "stays") {
				t.Errorf("forwarded\n%s", raw)
			}
		})
	})
	t.Run("in responses", func(t *testing.T) {
		run(t, Config{}, func(b *bench) {
			c := b.stranger()
			c.send(c.request("INVITE", "sip:bob@example.com"))
			req := b.at(agent).one("INVITE")
			b.at(agent).answer(req, 180, "P-Asserted-Identity: <sip:x@y>")
			if got := c.got(); header(got[0], "P-Asserted-Identity") == "" {
				t.Error("removed from a trusted flow's response")
			}
			b.flows[agent].distrusts = true
			b.at(agent).answer(req, 200, "p-asserted-identity: <sip:x@y>")
			if got := c.got(); header(got[0], "P-Asserted-Identity") != "" {
				t.Error("kept in a response that nobody trusts")
			}
		})
	})
}

func TestPrivacy(t *testing.T) {
	// RFC 3325, Section 7: with the token id the identity stays inside the trust domain.
	tests := []struct {
		name, privacy string
		distrusts     bool
		want          bool
	}{
		{"id to a stranger", "Privacy: id", true, false},
		{"id among others", "privacy: header; ID;critical", true, false},
		{"id inside", "Privacy: id", false, true},
		{"none", "Privacy: none", true, true},
		{"no Privacy", "X: id", true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, Config{}, func(b *bench) {
				b.flows[agent] = b.newFlow(agent)
				b.flows[agent].distrusts = tt.distrusts
				c := b.peer()
				c.send(c.request("MESSAGE", "sip:bob@example.com", tt.privacy, "P-Asserted-Identity: <sip:boss@example.net>"))
				if got := header(b.at(agent).one("MESSAGE"), "P-Asserted-Identity") != ""; got != tt.want {
					t.Errorf("forwarded with the identity: %v, want %v", got, tt.want)
				}
			})
		})
	}
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("MESSAGE", "sip:bob@example.com"))
		b.at(agent).answer(b.at(agent).one("MESSAGE"), 200, "P-Asserted-Identity: <sip:bob@example.com>", "Privacy: id")
		if header(c.got()[0], "P-Asserted-Identity") != "" {
			t.Error("a response took the identity outside")
		}
	})
}

func TestNothingIsDecoded(t *testing.T) {
	for _, uri := range []string{
		"sip:u%0d%0aX-Trusted:EVIL@example.com", "sip:uas%40victim.example@example.com", "sip:%00@example.com",
		"sip:a;b=c%3Bd@example.com;x=%0d%0aVia", "sip:bob@EXAMPLE.com.",
	} {
		run(t, Config{}, func(b *bench) {
			c := b.stranger()
			c.send(c.request("MESSAGE", uri))
			if got := b.at(agent).one("MESSAGE"); got.RequestURI() != uri || strings.Contains(got.Raw(), "\r\nX-Trusted") {
				t.Errorf("%q became %q", uri, got.RequestURI())
			}
		})
	}
}

func TestLocateErrors(t *testing.T) {
	for _, tt := range []struct {
		err     error
		status  int
		warning string
	}{
		{resolve.ErrNotFound, 404, `399 p1.example.com "no address for gone.example"`},
		{resolve.ErrTemporary, 504, `399 p1.example.com "looking up gone.example failed"`},
		{resolve.ErrUnsupported, 480, `399 p1.example.com "no common transport with gone.example"`},
	} {
		run(t, Config{}, func(b *bench) {
			b.fails["gone.example"] = tt.err
			c := b.inside()
			c.send(c.request("INVITE", "sip:x@gone.example"))
			got := c.got()
			if len(got) != 1 || got[0].StatusCode() != tt.status || header(got[0], "Warning") != tt.warning {
				t.Errorf("%v: got %v", tt.err, got[0].Raw())
			}
		})
	}
}
