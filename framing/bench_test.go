package framing

import (
	"bytes"
	"testing"
)

var invite = []byte("INVITE sip:bob@biloxi.example.com;transport=tls SIP/2.0\r\n" +
	"Via: SIP/2.0/TLS p1.example.com;branch=z9hG4bKnashds8kj2h3kj4h;alias;rport\r\n" +
	"Via: SIP/2.0/UDP pc33.atlanta.example.com:5066;branch=z9hG4bK776asdhds;received=192.0.2.1\r\n" +
	"Record-Route: <sip:p1.example.com;transport=tls;lr>\r\n" +
	"Max-Forwards: 69\r\n" +
	"To: Bob <sip:bob@biloxi.example.com>\r\n" +
	"From: \"Alice Smith\" <sip:alice@atlanta.example.com>;tag=1928301774\r\n" +
	"Call-ID: a84b4c76e66710@pc33.atlanta.example.com\r\n" +
	"CSeq: 314159 INVITE\r\n" +
	"Contact: <sip:alice@pc33.atlanta.example.com:5066>\r\n" +
	"Content-Type: application/sdp\r\n" +
	"Content-Length: 142\r\n\r\n" + string(bytes.Repeat([]byte("b"), 142)))

func BenchmarkDecoder(b *testing.B) {
	stream := bytes.Repeat(invite, 10)
	var d Decoder
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		for buf := stream; len(buf) > 0; {
			_, n, err := d.Next(buf)
			if err != nil || n == 0 {
				b.Fatal(n, err)
			}
			buf = buf[n:]
		}
	}
}

func BenchmarkDecoderBytewise(b *testing.B) {
	var d Decoder
	b.SetBytes(int64(len(invite)))
	b.ReportAllocs()
	for b.Loop() {
		for i := 1; i <= len(invite); i++ {
			if _, _, err := d.Next(invite[:i]); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func TestNoAllocations(t *testing.T) {
	var d Decoder
	if n := testing.AllocsPerRun(100, func() { d.Next(invite) }); n > 0 {
		t.Errorf("%v allocations a message", n)
	}
}
