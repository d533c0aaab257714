package sip

import (
	"errors"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	long := strings.Repeat("x", MaxToken+1)
	valid := request("")
	for _, c := range []struct {
		name, old, new string
		field          string // the part that is refused; empty: it passes
		tooLong        bool
	}{
		{name: "as it is"},
		{name: "unknown scheme", old: "sip:bob@example.com SIP", new: "x-any:thing SIP"},
		{name: "no scheme", old: "sip:bob@example.com SIP", new: "bob SIP", field: "Request-URI"},
		{name: "headers in the Request-URI", old: "sip:bob@example.com SIP", new: "sip:bob@example.com?Route=x SIP", field: "Request-URI"},
		{name: "brackets around the Request-URI", old: "sip:bob@example.com SIP", new: "<sip:bob@example.com> SIP", field: "Request-URI"},
		{name: "no Via", old: "Via: SIP/2.0/UDP host.example.net;branch=z9hG4bK1\r\n", new: "", field: "Via"},
		{name: "empty Via", old: "Via: SIP/2.0/UDP host.example.net;branch=z9hG4bK1", new: "Via:", field: "Via"},
		{name: "no branch", old: ";branch=z9hG4bK1", new: ""},
		{name: "only the cookie", old: "z9hG4bK1", new: "z9hG4bK", field: "Via"},
		{name: "long branch", old: "z9hG4bK1", new: "z9hG4bK" + long, field: "Via", tooLong: true},
		{name: "no From", old: "From: <sip:alice@example.net>;tag=a\r\n", new: "", field: "From"},
		{name: "no From tag", old: ";tag=a", new: ""},
		{name: "empty From tag", old: ";tag=a", new: ";tag=", field: "From"},
		{name: "two From tags", old: ";tag=a", new: ";tag=a;x=y;TAG=b", field: "From"},
		{name: "two To tags", old: "To: <sip:bob@example.com>", new: "To: <sip:bob@example.com>;tag=a;tag=a", field: "To"},
		{name: "a tag in quotes", old: ";tag=a", new: ";tag=a;x=\";tag=b\""},
		{name: "quoted From tag", old: ";tag=a", new: ";tag=\"a\"", field: "From"},
		{name: "long From tag", old: ";tag=a", new: ";tag=" + long, field: "From", tooLong: true},
		{name: "URI in From", old: "<sip:alice@example.net>", new: "<alice>", field: "From"},
		{name: "other scheme in From", old: "<sip:alice@example.net>", new: "<isbn:2983792873>"},
		{name: "no To", old: "To: <sip:bob@example.com>\r\n", new: "", field: "To"},
		{name: "list in To", old: "To: <sip:bob@example.com>", new: "To: <sip:bob@example.com>, <sip:x>", field: "To"},
		{name: "quotes in To", old: "To: <sip", new: "To: \"B <sip", field: "To"},
		{name: "no Call-ID", old: "Call-ID: call\r\n", new: "", field: "Call-ID"},
		{name: "empty Call-ID", old: "Call-ID: call", new: "Call-ID: ", field: "Call-ID"},
		{name: "Call-ID with host", old: "Call-ID: call", new: "Call-ID: a@b"},
		{name: "two hosts in Call-ID", old: "Call-ID: call", new: "Call-ID: a@b@c", field: "Call-ID"},
		{name: "space in Call-ID", old: "Call-ID: call", new: "Call-ID: a b", field: "Call-ID"},
		{name: "comma in Call-ID", old: "Call-ID: call", new: "Call-ID: a,b", field: "Call-ID"},
		{name: "long Call-ID", old: "Call-ID: call", new: "Call-ID: " + long, field: "Call-ID", tooLong: true},
		{name: "no CSeq", old: "CSeq: 1 OPTIONS\r\n", new: "", field: "CSeq"},
		{name: "other method in CSeq", old: "CSeq: 1 OPTIONS", new: "CSeq: 1 options", field: "CSeq"},
		{name: "CSeq beyond 32 bits", old: "CSeq: 1 OPTIONS", new: "CSeq: 4294967296 OPTIONS", field: "CSeq"},
		{name: "no Max-Forwards", old: "Max-Forwards: 70\r\n", new: ""},
		{name: "Max-Forwards 0", old: "Max-Forwards: 70", new: "Max-Forwards: 0"},
		{name: "Max-Forwards 256", old: "Max-Forwards: 70", new: "Max-Forwards: 256", field: "Max-Forwards"},
		{name: "empty Max-Forwards", old: "Max-Forwards: 70", new: "Max-Forwards:", field: "Max-Forwards"},
		{name: "compact and long form", old: "Call-ID: call", new: "Call-ID: call\r\ni: call", field: "Call-ID"},
		{name: "two Max-Forwards", old: "Max-Forwards: 70", new: "Max-Forwards: 70\r\nMax-Forwards: 70", field: "Max-Forwards"},
		{name: "Route", old: "CSeq", new: "Route: <sip:a;lr>, <sip:b>\r\nCSeq"},
		{name: "Route without brackets", old: "CSeq", new: "Route: sip:a\r\nCSeq", field: "Route"},
		{name: "empty Route value", old: "CSeq", new: "Route: <sip:a>,,<sip:b>\r\nCSeq", field: "Route"},
		{name: "Route ends in a comma", old: "CSeq", new: "Route: <sip:a>,\r\nCSeq", field: "Route"},
		{name: "Contact star", old: "CSeq", new: "Contact: *\r\nCSeq"},
		{name: "Contact", old: "CSeq", new: "m: \"A\" <sip:a>;q=1, sip:b;expires=5\r\nCSeq"},
		{name: "Contact without URI", old: "CSeq", new: "m: nobody\r\nCSeq", field: "Contact"},
		{name: "strange Date, Authorization, Warning", old: "CSeq", new: "Date: never\r\nAuthorization: =,=\r\nWarning: ;;,\r\nCSeq"},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := strings.Replace(valid, c.old, c.new, 1)
			m := mustParse(t, raw)
			err := m.Validate()
			var syntax *SyntaxError
			if errors.As(err, &syntax) != (c.field != "") || err != nil && syntax.Field != c.field {
				t.Fatalf("error %v, want one about %q", err, c.field)
			}
			if errors.Is(err, ErrTooLong) != c.tooLong {
				t.Errorf("error %v", err)
			}
			checkAnswer(t, m)
		})
	}
}

