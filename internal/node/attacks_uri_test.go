package node_test

import (
	"fmt"
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

// uriStatuses are what a hostile URI may be answered with.
const uriStatuses = "400 403 404 414 416 430 478 480 482 483 500 502 503 504"

// requestURIs are refused, or go verbatim where a rule leads. None is a reason to connect to this machine, to
// its network or to whomever it names, and none becomes a header field.
func requestURIs() []attack {
	return numbered("uri", "mur", uriStatuses+" fwd", []string{
		"sip:", "sip:@", "sip:@b.example.net", "sip:uas@", "sip:uas@:5061", "sip::@b.example.net", "sip:uas:@b.example.net", "sip:::@b.example.net",
		"sip:uas@b.example.net:", "sip:uas@b.example.net:0", "sip:uas@b.example.net:65536", "sip:uas@b.example.net:-1", "sip:uas@b.example.net:5061:5061",
		"sip:uas@b.example.net:99999999999999999999", "sip:uas@@b.example.net", "sip:uas@b.example.net@victim.example", "sip:uas@[::1", "sip:uas@::1", "sip:uas@[]",
		"sip:uas@[::1]", "sip:uas@[::ffff:127.0.0.1]:22", "sip:uas@[64:ff9b::7f00:1]", "sip:uas@[fe80::1%25lo]", "sip:uas@[::]", "sip:uas@0.0.0.0", "sip:uas@0", "sip:uas@127.1", "sip:uas@2130706433", "sip:uas@0x7f.0.0.1",
		"sip:uas@127.0.0.1:22", "sip:uas@localhost", "sip:uas@localhost.", "sip:uas@host.internal", "sip:uas@169.254.169.254", "sip:uas@10.0.0.1", "sip:uas@192.168.0.1", "sip:uas@172.16.0.1",
		"sip:uas@100.64.0.1", "sip:uas@224.0.0.1", "sip:uas@255.255.255.255", "sip:uas@240.0.0.1", "sips:uas@127.0.0.1", "sip:uas@127.0.0.1;transport=udp",
		"sip:uas@127.0.0.1;transport=tls", "sip:uas@198.18.0.1",
		"sip:uas@b.example.net?Route=%3Csip:evil.example%3E", "sip:uas@b.example.net;lr?X=%0d%0aX-Trusted:%20" + evil, "sip:u%0d%0aX-Trusted:" + evil + "@b.example.net",
		"sip:u%00@b.example.net", "sip:u%@b.example.net", "sip:u%zz@b.example.net", "sip:u%2@b.example.net", "sip:%00", "sip:uas@b%2eexample.net", "sip:uas@b.example.net%00.victim.example",
		"sip:uas@b.example.net;maddr=evil.example", "sip:uas@b.example.net;maddr=127.0.0.1", "sip:uas@b.example.net;transport=sctp", "sip:uas@b.example.net;transport=", "sip:uas@b.example.net;transport=x;transport=y",
		"sip:uas@b.example.net;", "sip:uas@b.example.net;;;", "sip:uas@b.example.net;=", "sip:uas@b.example.net;a=\"b\"", "sip:uas@b.example.net;ttl=256", "sip:uas@b.example.net;method=INVITE",
		"tel:+1", "tel:", "http://b.example.net/", "https://127.0.0.1/", "file:///etc/passwd", "urn:service:sos", "mailto:a@b", "im:a@b.example.net", "sip", "sipp:uas@b.example.net", "SIP:uas@b.example.net",
		"<sip:uas@b.example.net>", "\"a\"<sip:uas@b.example.net>", "*", "/", "b.example.net", "//b.example.net", "uas@b.example.net",
		"sip:uas@B.EXAMPLE.NET", "sip:uas@b.example.net.", "sip:uas@b.example.net..", "sip:uas@.b.example.net", "sip:uas@b..example.net", "sip:uas@*.example.net", "sip:uas@-.example.net",
		"sip:uas@xn--nxasmq6b.example", "sip:uas@b\u00fccher.example", "sip:uas@" + strings.Repeat("a", 64) + ".example", "sip:uas@" + strings.Repeat("a.", 200) + "example",
		"sip:" + strings.Repeat("u", 7000) + "@b.example.net", "sip:uas@b.example.net" + strings.Repeat(";a=b", 1500), "sip:" + strings.Repeat("u", 9000) + "@b.example.net",
		"sip:uas%40victim.example@b.example.net", "sip:victim.example;@b.example.net", "sip:a/b?c&d=e+f$g,h;i@b.example.net", "sip:uas@b.example.net/", "sip:uas@b.example.net#x", "sip:uas@b.example.net\\x", "sip:uas@b.example.net|x",
	}, func(id, text string) string {
		return strings.Replace(request(sip.MethodMessage, toB, id), toB, text, 1)
	}, "\r\nX-Trusted", "\nX-Trusted", "Route: <sip:evil.example>")
}

// routes are Route header fields that lead into this machine, in circles, or nowhere.
func routes() (out []attack) {
	inward := "400 403 404 416 480 482 483 500 503 504 513"
	for i, route := range []string{
		"<sip:127.0.0.1:22;lr>", "<sip:127.0.0.1:22>", "<sip:localhost;lr>", "<sips:localhost;lr>", "<sip:169.254.169.254;lr>", "<sip:[::1];lr>", "<sip:10.0.0.1;lr>",
		"<sip:host.internal;lr>", "<sip:0.0.0.0;lr>", "<sip:255.255.255.255;lr>", "<sip:224.0.0.1;lr>", "<sip:p.example.org;lr>,<sip:127.0.0.1:22;lr>", "<sip:[::ffff:127.0.0.1]:22;lr>",
		"<sip:p.example.org;lr;td=aaaaaaaaaaaaaaaaaaaaaaaaaa>,<sip:127.0.0.1:22;lr>", "<sip:127.0.0.1:22;lr;transport=tcp>", "<sip:127.0.0.1:22;lr;transport=tls>",
		"<tel:+1>", "<http://evil/>", "<>", "<sip:>", "<sip:@;lr>", "sip:127.0.0.1:22;lr", "<sip:127.0.0.1:22;lr", ",,,", "x", "<sip:127.0.0.1:22;lr>;a=\"", "",
		"<sip:x@127.0.0.1:22;maddr=p.example.org;lr>", "<sip:p.example.org;maddr=127.0.0.1;lr>", "<sip:p.example.org:22;lr>",
		repeated(99, func(i int) string { return fmt.Sprintf("<sip:10.0.0.%d;lr>,", i) }) + "<sip:10.0.0.1;lr>",
	} {
		id := fmt.Sprintf("mrt%03d", i)
		verdict := inward
		if route == "" {
			verdict += " fwd"
		}
		out = append(out, hostile("route", id, with(id, "Content-Length", "Route: "+route+"\r\nContent-Length"), verdict))
	}
	// Own routes are taken away, however many; then the request goes on.
	for i, n := range []int{1, 2, 30, 70} {
		id := fmt.Sprintf("mrs%03d", i)
		own := repeated(n, func(int) string { return "Route: <sip:p.example.org;lr>\r\n" })
		out = append(out, hostile("route", id, with(id, "Content-Length", own+"Content-Length"), "must open"))
	}
	id := "mrs100"
	own := repeated(100, func(int) string { return "Route: <sip:p.example.org;lr>\r\n" })
	return append(out, hostile("route", id, with(id, "Content-Length", own+"Content-Length"), "482 483 fwd open"))
}

// credentials are header fields that the proxy has no use for: verbatim, or refused.
func credentials() (out []attack) {
	for i, name := range []string{"Proxy-Authorization", "Authorization", "Proxy-Authenticate", "WWW-Authenticate", "Authentication-Info"} {
		out = append(out, numbered("auth", fmt.Sprintf("mau%d-", i), "400 403 407 513 fwd", []string{
			"", "Digest", "Digest ", "Digest username", "Digest username=", "Digest username=\"", "Digest username=\"a", "Digest username=\"a\\", "Digest username=\"a\\\"",
			"Digest =,=,=", "Digest ,,,", "Digest " + strings.Repeat(",", 5000), "Digest " + strings.Repeat("a=\"b\",", 4000), "Digest realm=\"" + strings.Repeat("r", 25000) + "\"",
			"Digest nc=-1", "Digest nc=99999999999999999999", "Digest qop=auth,qop=auth-int", "Basic !!!!", "Basic " + strings.Repeat("A", 20000), "Negotiate", "Digest username=\"a\"x", "Digest\tusername=a",
			"Digest username=\"\xff\xfe\"", "Digest response=\"" + strings.Repeat("f", 1000) + "\"", "Bearer .", "\"Digest\"",
		}, func(id, text string) string { return with(id, "Content-Length", name+": "+text+"\r\nContent-Length") })...)
	}
	return out
}

// bodies are none of the proxy's business.
func bodies() (out []attack) {
	for i, c := range []struct{ contentType, body string }{
		{"multipart/mixed", "--x\r\n\r\n--x--\r\n"}, {"multipart/mixed;boundary=\"\"", "--\r\n----"}, {"multipart/mixed;boundary=x", ""}, {"multipart/mixed;boundary=x", strings.Repeat("--x\r\n", 5000)},
		{"application/sdp", "v=0\r\n" + strings.Repeat("c=IN IP4 1.2.3.4\r\n", 3000)}, {"application/sdp", "m=\r\na=\r\nm=\r\n"}, {"application/sdp", "\x00\x00"}, {"application/sdp", "v=0\nm=audio -1 RTP/AVP 999999999999\n"},
		{"message/sip", request(sip.MethodMessage, toB, "inner", "X-Trusted: x")}, {"message/sipfrag", "SIP/2.0 200 OK\r\n\r\n"}, {"text/plain", "\r\n\r\n\r\n\r\n"}, {"text/plain", strings.Repeat("\x00\xff", 100000)},
		{"application/pidf+xml", strings.Repeat("<a>", 20000)}, {"application/json", strings.Repeat("[", 100000)}, {"", "body without a type"}, {"text/plain\r\nContent-Encoding: gzip", "\x1f\x8b\x08\x00"},
	} {
		id := fmt.Sprintf("mbd%03d", i)
		raw := with(id, "Content-Length: 0\r\n\r\n", fmt.Sprintf("Content-Type: %s\r\nContent-Length: %d\r\n\r\n%s", c.contentType, len(c.body), c.body))
		out = append(out, hostile("body", id, raw, "must open"))
	}
	return out
}

// otherProtocols are no SIP: the connection is closed, and nothing that comes behind is read.
func otherProtocols() []attack {
	inside := request(sip.MethodMessage, toB, "evil", "Subject: "+evil)
	return numbered("cross-protocol", "mxp", "400 405 505 close", []string{
		"GET / HTTP/1.1\r\nHost: b.example.net\r\n\r\n", fmt.Sprintf("POST / HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\n\r\n", len(inside)), "GET /\r\n", "HTTP/1.1 200 OK\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "CONNECT b.example.net:5061 HTTP/1.1\r\n\r\n", "OPTIONS * HTTP/1.1\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x80\x2e\x01\x00\x02", "PROXY TCP4 10.0.0.1 10.0.0.2 1 5061\r\n", "PROXY UNKNOWN\r\n", "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x11\x00\x0c",
		"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: sip\r\n\r\n", "\x81\xfe\x01\x00", "OPTIONS rtsp://b/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", "DESCRIBE rtsp://b/ RTSP/1.0\r\n\r\n",
		"\x00\x01\x00\x00\x21\x12\xa4\x42\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\x00\x03\x00\x00\x21\x12\xa4\x42", "\x40\x00\x00\x04abcd", "MSRP a786 SEND\r\nTo-Path: msrp://b\r\n\r\n", "MSRP 1 200 OK\r\n",
		"SIP/2.0 SIP/2.0 SIP/2.0\r\n\r\n", strings.Repeat("\x00", 4096), strings.Repeat("\xff", 4096), "\x80\x00\x00\x01" + strings.Repeat("r", 160), "SSH-2.0-x\r\n", "EHLO x\r\n", "*1\r\n$4\r\nPING\r\n",
		"USER x\r\n", "\x00\x1d\x00\x00\x01\x00\x00\x01", "<?xml version='1.0'?><stream:stream>", "{\"a\":1}\r\n", "\x03\x00\x00\x0b\x06\xe0", "BREW /pot HTCPCP/1.0\r\n\r\n", "INVITE sip:x@b.example.net HTTP/1.1\r\n\r\n",
		"INVITE sip:x@b.example.net\r\n\r\n", "SIP/2.0\r\n\r\n", " INVITE sip:x@b.example.net SIP/2.0\r\n\r\n", "\tINVITE x SIP/2.0\r\n", "SIP/2.0/TLS x\r\n\r\n", "\xef\xbb\xbfINVITE sip:b.example.net SIP/2.0\r\n", "I\x00NVITE sip:b.example.net SIP/2.0\r\n",
	}, func(_, text string) string { return text + inside }, evil)
}

// strayResponses belong to nothing that was sent. They go nowhere.
func strayResponses() (out []attack) {
	const head = "CSeq: 1 MESSAGE\r\nFrom: <sip:a@a.example.com>;tag=1\r\nTo: <sip:b@b.example.net>;tag=2\r\nCall-ID: %s\r\nContent-Length: 0\r\n\r\n"
	const ours = "Via: SIP/2.0/TLS p.example.org;branch=z9hG4bKnone\r\n"
	const next = "Via: SIP/2.0/UDP victim.example;branch=z9hG4bKx\r\n"
	for i, text := range []string{
		"SIP/2.0 200 OK\r\n" + ours + next, "SIP/2.0 200 OK\r\n" + next, "SIP/2.0 200 OK\r\n" + next + ours, "SIP/2.0 200 OK\r\n", "SIP/2.0 100 \r\n" + ours, "SIP/2.0 699 x\r\n" + ours + next,
		"SIP/2.0 99 x\r\n" + ours + next, "SIP/2.0 000 x\r\n" + ours, "SIP/2.0 700 x\r\n" + ours + next, "SIP/2.0 1000 x\r\n" + ours, "SIP/2.0 -1 x\r\n" + ours, "SIP/2.0 2OO OK\r\n" + ours, "SIP/2.0 4294967496 x\r\n" + ours + next,
		"SIP/2.0 200\r\n" + ours, "SIP/2.0  200 OK\r\n" + ours, "SIP/3.0 200 OK\r\n" + ours, "sip/2.0 200 OK\r\n" + ours, "SIP/2.0 200 \x1b[2J\r\n" + ours, "SIP/2.0 200 " + strings.Repeat("x", 5000) + "\r\n" + ours,
		"SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS p.example.org;branch=\r\n", "SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS p.example.org\r\n" + next, "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 255.255.255.255\r\n" + next,
		"SIP/2.0 302 Moved\r\nContact: <sip:victim.example>\r\n" + ours + next, "SIP/2.0 401 x\r\nWWW-Authenticate: Digest\r\n" + ours + next, "SIP/2.0 200 OK\r\nCSeq: 99999999999 X\r\n" + ours + next,
	} {
		id := fmt.Sprintf("mrs-%03d", i)
		out = append(out, hostile("response", id, text+fmt.Sprintf(head, id), ""))
	}
	flood := "SIP/2.0 200 OK\r\n" + ours + next + fmt.Sprintf(head, "flood")
	return append(out, hostile("response", "mrs-flood", strings.Repeat(flood, 1000), "open"))
}

// startLines are requests whose first line is not quite one.
func startLines() (out []attack) {
	for i, line := range []string{
		"MESSAGE  " + toB + " SIP/2.0", "MESSAGE " + toB + "  SIP/2.0", "MESSAGE " + toB + " SIP/2.0 ", "MESSAGE\t" + toB + "\tSIP/2.0", "MESSAGE " + toB + " SIP/2.0\t", "MESSAGE " + toB + " sip/2.0",
		"MESSAGE " + toB + " SIP/1.0", "MESSAGE " + toB + " SIP/7.0", "MESSAGE " + toB + " SIP/2.1", "MESSAGE " + toB + " SIP/02.0", "MESSAGE " + toB + " SIP/2.00", "MESSAGE " + toB + " SIP/2", "MESSAGE " + toB + " SIP/",
		"MES(AGE " + toB + " SIP/2.0", "MES;SAGE " + toB + " SIP/2.0", "MESS\xc3\x84GE " + toB + " SIP/2.0", "message " + toB + " SIP/2.0", "MESSAGE " + toB + "\x00 SIP/2.0", "MESSAGE  SIP/2.0", "MESSAGE " + toB + "\v SIP/2.0", "MESSAGE " + toB + ", sip:x@y SIP/2.0",
	} {
		id := fmt.Sprintf("msl%03d", i)
		verdict := "400 501 505"
		if strings.HasSuffix(line, " sip/2.0") || strings.HasPrefix(line, "message") {
			verdict += " fwd" // the version is compared without case: RFC 3261, Section 7.1
		}
		c := hostile("start-line", id, with(id, "MESSAGE "+toB+" SIP/2.0", line), verdict)
		out = append(out, c)
	}
	return out
}
