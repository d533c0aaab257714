package sip

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// request makes a valid request with more header field lines, each ended by CRLF.
func request(lines string) string {
	return "OPTIONS sip:bob@example.com SIP/2.0\r\n" +
		"Via: SIP/2.0/UDP host.example.net;branch=z9hG4bK1\r\n" +
		"Max-Forwards: 70\r\n" +
		"From: <sip:alice@example.net>;tag=a\r\n" +
		"To: <sip:bob@example.com>\r\n" +
		"Call-ID: call\r\n" +
		"CSeq: 1 OPTIONS\r\n" + lines +
		"Content-Length: 0\r\n\r\n"
}

func mustParse(t testing.TB, raw string) *Message {
	t.Helper()
	m, err := Parse(raw)
	if err != nil {
		t.Fatalf("%v in %q", err, raw)
	}
	return m
}

func TestParseStartLine(t *testing.T) {
	const rest = "\r\nCall-ID: x\r\n\r\n"
	for _, c := range []struct {
		name, line string
		method     string
		target     string
		status     int
		reason     string
		err        bool
		version    bool
	}{
		{name: "request", line: "INVITE sip:a@b SIP/2.0", method: "INVITE", target: "sip:a@b"},
		{name: "unknown method", line: "X.y-z!~ tel:+1 SIP/2.0", method: "X.y-z!~", target: "tel:+1"},
		{name: "version in lower case", line: "INVITE sip:a@b sip/2.0", method: "INVITE", target: "sip:a@b"},
		{name: "other version", line: "INVITE sip:a@b SIP/3.10", method: "INVITE", target: "sip:a@b", err: true, version: true},
		{name: "broken version", line: "INVITE sip:a@b SIP/2.", method: "INVITE", target: "sip:a@b", err: true},
		{name: "no version number", line: "INVITE sip:a@b SIP/", method: "INVITE", target: "sip:a@b", err: true},
		{name: "other protocol", line: "INVITE sip:a@b HTTP/1.1", method: "INVITE", target: "sip:a@b", err: true},
		{name: "no version", line: "INVITE sip:a@b", method: "INVITE", target: "sip:a@b", err: true},
		{name: "spaces around", line: "INVITE  sip:a@b  SIP/2.0", method: "INVITE", target: " sip:a@b ", err: true},
		{name: "space inside", line: "INVITE sip:a@b; lr SIP/2.0", method: "INVITE", target: "sip:a@b; lr", err: true},
		{name: "space behind", line: "INVITE sip:a@b SIP/2.0 ", method: "INVITE", target: "sip:a@b SIP/2.0", err: true},
		{name: "no Request-URI", line: "INVITE  SIP/2.0", method: "INVITE", err: true},
		{name: "tab", line: "INVITE sip:a\t@b SIP/2.0", method: "INVITE", target: "sip:a\t@b", err: true},
		{name: "NUL", line: "INVITE sip:a\x00@b SIP/2.0", method: "INVITE", target: "sip:a\x00@b", err: true},
		{name: "response", line: "SIP/2.0 180 Ringing now", status: 180, reason: "Ringing now"},
		{name: "no reason", line: "SIP/2.0 100 ", status: 100},
		{name: "no reason and no space", line: "SIP/2.0 100", status: 100},
		{name: "reason in UTF-8", line: "SIP/2.0 200 \xd0\xbd", status: 200, reason: "\xd0\xbd"},
		{name: "response of other version", line: "SIP/7.0 200 OK", status: 200, reason: "OK", err: true, version: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Parse(c.line + rest)
			if (err != nil) != c.err || errors.Is(err, ErrVersion) != c.version {
				t.Fatalf("error %v", err)
			}
			if m.raw[:m.methodEnd] != c.method || m.RequestURI() != c.target || m.StatusCode() != c.status || m.Reason() != c.reason {
				t.Errorf("got %q %q %d %q", m.Method(), m.RequestURI(), m.StatusCode(), m.Reason())
			}
			if m.CallID() != "x" {
				t.Error("header section was not read")
			}
		})
	}
	for _, line := range []string{
		"", " ", "INVITE", "IN(VITE sip:a@b SIP/2.0", "\tINVITE sip:a@b SIP/2.0", "SIP/2.0 99 x", "SIP/2.0 1000 x",
		"SIP/2.0 700 x", "SIP/2.0 4294967301 x", "SIP/2.0 2x0 x", "SIP/2.0", "SIP/2.0 ", "SIP/2.0 20",
		"INVITE sip:a@b SIP/2.0\nX: y", "INVITE\rsip:a@b SIP/2.0",
	} {
		if _, err := Parse(line + rest); err == nil {
			t.Errorf("start line %q passed", line)
		}
	}
}