func TestValidateResponse(t *testing.T) {
	const ok = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContact: odd one\r\nl: 0\r\n\r\n"
	m := mustParse(t, ok)
	if err := m.Validate(); err != nil || m.Method() != "INVITE" {
		t.Errorf("%v %s", err, m.Method())
	}
	if err := mustParse(t, strings.Replace(ok, "CSeq: 1 INVITE\r\n", "", 1)).Validate(); err == nil {
		t.Error("passed without CSeq")
	}
}

// TestValidateParties: nothing on the way depends on the URIs in From and To of a response, whose answerer copied them.
func TestValidateParties(t *testing.T) {
	for _, c := range []struct {
		start, from string
		valid       bool
	}{
		{"INFO sip:b@example.com SIP/2.0", "<sip:a@[>;tag=1", false},
		{"SIP/2.0 200 OK", "<sip:a@[>;tag=1", true},
		{"SIP/2.0 200 OK", "<sip:a@example.com>;tag=1;tag=2", false},
		{"SIP/2.0 200 OK", "<sip:a@example.com;tag=1", false},
		{"SIP/2.0 200 OK", "", false},
	} {
		m, err := ParseBytes([]byte(c.start + "\r\nVia: SIP/2.0/UDP a.example.com;branch=z9hG4bKx\r\nFrom: " + c.from +
			"\r\nTo: <sip:b@example.com>\r\nCall-ID: x\r\nCSeq: 1 INFO\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"))
		if err == nil {
			err = m.Validate()
		}
		if (err == nil) != c.valid {
			t.Errorf("%s, From: %s: %v", c.start, c.from, err)
		}
	}
}
