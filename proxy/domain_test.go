package proxy

import (
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/sip"
)

// TestStrangersChooseNoDomain: on whose behalf a stranger's request is sent, and so by whose certificate, is not
// for the stranger to say.
func TestStrangersChooseNoDomain(t *testing.T) {
	rules := testRules()
	rules.Routes = append(rules.Routes, Route{Domain: "example.org", To: routeTargets("sip:198.51.100.9")})
	tests := []struct {
		name, uri string
		lines     []string
		want      string
	}{
		{"Route", "sip:bob@example.com", []string{"Route: <sip:example.org;lr>"}, "example.com"},
		{"From", "sip:bob@example.com", []string{"From: <sip:a@example.org>;tag=1"}, "example.com"},
		{"nothing", "sip:bob@example.org", nil, "example.org"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, Config{Rules: rules}, func(b *bench) {
				c := b.stranger()
				c.send(c.request("MESSAGE", tt.uri, tt.lines...))
				if len(b.hops) != 1 || b.hops[0].LocalDomain != tt.want {
					t.Errorf("hops %+v, want local domain %s", b.hops, tt.want)
				}
			})
		})
	}
}

// TestDialogKeepsItsDomain: requests inside a dialog are sent on behalf of the domain that it was made for, in both
// directions, whatever Route and From say.
func TestDialogKeepsItsDomain(t *testing.T) {
	replace := func(old, new string) func(string) string {
		return func(r string) string { return strings.ReplaceAll(r, old, new) }
	}
	tests := []struct {
		name string
		edit func(route string) string
		want string // local domain; "": refused
	}{
		{"as it was", replace("", ""), "example.com"},
		{"another domain as the host", replace("sip:192.0.2.1:5060", "sip:example.org"), "example.com"},
		{"another domain in the token", replace(";tl=example.com", ";tl=example.org"), ""},
		{"no domain in the token", replace(";tl=example.com", ""), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, Config{}, func(b *bench) {
				c := b.stranger()
				callID, forth, back := dialogOf(b, c, "<sip:alice@198.51.100.20:5090>")
				a := b.client("udp:198.51.100.7:5070", Source{})
				for _, way := range []struct {
					from       *client
					uri, route string
				}{{c, "sip:bob@10.0.0.7:5070", forth}, {a, "sip:alice@198.51.100.20:5090", back}} {
					b.hops = nil
					way.from.send(way.from.request("BYE", way.uri, "Route: "+tt.edit(way.route), "Call-ID: "+callID,
						"From: <sip:x@example.org>;tag=a1", "To: <sip:y@example.org>;tag=b1"))
					switch {
					case tt.want == "":
						way.from.expect("403")
					case len(b.hops) != 1 || b.hops[0].LocalDomain != tt.want:
						t.Errorf("to %s: hops %+v, want local domain %s", way.uri, b.hops, tt.want)
					}
				}
			})
		})
	}
}

// TestDomainsWithOneSentBy: what Route says of two domains that share a sent-by is the same, and the token tells
// them apart.
func TestDomainsWithOneSentBy(t *testing.T) {
	rules := testRules()
	rules.Served[1].SentBy = "p1.example.com"
	rules.Routes = append(rules.Routes, Route{Domain: "example.org", To: routeTargets("sip:198.51.100.7:5070")})
	run(t, Config{Rules: rules}, func(b *bench) {
		c := b.peer()
		c.src.LocalDomain = "example.org"
		c.send(c.request("INVITE", "sip:bob@example.org"))
		req := b.at(agent).one("INVITE")
		a := b.client("udp:198.51.100.7:5070", Source{Relay: true})
		route := strings.ReplaceAll(routes(req, sip.FieldRecordRoute), " ", ", ")
		b.hops = nil
		a.send(a.request("BYE", "sip:alice@198.51.100.20:5090", "Route: "+route, "Call-ID: "+req.CallID(), "To: <sip:alice@example.net>;tag=a1"))
		if len(b.hops) != 1 || b.hops[0].LocalDomain != "example.org" {
			t.Errorf("hops %+v", b.hops)
		}
	})
}