func TestParseHeaderSection(t *testing.T) {
	for _, c := range []struct {
		name, lines string
		err         bool
		torn        bool // X is not in the index
	}{
		{name: "plain", lines: "X: a\r\n"},
		{name: "spaces before the colon", lines: "X \t : a\r\n"},
		{name: "no space", lines: "X:a\r\n"},
		{name: "folded", lines: "X:\r\n a\r\n\tb\r\n"},
		{name: "empty value", lines: "X:\r\n"},
		{name: "tab inside", lines: "X: a\tb\r\n"},
		{name: "quoted control characters", lines: "X: \"a\\\x00\\\x07\\\x7f\"\r\n"},
		{name: "bytes above ASCII", lines: "X: \xff\r\n"},
		{name: "bare LF", lines: "X: a\nY: b\r\n", err: true, torn: true},
		{name: "bare CR", lines: "X: a\rY: b\r\n", err: true, torn: true},
		{name: "CR CR LF", lines: "X: a\r\r\n", err: true, torn: true},
		{name: "LF CR", lines: "X: a\n\rY: b\r\n", err: true, torn: true},
		{name: "NUL", lines: "X: a\x00b\r\n", err: true, torn: true},
		{name: "NUL in quotes but not escaped", lines: "X: \"\x00\"\r\n", err: true, torn: true},
		{name: "NUL behind a backslash without quotes", lines: "X: \\\x00\r\n", err: true, torn: true},
		{name: "NUL behind an escaped backslash", lines: "X: \"\\\\\x00\"\r\n", err: true, torn: true},
		{name: "ESC", lines: "X: \x1b\r\n", err: true},
		{name: "VT", lines: "X: \v\r\n", err: true},
		{name: "DEL", lines: "X: \x7f\r\n", err: true},
		{name: "no name", lines: ": a\r\n", err: true, torn: true},
		{name: "no colon", lines: "X\r\n", err: true, torn: true},
		{name: "name is no token", lines: "X(: a\r\n", err: true, torn: true},
		{name: "fold before the colon", lines: "X\r\n : a\r\n", err: true, torn: true},
		{name: "NUL in the name", lines: "X\x00: a\r\n", err: true, torn: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Parse(request(c.lines))
			if (err != nil) != c.err {
				t.Fatalf("error %v", err)
			}
			if _, ok := m.Header("x"); ok == c.torn {
				t.Errorf("in the index: %v", ok)
			}
			if m.CallID() != "call" || m.Count(FieldContentLength) != 1 {
				t.Error("the other lines are not all there")
			}
		})
	}
	t.Run("first line begins with a space", func(t *testing.T) {
		if _, err := Parse("INVITE sip:a@b SIP/2.0\r\n X: y\r\n\r\n"); err == nil {
			t.Error("passed")
		}
	})
	t.Run("no empty line", func(t *testing.T) {
		m, err := Parse("INVITE sip:a@b SIP/2.0\r\nCall-ID: x\r\n")
		if err == nil || m.CallID() != "x" {
			t.Errorf("error %v", err)
		}
	})
	t.Run("empty lines before", func(t *testing.T) {
		if m := mustParse(t, "\r\n\r\n"+request("")); m.Method() != "OPTIONS" {
			t.Error("not found")
		}
	})
}

func TestBody(t *testing.T) {
	const head = "MESSAGE sip:a@b SIP/2.0\r\n"
	for _, c := range []struct {
		name, raw string
		body      string
		is        error
	}{
		{name: "cut", raw: "l: 5\r\n\r\nhello world", body: "hello"},
		{name: "none given", raw: "X: y\r\n\r\nhello", body: "hello"},
		{name: "leading zeros and spaces", raw: "Content-Length :\t005 \r\n\r\nhello", body: "hello"},
		{name: "folded", raw: "Content-Length:\r\n 5\r\n\r\nhello", body: "hello"},
		{name: "binary", raw: "l: 3\r\n\r\n\x00\r\n", body: "\x00\r\n"},
		{name: "too short", raw: "l: 6\r\n\r\nhello", is: ErrContentLength},
		{name: "repeated", raw: "l: 5\r\nContent-Length: 5\r\n\r\nhello", is: ErrContentLength},
		{name: "negative", raw: "l: -5\r\n\r\nhello", is: ErrContentLength},
		{name: "plus", raw: "l: +5\r\n\r\nhello", is: ErrContentLength},
		{name: "empty", raw: "l:\r\n\r\nhello", is: ErrContentLength},
		{name: "list", raw: "l: 5,5\r\n\r\nhello", is: ErrContentLength},
		{name: "fold inside", raw: "l: 1\r\n 0\r\n\r\nhellohello", is: ErrContentLength},
		{name: "above 64 bits", raw: "l: 18446744073709551621\r\n\r\nhello", is: ErrTooLong},
		{name: "hexadecimal", raw: "l: 0x5\r\n\r\nhello", is: ErrContentLength},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Parse(head + c.raw)
			if !errors.Is(err, c.is) || (err != nil) != (c.is != nil) {
				t.Fatalf("error %v, want %v", err, c.is)
			}
			if err == nil && m.Body() != c.body {
				t.Errorf("body %q", m.Body())
			}
		})
	}
}

