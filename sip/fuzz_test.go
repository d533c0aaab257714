package sip

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func addCorpora(f *testing.F) {
	for _, dir := range []string{"testdata/rfc4475", "testdata/rfc5118", "../framing/testdata/own-attacks"} {
		for _, raw := range readCorpus(f, dir) {
			if len(raw) < 8<<10 {
				f.Add(raw)
				f.Add(strings.ReplaceAll(strings.ReplaceAll(raw, "\r\n", "\n"), "\n", "\r\n"))
			}
		}
	}
	f.Add(invite)
	f.Add(editable)
}

// FuzzParse: no input makes it panic; what was parsed is written as it was; an edited message parses
// to what was asked for; and every message can be answered.
func FuzzParse(f *testing.F) {
	addCorpora(f)
	f.Fuzz(func(t *testing.T, raw string) {
		m, err := Parse(raw)
		if (m == nil) && err == nil {
			t.Fatal("no message and no error")
		}
		if m == nil {
			return
		}
		valid := m.Validate()
		if err == nil && valid == nil {
			checkWritten(t, m, nil)
		}
		if m.IsRequest() {
			checkAnswer(t, m)
		}
		if err != nil {
			return
		}
		m.SetReceived(netip.MustParseAddr("2001:db8::7"), 4321)
		routes := slices.Collect(m.Values(FieldRoute))
		vias := slices.Collect(m.Values(FieldVia))
		e := m.Edit()
		e.Prepend(FieldVia, "SIP/2.0/TLS p;branch=z9hG4bKp")
		e.Set(FieldMaxForwards, "7")
		e.Prepend(FieldRecordRoute, "<sip:p;lr>")
		removed := e.RemoveFirst(FieldRoute)
		e.Append(FieldPath, "<sip:last>")
		if m.IsRequest() {
			e.SetRequestURI("sip:new@host")
		}
		out := string(e.AppendTo(nil))
		// An edit may take a message above a limit.
		if len(raw) > MaxHeader-1000 {
			return
		}
		n, err := Parse(out)
		if err != nil {
			t.Fatalf("%v in %q", err, out)
		}
		if n.Body() != m.Body() || n.RequestURI() != map[bool]string{true: "sip:new@host"}[m.IsRequest()] {
			t.Errorf("body or Request-URI: %q", out)
		}
		if mf, _, err := n.MaxForwards(); err != nil || mf != 7 && m.Count(FieldMaxForwards) < 2 {
			t.Errorf("Max-Forwards %d %v", mf, err)
		}
		if rr, _ := n.FirstValue(FieldRecordRoute); rr != "<sip:p;lr>" {
			t.Errorf("Record-Route %q", rr)
		}
		if removed != (len(routes) > 0) {
			t.Errorf("removed %v of %d", removed, len(routes))
		}
		if removed {
			routes = routes[1:]
		}
		if got := slices.Collect(n.Values(FieldRoute)); !slices.Equal(got, routes) {
			t.Errorf("routes %q, want %q", got, routes)
		}
		got := slices.Collect(n.Values(FieldVia))
		if len(got) != len(vias)+1 || got[0] != "SIP/2.0/TLS p;branch=z9hG4bKp" {
			t.Fatalf("vias %q", got)
		}
		for i := 1; i < len(vias); i++ {
			if got[i+1] != vias[i] {
				t.Errorf("via %q, want %q", got[i+1], vias[i])
			}
		}
		if v, err := m.TopVia(); err == nil {
			w, err := ParseVia(got[1])
			if err != nil {
				t.Fatalf("%v in %q", err, got[1])
			}
			if w.Host != v.Host || w.Branch != v.Branch || w.HasRPort != v.HasRPort || w.HasRPort && w.RPort != 4321 ||
				v.needsReceived() && w.Received != "2001:db8::7" || !v.needsReceived() && w.Received != "" {
				t.Errorf("via %q became %q", vias[0], got[1])
			}
		}
	})
}

