package sip

import (
	"net/netip"
	"testing"
	"unsafe"
)

// invite is a request as it passes between two proxies.
const invite = "INVITE sip:bob@biloxi.example.com;transport=tls SIP/2.0\r\n" +
	"Via: SIP/2.0/TLS p1.example.com;branch=z9hG4bKnashds8kj2h3kj4h;alias;rport\r\n" +
	"Via: SIP/2.0/UDP pc33.atlanta.example.com:5066;branch=z9hG4bK776asdhds;received=192.0.2.1\r\n" +
	"Record-Route: <sip:p1.example.com;transport=tls;lr;td=Zm9vYmFyYmF6cXV4>\r\n" +
	"Route: <sip:p2.example.com;transport=tls;lr>, <sip:edge.example.net;lr>\r\n" +
	"Max-Forwards: 69\r\n" +
	"To: Bob <sip:bob@biloxi.example.com>\r\n" +
	"From: \"Alice Smith\" <sip:alice@atlanta.example.com>;tag=1928301774\r\n" +
	"Call-ID: a84b4c76e66710@pc33.atlanta.example.com\r\n" +
	"CSeq: 314159 INVITE\r\n" +
	"Contact: <sip:alice@pc33.atlanta.example.com:5066>\r\n" +
	"Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, MESSAGE, UPDATE\r\n" +
	"Supported: replaces, timer, 100rel\r\n" +
	"User-Agent: Example Softphone 4.2 (linux)\r\n" +
	"Content-Type: application/sdp\r\n" +
	"Content-Length: 142\r\n\r\n" +
	"v=0\r\no=alice 53655765 2353687637 IN IP4 pc33.atlanta.example.com\r\ns=-\r\n" +
	"c=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 49172 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000"

func BenchmarkParse(b *testing.B) {
	buf := []byte(invite)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(string(buf)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseValidate(b *testing.B) {
	buf := []byte(invite)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		m, err := Parse(string(buf))
		if err == nil {
			err = m.Validate()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// forward changes a request as a proxy does.
func forward(dst []byte, m *Message) []byte {
	e := m.Edit()
	e.RemoveFirst(FieldRoute)
	e.Prepend(FieldVia, "SIP/2.0/TLS p2.example.com;branch=z9hG4bK0123456789abcdef;alias")
	e.Prepend(FieldRecordRoute, "<sip:p2.example.com;transport=tls;lr>")
	e.Set(FieldMaxForwards, "68")
	return e.AppendTo(dst)
}

func BenchmarkParseEditWrite(b *testing.B) {
	buf := []byte(invite)
	out := make([]byte, 0, 4096)
	from := netip.MustParseAddr("192.0.2.77")
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		m, err := Parse(string(buf))
		if err != nil {
			b.Fatal(err)
		}
		m.SetReceived(from, 40000)
		out = forward(out[:0], m)
	}
}

func BenchmarkEditWrite(b *testing.B) {
	m, err := Parse(invite)
	if err != nil {
		b.Fatal(err)
	}
	m.SetReceived(netip.MustParseAddr("192.0.2.77"), 40000)
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		out = forward(out[:0], m)
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
