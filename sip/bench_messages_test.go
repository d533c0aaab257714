package sip

import "strings"

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
	"Content-Length: 142\r\n\r\n" + sdp

const sdp = "v=0\r\no=alice 53655765 2353687637 IN IP4 pc33.atlanta.example.com\r\ns=-\r\n" +
	"c=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 49172 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000"

// dialogLines stand in every response and in what follows in the dialog.
const dialogLines = "From: \"Alice Smith\" <sip:alice@atlanta.example.com>;tag=1928301774\r\n" +
	"To: Bob <sip:bob@biloxi.example.com>;tag=a6c85cf\r\n" +
	"Call-ID: a84b4c76e66710@pc33.atlanta.example.com\r\n"

const twoVias = "Via: SIP/2.0/TLS p1.example.com;branch=z9hG4bKnashds8kj2h3kj4h;alias\r\n" +
	"Via: SIP/2.0/UDP pc33.atlanta.example.com:5066;branch=z9hG4bK776asdhds;received=192.0.2.1\r\n"

const twoRecordRoutes = "Record-Route: <sip:p2.example.com;transport=tls;lr;td=Zm9vYmFyYmF6cXV4>\r\n" +
	"Record-Route: <sip:p1.example.com;transport=tls;lr;td=Zm9vYmFyYmF6cXV4>\r\n"

// ringing, answered, ack and bye are the other messages of a call.
const (
	ringing = "SIP/2.0 180 Ringing\r\n" + twoVias + twoRecordRoutes + dialogLines + "CSeq: 314159 INVITE\r\n" +
		"Contact: <sip:bob@192.0.2.4;transport=tls>\r\nContent-Length: 0\r\n\r\n"
	answered = "SIP/2.0 200 OK\r\n" + twoVias + twoRecordRoutes + dialogLines + "CSeq: 314159 INVITE\r\n" +
		"Contact: <sip:bob@192.0.2.4;transport=tls>\r\nContent-Type: application/sdp\r\nContent-Length: 142\r\n\r\n" + sdp
	ack = "ACK sip:bob@192.0.2.4;transport=tls SIP/2.0\r\n" + twoVias +
		"Route: <sip:p2.example.com;transport=tls;lr;td=Zm9vYmFyYmF6cXV4>\r\nMax-Forwards: 69\r\n" + dialogLines +
		"CSeq: 314159 ACK\r\nContent-Length: 0\r\n\r\n"
	bye = "BYE sip:bob@192.0.2.4;transport=tls SIP/2.0\r\n" + twoVias +
		"Route: <sip:p2.example.com;transport=tls;lr;td=Zm9vYmFyYmF6cXV4>\r\nMax-Forwards: 69\r\n" + dialogLines +
		"CSeq: 314160 BYE\r\nContent-Length: 0\r\n\r\n"
)

// call is what is measured, in the order of a call.
var call = []struct{ name, raw string }{
	{"INVITE", invite}, {"180", ringing}, {"200", answered}, {"ACK", ack}, {"BYE", bye},
	{"200 to BYE", strings.Replace(ringing, "180 Ringing", "200 OK", 1)},
}
