package sip

import (
	"net/netip"
	"testing"
	"unsafe"
)

// benchmark runs do for each message of a call.
func benchmark(b *testing.B, do func(b *testing.B, raw []byte)) {
	for _, c := range call {
		b.Run(c.name, func(b *testing.B) {
			raw := []byte(c.raw)
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				do(b, raw)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	benchmark(b, func(b *testing.B, raw []byte) {
		m, err := Parse(string(raw))
		if err != nil {
			b.Fatal(err)
		}
		m.Release()
	})
}

func BenchmarkParseValidate(b *testing.B) {
	benchmark(b, func(b *testing.B, raw []byte) {
		m, err := Parse(string(raw))
		if err == nil {
			err = m.Validate()
		}
		if err != nil {
			b.Fatal(err)
		}
		m.Release()
	})
}

// forward changes a message as a proxy does.
func forward(dst []byte, m *Message) []byte {
	e := m.Edit()
	if m.IsRequest() {
		e.RemoveFirst(FieldRoute)
		e.Prepend(FieldVia, "SIP/2.0/TLS p2.example.com;branch=", "z9hG4bK0123456789abcdef", ";alias")
		if m.Method() == MethodInvite {
			e.Prepend(FieldRecordRoute, "<", "sip:p2.example.com;transport=tls", ";lr", ">")
		}
		e.SetInt(FieldMaxForwards, 68)
	} else {
		e.RemoveFirst(FieldVia)
		e.ReplaceValue(FieldRecordRoute, 0, "<", "sip:p2.example.com;transport=tls", ";lr", ">")
	}
	return e.AppendTo(dst)
}

func BenchmarkParseEditWrite(b *testing.B) {
	out := make([]byte, 0, 4096)
	from := netip.MustParseAddr("192.0.2.77")
	benchmark(b, func(b *testing.B, raw []byte) {
		m, err := Parse(string(raw))
		if err == nil {
			err = m.Validate()
		}
		if err != nil {
			b.Fatal(err)
		}
		if m.IsRequest() {
			m.SetReceived(from, 40000)
		}
		out = forward(out[:0], m)
		m.Release()
	})
}

func BenchmarkEditWrite(b *testing.B) {
	out := make([]byte, 0, 4096)
	for _, c := range call {
		m, err := Parse(c.raw)
		if err != nil {
			b.Fatal(err)
		}
		if m.IsRequest() {
			m.SetReceived(netip.MustParseAddr("192.0.2.77"), 40000)
		}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				out = forward(out[:0], m)
			}
		})
	}
}

func BenchmarkAppendResponse(b *testing.B) {
	m, err := Parse(invite)
	if err != nil {
		b.Fatal(err)
	}
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		out = AppendResponse(out[:0], m, 180, "", "totag")
	}
}

func TestAllocations(t *testing.T) {
	buf := []byte(invite)
	out := make([]byte, 0, 4096)
	from := netip.MustParseAddr("192.0.2.77")
	var m *Message
	for _, c := range []struct {
		name string
		want float64
		do   func()
	}{
		{"parse and validate: the bytes and the message", 2, func() {
			m, _ = Parse(string(buf))
			if m.Validate() != nil {
				t.Error("not valid")
			}
		}},
		{"the same when it is given back: the bytes", 1, func() {
			if r, err := Parse(string(buf)); err != nil || r.Validate() != nil {
				t.Error("not valid")
			} else {
				r.Release()
			}
		}},
		{"set received", 0, func() { m.SetReceived(from, 40000) }},
		{"edit and write", 0, func() { out = forward(out[:0], m) }},
		{"respond", 0, func() { out = AppendResponse(out[:0], m, 486, "", "totag") }},
		{"values", 0, func() {
			for v := range m.Values(FieldRoute) {
				if v == "" {
					t.Error("empty value")
				}
			}
		}},
	} {
		if got := testing.AllocsPerRun(100, c.do); got > c.want && !poisoning {
			t.Errorf("%s: %v allocations, want %v", c.name, got, c.want)
		}
	}
	if size := unsafe.Sizeof(Message{}); size > 1024 {
		t.Errorf("a Message takes %d bytes", size)
	}
}