// FuzzRemove: values that are taken away from either end leave the others as they were.
func FuzzRemove(f *testing.F) {
	f.Add("Route: <sip:a>, <sip:b>\r\nRoute: <sip:c>\r\n", "flfl")
	f.Add("Route:\r\n <sip:a>\r\n , <sip:b> ,,\r\nroute:<sip:c>\r\n", "llr")
	f.Fuzz(func(t *testing.T, lines, script string) {
		m, err := Parse(request(lines))
		if err != nil || len(script) > 50 {
			return
		}
		want := slices.Collect(m.Values(FieldRoute))
		e := m.Edit()
		for i := range script {
			var removed bool
			had := len(want) > 0
			if script[i]&1 == 0 {
				if removed = e.RemoveFirst(FieldRoute); removed && had {
					want = want[1:]
				}
			} else {
				if removed = e.RemoveLast(FieldRoute); removed && had {
					want = want[:len(want)-1]
				}
			}
			if removed != had {
				t.Fatalf("removed %v, had %v", removed, had)
			}
		}
		n, err := Parse(string(e.AppendTo(nil)))
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Collect(n.Values(FieldRoute)); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if n.CallID() != m.CallID() || n.Count(FieldOther) != m.Count(FieldOther) {
			t.Error("lost another line")
		}
	})
}

// FuzzParseURI: a URI that was parsed is written so that it parses to the same, and equals itself.
func FuzzParseURI(f *testing.F) {
	for _, s := range []string{
		"sip:bob@biloxi.com", "sips:a:b@[2001:db8::1]:5061;transport=tls;lr?a=b&c=", "tel:+1", "sip:%61%00@h;%6C%72", "soap.beep://192.0.2.103:3002",
		"sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com", "sip:a:@h",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURI(s)
		if err != nil {
			return
		}
		out := u.String()
		v, err := ParseURI(out)
		if err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		if *u != *v || !u.Equal(v) || !v.Equal(u) {
			t.Errorf("%q became %q", s, out)
		}
		for _, c := range []byte(out) {
			if c <= ' ' || c == 0x7f || c == '<' || c == '>' || c == '"' {
				t.Errorf("%q holds %q", out, c)
			}
		}
		u.IP()
		u.Transport()
		for w := (uriParams{s: u.Params}); w.next(); {
			value, ok := u.Param(w.name)
			if slow, found := u.escapedParam(w.name); value != slow || ok != found || !ok {
				t.Errorf("%q of %q: %q %v, want %q", w.name, s, value, ok, slow)
			}
			for _, name := range []string{w.name + "x", w.name[:len(w.name)-1], w.value} {
				value, ok := u.Param(name)
				if slow, found := u.escapedParam(name); name != "" && (value != slow || ok != found) {
					t.Errorf("%q of %q: %q %v, want %q %v", name, s, value, ok, slow, found)
				}
			}
		}
	})
}

// FuzzParseVia: a Via that was parsed is written with received so that it parses to the same.
func FuzzParseVia(f *testing.F) {
	for _, s := range []string{
		"SIP/2.0/UDP h", "SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw", "SIP/2.0/TLS [::1]:5061;rport;alias;received=[::1];branch=z9hG4bK",
		"SIP/2.0/UDP h ; rport = 22 ; x = \"a\\\";rport\" ; received=1.2.3.4",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVia(s)
		if err != nil {
			return
		}
		v.Source = netip.MustParseAddrPort("192.0.2.200:77")
		out := string(appendTopVia(nil, s, v))
		w, err := ParseVia(out)
		if err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		if w.Host != v.Host || w.Port != v.Port || w.Transport != v.Transport || w.Branch != v.Branch || w.Alias != v.Alias ||
			w.HasRPort != v.HasRPort || w.HasRPort && w.RPort != 77 || w.MAddr != v.MAddr {
			t.Errorf("%q became %q", s, out)
		}
		if v.needsReceived() != (w.Received == "192.0.2.200") || !v.needsReceived() && w.Received != "" {
			t.Errorf("received %q in %q", w.Received, out)
		}
	})
}

// FuzzNameAddr: the parts of a value put together again parse to the same parts.
func FuzzNameAddr(f *testing.F) {
	for _, s := range []string{
		"<sip:a@b>", "sip:a@b;tag=x", "\"a \\\" <b>\" <sip:a@b> ; tag = x", "A. B<sip:a>", "*", "<sip:a>;x=\"y;tag=z\"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseNameAddr(s)
		if err != nil {
			return
		}
		out := n.Display + " <" + n.Addr + ">" + n.Params
		if !n.Bracketed {
			out = n.Addr + n.Params
		}
		m, err := ParseNameAddr(out)
		if err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		if *m != *n || m.Tag() != n.Tag() {
			t.Errorf("%q became %q", s, out)
		}
	})
}