func TestFields(t *testing.T) {
	for f := FieldVia; f < numFields; f++ {
		name := f.String()
		for _, n := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if FieldOf(n) != f {
				t.Errorf("FieldOf(%q) is %v", n, FieldOf(n))
			}
		}
	}
	for short, long := range map[string]string{
		"i": "Call-ID", "M": "Contact", "e": "Content-Encoding", "l": "Content-Length", "c": "Content-Type", "f": "From",
		"s": "Subject", "k": "Supported", "t": "To", "V": "Via", "o": "Event", "r": "Refer-To", "x": "Session-Expires",
	} {
		if FieldOf(short).String() != long {
			t.Errorf("FieldOf(%q) is %v", short, FieldOf(short))
		}
	}
	for _, n := range []string{"", "z", "1", "X-Via", "Vi", "C%6Fntact", "\xff"} {
		if FieldOf(n) != FieldOther {
			t.Errorf("FieldOf(%q) is %v", n, FieldOf(n))
		}
	}
}

func TestValues(t *testing.T) {
	m := mustParse(t, request(
		"Contact: \"a, \\\" b\" <sip:a,b@c>;q=1 ,,<sip:d@e>\r\n"+
			"P-X: 1, 2\r\n"+
			"m:\r\n <sip:f@g>\r\n ,\r\n <sip:h@i>\r\n"+
			"Server: A (x, \"y\\) z), B\r\n"+
			"Route:\r\n"))
	for _, c := range []struct {
		f    Field
		want []string
	}{
		{FieldContact, []string{"\"a, \\\" b\" <sip:a,b@c>;q=1", "<sip:d@e>", "<sip:f@g>", "<sip:h@i>"}},
		{FieldOther, []string{"1", "2"}},
		{FieldServer, []string{"A (x, \"y\\) z)", "B"}},
		{FieldRoute, nil},
		{FieldPath, nil},
	} {
		if got := slices.Collect(m.Values(c.f)); !slices.Equal(got, c.want) {
			t.Errorf("%v: %q", c.f, got)
		}
	}
	if v, ok := m.FirstValue(FieldContact); !ok || v != "\"a, \\\" b\" <sip:a,b@c>;q=1" {
		t.Errorf("first value %q", v)
	}
	if v, ok := m.Header("ROUTE"); !ok || v != "" {
		t.Errorf("empty header %q %v", v, ok)
	}
	if m.Count(FieldContact) != 2 {
		t.Errorf("%d lines", m.Count(FieldContact))
	}
	var names []string
	for name := range m.Lines() {
		names = append(names, name)
	}
	if len(names) != 12 || names[7] != "P-X" || names[8] != "m" {
		t.Errorf("lines %q", names)
	}
}

func TestManyLines(t *testing.T) {
	m := mustParse(t, request(strings.Repeat("P-X: y\r\n", 100)+"Route: <sip:a>\r\n"))
	if v, _ := m.Value(FieldRoute); v != "<sip:a>" || m.Count(FieldOther) != 100 || m.Count(FieldContentLength) != 1 {
		t.Error("lines beyond the inline index are lost")
	}
}

func TestCSeq(t *testing.T) {
	for _, c := range []struct {
		value, method string
		seq           uint32
		ok            bool
	}{
		{"1 INVITE", "INVITE", 1, true},
		{"0009\r\n  INVITE", "INVITE", 9, true},
		{"4294967295 X", "X", 4294967295, true},
		{"4294967296 X", "", 0, false},
		{"-1 X", "", 0, false},
		{"1", "", 0, false},
		{"X", "", 0, false},
		{"1 X Y", "", 0, false},
		{"1X", "", 0, false},
		{"", "", 0, false},
	} {
		var s CSeq
		if err := s.Parse(c.value); (err == nil) != c.ok || s.Seq != c.seq || s.Method != c.method {
			t.Errorf("%q: %v %v", c.value, s, err)
		}
	}
}
