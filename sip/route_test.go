package sip

import (
	"fmt"
	"strings"
	"testing"
)

// TestRoutes: what Validate has kept of the values of Route is what parsing each of them tells, however many there are.
func TestRoutes(t *testing.T) {
	for _, lines := range []string{
		"",
		"Route: <sip:a>\r\n",
		"Route: <sips:u:p@A.example.com:5061;lr;transport=tcp?x=y>;q=1\r\n",
		"Route: <sip:u@[2001:db8::1]>, <tel:+1-201>\r\nroute: \"D\" <sip:b:@c;lr>\r\n",
		"Route: <sip:a>,<sip:b>,\r\n <sip:c>\r\nRoute: <SIP:d:5070>\r\n",
		strings.Repeat("Route: <sip:h;lr>, <sips:i>\r\n", 20),
	} {
		m := mustParse(t, request(lines))
		var want []string
		for v := range m.Values(FieldRoute) {
			n, err := ParseNameAddr(v)
			if err != nil {
				t.Fatal(err)
			}
			u, err := n.URI()
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprintf("%q %+v", n.Addr, *u))
		}
		for _, kind := range []string{"before", "behind"} {
			for _, most := range []int{0, 1, 3, 100} {
				got := m.Routes([]Route{{Text: "first"}}, most)
				if got[0].Text != "first" {
					t.Error("what was there is gone")
				}
				got = got[1:]
				if len(got) != min(most, len(want)) {
					t.Errorf("%q: %d values %s Validate, want %d of %d", lines, len(got), kind, most, len(want))
				}
				for i := range got {
					if s := fmt.Sprintf("%q %+v", got[i].Text, got[i].URI); s != want[i] {
						t.Errorf("%s Validate: %s, want %s", kind, s, want[i])
					}
				}
			}
			if err := m.Validate(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestRoutesMalformed: the list ends before what is no address.
func TestRoutesMalformed(t *testing.T) {
	m := mustParse(t, request("Route: <sip:a>, <sip:>, <sip:b>\r\n"))
	if m.Validate() == nil {
		t.Error("valid")
	}
	if got := m.Routes(nil, 10); len(got) != 1 || got[0].Text != "sip:a" {
		t.Errorf("%+v", got)
	}
}

func TestFromHost(t *testing.T) {
	for from, want := range map[string]string{
		"<sip:a@Example.com:5070>;tag=1": "Example.com", "sips:[2001:db8::1];tag=1": "[2001:db8::1]", "<tel:+1>;tag=1": "", "<urn:x:y>": "",
	} {
		m := mustParse(t, strings.Replace(request(""), "<sip:alice@example.net>;tag=a", from, 1))
		for range 2 { // before and behind Validate
			f, err := m.From()
			if err != nil {
				t.Fatal(err)
			}
			if host, ok := f.Host(); host != want || ok != (want != "") {
				t.Errorf("%s: %q %v", from, host, ok)
			}
			m = mustParse(t, m.Raw())
			if err := m.Validate(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
