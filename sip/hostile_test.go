package sip

import (
	"errors"
	"strings"
	"testing"
)

// hostile makes inputs that are costly for parsers which look at bytes more than once. Each is made
// for a size of about n bytes.
var hostile = []struct {
	name string
	make func(n int) string
}{
	{"many Vias", func(n int) string {
		return request(strings.Repeat("Via: SIP/2.0/UDP host.example.org;branch=z9hG4bK1\r\n", n/51))
	}},
	{"Vias in one line", func(n int) string {
		return request("Via: a" + strings.Repeat(",SIP/2.0/UDP host.example.org;branch=z9hG4bK1", n/45) + "\r\n")
	}},
	{"many lines", func(n int) string { return request(strings.Repeat("x:\r\n", n/4)) }},
	{"folds", func(n int) string { return request("X-A: a" + strings.Repeat("\r\n ", n/3) + "\r\n") }},
	{"folds in To", func(n int) string {
		return strings.Replace(request(""), "To: ", "To: "+strings.Repeat("\r\n ", n/3), 1)
	}},
	{"quoted pairs", func(n int) string { return request("X-A: \"" + strings.Repeat("\\\x01", n/2) + "\"\r\n") }},
	{"control characters", func(n int) string { return request("X-A: \"" + strings.Repeat("\x01", n) + "\"\r\n") }},
	{"open brackets", func(n int) string { return request("Route: " + strings.Repeat("<", n) + "\r\n") }},
	{"open quotes", func(n int) string { return request("Route: " + strings.Repeat("\"<,", n/3) + "\r\n") }},
	{"commas", func(n int) string { return request("Contact: " + strings.Repeat(",", n) + "\r\n") }},
	{"many Routes", func(n int) string { return request("Route: " + strings.Repeat("<sip:a>,", n/8) + "<sip:a>\r\n") }},
	{"comments", func(n int) string { return request("Server: " + strings.Repeat("(", n) + "\r\n") }},
	{"parameters", func(n int) string {
		return strings.Replace(request(""), "tag=a", "tag=a"+strings.Repeat(";x", n/2), 1)
	}},
	{"URI parameters", func(n int) string {
		return strings.Replace(request(""), "<sip:bob@example.com>", "<sip:bob@example.com"+strings.Repeat(";x", n/2)+">", 1)
	}},
}

// work does everything with a message that an element on the way would.
func work(raw string) error {
	m, err := Parse(raw)
	if err == nil {
		err = m.Validate()
	}
	if m == nil {
		return err
	}
	for f := FieldVia; f < numFields; f++ {
		for range m.Values(f) {
		}
	}
	e := m.Edit()
	e.RemoveFirst(FieldRoute)
	e.RemoveLast(FieldRoute)
	e.Prepend(FieldVia, "SIP/2.0/UDP p")
	e.RemoveAll("X-Unknown")
	e.AppendTo(nil)
	AppendResponse(nil, m, 400, "", "x")
	return err
}

func TestHostileIsBounded(t *testing.T) {
	for _, h := range hostile {
		if err := work(h.make(2 << 20)); !errors.Is(err, ErrTooLong) && !strings.Contains(err.Error(), "control") {
			t.Errorf("%s: %v", h.name, err)
		}
	}
}

func TestLimits(t *testing.T) {
	uri := func(n int) string {
		return "OPTIONS sip:" + strings.Repeat("a", n-len("OPTIONS sip: SIP/2.0")) + " SIP/2.0"
	}
	for _, c := range []struct {
		name, raw string
		tooLong   bool
	}{
		{"start line at the limit", uri(MaxStartLine) + "\r\nCall-ID: x\r\n\r\n", false},
		{"start line above the limit", uri(MaxStartLine+1) + "\r\nCall-ID: x\r\n\r\n", true},
		{"header section at the limit", "OPTIONS sip:a SIP/2.0\r\nCall-ID: x\r\nX-A: " + strings.Repeat("a", MaxHeader-19) + "\r\n\r\n", false},
		{"header section above the limit", "OPTIONS sip:a SIP/2.0\r\nCall-ID: x\r\nX-A: " + strings.Repeat("a", MaxHeader-18) + "\r\n\r\n", true},
		{"lines at the limit", "OPTIONS sip:a SIP/2.0\r\nCall-ID: x\r\n" + strings.Repeat("Z: a\r\n", MaxLines-1) + "\r\n", false},
		{"lines above the limit", "OPTIONS sip:a SIP/2.0\r\nCall-ID: x\r\n" + strings.Repeat("Z: a\r\n", MaxLines) + "\r\n", true},
		{"body at the limit", "OPTIONS sip:a SIP/2.0\r\nCall-ID: x\r\n\r\n" + strings.Repeat("a", MaxBody), false},
		{"body above the limit", "OPTIONS sip:a SIP/2.0\r\nCall-ID: x\r\n\r\n" + strings.Repeat("a", MaxBody+1), true},
	} {
		m, err := Parse(c.raw)
		if errors.Is(err, ErrTooLong) != c.tooLong || (err != nil) != c.tooLong {
			t.Errorf("%s: %v", c.name, err)
		}
		// Even then it can be answered.
		if m == nil || m.CallID() != "x" {
			t.Errorf("%s: nothing was understood", c.name)
		}
	}
}

func BenchmarkHostile(b *testing.B) {
	for _, h := range hostile {
		raw := h.make(30000)
		b.Run(h.name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				work(raw)
			}
		})
	}
}
