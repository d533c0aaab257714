package node_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// hostile makes an attack of one stream. verdict is in words: statuses that are allowed, "fwd" when the
// request with the id may come out, "must" when it has to, "close" and "open" for the connection.
func hostile(class, id, stream, verdict string, never ...string) attack {
	c := attack{ID: id, Class: class, Feed: "all", stream: stream}
	c.Expect.Mode, c.Expect.Conn, c.Expect.Never = "subset", "either", never
	for word := range strings.FieldsSeq(verdict) {
		var status int
		switch word {
		case "fwd":
			c.Expect.Fwd = append(c.Expect.Fwd, id)
		case "must":
			c.Expect.Fwd, c.Expect.Mode = append(c.Expect.Fwd, id), "exact"
		case "close", "open":
			c.Expect.Conn = word
		default:
			if _, err := fmt.Sscan(word, &status); err != nil {
				c.Expect.Fwd = append(c.Expect.Fwd, word) // a second request in the stream
				continue
			}
			c.Expect.Status = append(c.Expect.Status, status)
		}
	}
	return c
}

// with puts another text into the request of a case, in place of one that is there.
func with(id, old, new string) string {
	raw := request(sip.MethodMessage, toB, id)
	if !strings.Contains(raw, old) {
		panic("no " + old + " in " + raw)
	}
	return strings.Replace(raw, old, new, 1)
}

// numbered makes an attack of each text.
func numbered(class, prefix, verdict string, texts []string, stream func(id, text string) string, never ...string) (out []attack) {
	for i, text := range texts {
		id := fmt.Sprintf("%s%03d", prefix, i)
		out = append(out, hostile(class, id, stream(id, text), verdict, never...))
	}
	return out
}

const evil = "EVIL-SMUGGLED"

// contentLengths are streams whose boundaries are in doubt: nothing behind the header section may come out.
func contentLengths() (out []attack) {
	second := request(sip.MethodMessage, toB, "evil", "Subject: "+evil)
	stream := func(id, lines string) string {
		return with(id, "Content-Length: 0\r\n", lines+"\r\n") + "0123456789" + second
	}
	out = numbered("content-length", "mcl", "400 413 513 close", []string{
		"Content-Length: -1", "Content-Length: -10", "Content-Length: +10", "Content-Length: 0x0a", "Content-Length: 1e1",
		"Content-Length: 10 10", "Content-Length: 10,0", "Content-Length: \"10\"", "Content-Length: <10>", "Content-Length: ten",
		"Content-Length: \xd9\xa1\xd9\xa0", "Content-Length: 10\x00", "Content-Length: \x0010", "Content-Length: 10\f", "Content-Length: 10;a=b",
		"Content-Length: 2147483648", "Content-Length: 4294967306", "Content-Length: 9223372036854775807",
		"Content-Length: 18446744073709551626", "Content-Length: " + strings.Repeat("9", 400), "Content-Length: 2000000000",
		"Content-Length: 262145", "Content-Length:", "Content-Length: \r\n ", "Content-Length: 1\r\n 0",
		"Content-Length: 10\r\nContent-Length: 10", "Content-Length: 10\r\nContent-Length: 0", "Content-Length: 0\r\nl: 10",
		"l: 10\r\nl: 0", "l: 10\r\nL: 10", "Content-Length : 10\r\ncontent-length\t: 0", "Content-Length: 10\r\nX: y\r\nl:",
		"X-Content-Length: 10", "Content-Lengt: 10", "Content-Length 10", "Content_Length: 10", "Content-Length\x00: 10",
		"X: y\r\n Content-Length: 10",
	}, stream, evil)
	// Legal spellings: the body ends where they say, and what follows is a request of its own.
	for i, line := range []string{"l: 10", "L:10", "content-length\t : 010", "Content-Length:\r\n 10", "CONTENT-LENGTH: 10 \t", "Content-Length: 0000000000000000000010"} {
		id := fmt.Sprintf("mcm%03d", i)
		out = append(out, hostile("content-length", id, stream(id, line), "must evil open"))
	}
	return out
}

// lineEnds are lines that some hop would take for two, or two for one.
func lineEnds() []attack {
	return numbered("eol", "meo", "400", []string{
		"X-A: 1\nX-Trusted: " + evil, "X-A: 1\rX-Trusted: " + evil, "X-A: 1\r\r\nX-Trusted: " + evil, "X-A: 1\n\rX-Trusted: " + evil,
		"X-A: 1\n\nX-Trusted: " + evil, "X-A: 1\r\n\nX-Trusted: " + evil, "X-A: 1\x00\r\nX-B: " + evil, "X-A: 1\x0b2", "X-A: 1\x0c2",
		"X-A: \x1b[2J", "X-A: \x7f", "X-A: \x01", "X-A: a\bb", "Subject: \x00",
	}, func(id, text string) string { return with(id, "Content-Length", text+"\r\nContent-Length") },
		"\nX-Trusted", "\rX-Trusted")
}

// headerNames try to carry a header field past the rule that takes it out.
func headerNames() (out []attack) {
	line := func(id, text string) string { return with(id, "Content-Length", text+"\r\nContent-Length") }
	out = numbered("smuggle", "mhn", "400 fwd", []string{
		"X-Trusted: " + evil, "x-trusted: " + evil, "X-TRUSTED: " + evil, "X-Trusted : " + evil, "X-Trusted\t: " + evil,
		"X-Trusted \t : " + evil, "X-Trusted:" + evil, "X-Trusted:\t" + evil, "X-Trusted:\r\n " + evil, "X-Trusted: \r\n\t" + evil,
		"X-Trusted: a\r\n b\r\n " + evil, "X-Trusted: a\r\nx-trusted: " + evil, "X-Trusted:\r\nX-Trusted: " + evil,
		"X-Trusted\r\n : " + evil, "X-Trusted\v: " + evil, "X-Trusted\f: " + evil, "X-Trusted\x00: " + evil, "\x00X-Trusted: " + evil,
		"X-Trusted\u00a0: " + evil, "\xef\xbb\xbfX-Trusted: " + evil, "\"X-Trusted\": " + evil, "X-Trusted\r: " + evil, "X-Trusted\n: " + evil,
		"X-Trusted;: " + evil, "X-Trusted, : " + evil, "X-Trusted=: " + evil, "(X-Trusted): " + evil, "X-Tru\tsted: " + evil,
		": " + evil, " : " + evil, ":" + evil, evil, "X-Trusted", "\x7fX-Trusted: " + evil, "X-Trusted:: " + evil,
	}, line, evil)
	// In front of the first header field there is nothing to fold.
	out = append(out, numbered("smuggle", "mhf", "400 fwd", []string{" X-Trusted: " + evil, "\tX-Trusted: " + evil, ": " + evil, "\r: " + evil},
		func(id, text string) string { return with(id, "Via", text+"\r\nVia") }, evil)...)
	// A fold of another value is part of that.
	for i, text := range []string{"Subject: a\r\n X-Trusted: b", "Subject: a\r\n\tX-Trusted: b"} {
		id := fmt.Sprintf("mho%03d", i)
		out = append(out, hostile("smuggle", id, line(id, text), "400 fwd", "\r\nX-Trusted"))
	}
	for i, name := range untrusted {
		for j, spelling := range []string{name, strings.ToUpper(name), name + " ", name + "\t"} {
			id := fmt.Sprintf("mht%03d%d", i, j)
			out = append(out, hostile("trust-header", id, line(id, spelling+": <sip:ceo@victim.example>\r\n ;more\r\n"+spelling+": "+evil), "must", "victim.example", evil))
		}
	}
	return out
}

// singletons are header fields that must stand once.
func singletons() []attack {
	return numbered("singleton", "msg", "400", []string{
		"From: <sip:x@a.example.com>;tag=2", "f: <sip:x@a.example.com>;tag=2", "To: <sip:x@b.example.net>", "t: <sip:x@b.example.net>",
		"Call-ID: other", "i: other", "I : other", "CSeq: 2 MESSAGE", "cseq: 1 MESSAGE", "Max-Forwards: 70", "Max-Forwards: 0", "Max-forwards\t: 71",
		"FROM: <sip:x@a.example.com>;tag=2", "f:", "Call-ID:",
	}, func(id, text string) string { return with(id, "Content-Length", text+"\r\nContent-Length") })
}

// numbers are numeric fields that are none, or too large.
func numbers() (out []attack) {
	out = numbered("numeric", "mcs", "400 513", []string{
		"4294967296 MESSAGE", "99999999999999999999 MESSAGE", "-1 MESSAGE", "+1 MESSAGE", "0x1 MESSAGE", "1e1 MESSAGE", "1.0 MESSAGE",
		"1 INVITE", "1 message", "1 MESSAGE MESSAGE", "1 MESSAGE;a=b", "MESSAGE", "1", "1MESSAGE", "MESSAGE 1", "", "1 \"MESSAGE\"", "1,1 MESSAGE",
		strings.Repeat("1", 3000) + " MESSAGE", "1 " + strings.Repeat("M", 3000), "\u0661 MESSAGE", "1\u00a0MESSAGE",
	}, func(id, text string) string { return with(id, "CSeq: 1 MESSAGE", "CSeq: "+text) })
	out = append(out, numbered("numeric", "mmf", "400 483", []string{
		"0", "00", "-1", "256", "4294967296", "18446744073709551617", "abc", "1e2", "", "+1", "70 70", "70,70", "0x46", "7.0", "\"70\"", "70;x", strings.Repeat("7", 3000),
	}, func(id, text string) string { return with(id, "Max-Forwards: 70", "Max-Forwards: "+text) })...)
	for i, text := range []string{"070", "70 ", "1", "255"} {
		id := fmt.Sprintf("mmg%03d", i)
		out = append(out, hostile("numeric", id, with(id, "Max-Forwards: 70", "Max-Forwards: "+text), "must open"))
	}
	// What a proxy does not need it may leave alone: RFC 3261, Section 16.3 item 1.
	return append(out, numbered("numeric", "mex", "400 440 fwd", []string{
		"Expires: 4294967296", "Expires: -1", "Retry-After: 99999999999999999999", "Content-Type: a/b\r\nMIME-Version: 99999999999999999999",
		"Max-Breadth: 4294967296", "Max-Breadth: -1", "Max-Breadth: 0", "Timestamp: 1e999", "Date: 99", "Min-SE: -1", "Session-Expires: 18446744073709551617",
		"Contact: <sip:a@b>;q=9.9999;expires=99999999999999999999", "Warning: 99999 a \"b", "Record-Route: <sip:::::>",
	}, func(id, text string) string { return with(id, "Content-Length", text+"\r\nContent-Length") })...)
}

// vias are sent-by and parameters of all kinds. Whatever they say, answers stay on the connection, and there
// is no row for a name that was not proven.
func vias() (out []attack) {
	out = numbered("via", "mvi", "400 fwd", []string{
		"SIP/2.0/TLS ", "SIP/2.0/TLS :", "SIP/2.0/TLS :5061", "SIP/2.0/TLS []", "SIP/2.0/TLS [::1", "SIP/2.0/TLS ::1", "SIP/2.0/TLS [::1]x",
		"SIP/2.0/TLS ]", "SIP/2.0/UDP :]", "SIP/2.0/TLS a.example.com:", "SIP/2.0/TLS a.example.com:0", "SIP/2.0/TLS a.example.com:65536",
		"SIP/2.0/TLS a.example.com:99999999999999999999", "SIP/2.0/TLS a.example.com:-1", "SIP/2.0/TLS a.example.com:0x13", "SIP/2.0/TLS a.example.com:5061:5061",
		"SIP/2.0/TLS a b", "SIP/2.0/TLS a_b.example.com", "SIP/2.0/TLS -", "SIP/2.0/TLS a..b", "SIP/2.0/TLS .", "SIP/2.0/TLS a%00b", "SIP/2.0/TLS user@a.example.com",
		"SIP/2.0/TLS 999.1.1.1", "SIP/2.0/TLS 127.0.0.1:22", "SIP/2.0/TLS 169.254.169.254", "SIP/2.0/TLS 255.255.255.255:5060", "SIP/2.0/UDP 255.255.255.255",
		"SIP/2.0/TLS victim.example:5061;alias", "SIP/2.0/TLS victim.example;alias", "SIP/2.0/TLS VICTIM.example.;alias", "SIP/2.0/TLS a.example.com:5061;alias;alias",
		"SIP/2.0/TLS a.example.com:5061;alias=victim.example", "SIP/2.0/TLS a.example.com:5061;alias=\"x\"", "SIP/2.0/TLS a.example.com:1;ALIAS", "SIP/2.0/TLS a.example.com:65535;alias",
		"SIP/2.0", "SIP/2.0/", "SIP/2.0/TLS", "/2.0/TLS a", "SIP//TLS a", "SIP/3.0/TLS a.example.com", "HTTP/1.1/TLS a.example.com", "SIP/2.0/WXYZ a.example.com", "SIP/2.0/T\tLS a",
		"", ",", ";", ",,,", "SIP/2.0/TLS a.example.com,", ",SIP/2.0/TLS a.example.com", "SIP/2.0/TLS a.example.com,,SIP/2.0/TLS b",
		strings.Repeat("SIP/2.0/TLS a.example.com;branch=z9hG4bKx,", 600) + "SIP/2.0/UDP b",
		"SIP/2.0/TLS " + strings.Repeat("a", 20000) + ".example.com", "SIP/2.0/TLS " + strings.Repeat("a.", 500) + "example.com",
	}, func(id, text string) string {
		if strings.HasPrefix(text, "SIP/2.0/TLS a") && !strings.Contains(text, "branch") && !strings.ContainsAny(text, " ,") {
			text += ";branch=z9hG4bK-" + id
		}
		return with(id, "SIP/2.0/TLS a.example.com:5061;branch=z9hG4bK-"+id, text)
	}, "victim.example;received=127.0.0.1\r\n")
	return append(out, numbered("via", "mvp", "400 fwd", []string{
		";rport=22", ";rport=99999", ";rport=abc", ";rport=", ";rport;rport=1", ";received=169.254.169.254", ";received=victim.example", ";received=", ";received=\"x",
		";received=10.0.0.1;received=10.0.0.2", ";maddr=239.1.1.1;ttl=255", ";maddr=255.255.255.255", ";maddr=victim.example", ";ttl=256", ";ttl=-1", ";ttl=99999999999",
		";;;", ";=", ";=x", ";a==b", ";a=\"b", ";a=\"b;c=d\"", ";branch=z9hG4bK-other", ";comp=sigcomp", ";" + strings.Repeat("a=b;", 3000), ";keep;ob", ";a=\x80\xff",
	}, func(id, text string) string { return with(id, "z9hG4bK-"+id, "z9hG4bK-"+id+text) })...)
}

// tokens are identifiers that are empty, or too long for anybody's good.
func tokens() (out []attack) {
	for i, c := range []struct{ old, new, verdict string }{
		{"tag=t", "tag=;x=t", "400"}, {";tag=t", ";tag", "400 fwd"}, {";tag=t", ";tag=t;tag=", "400"}, {";tag=t", ";x=", "400 fwd"},
		{"tag=t", "tag=" + strings.Repeat("t", 30000), "400 513"}, {"Call-ID: ", "Call-ID: " + strings.Repeat("c", 30000), "400 513"},
		{"z9hG4bK-", "z9hG4bK" + strings.Repeat("b", 30000), "400 513"}, {"z9hG4bK-", "z9hG4bK\r\nX: ", "400 fwd"},
		{"MESSAGE sip", strings.Repeat("M", 200) + " sip", "400"}, {"From: <", "From: \"" + strings.Repeat("d", 30000) + "\" <", "400 513 fwd"},
		{"From: <", "From: \"unbalanced <", "400"}, {"From: <", "From: \"a\\\" <", "400"}, {"From: <sip:att@a.example.com>", "From: <sip:att@a.example.com", "400"},
		{"From: <sip:att@a.example.com>", "From: ", "400"}, {"To: <sip:uas@b.example.net>", "To: ", "400"}, {"To: <sip:uas@b.example.net>", "To: <>", "400"},
		{"To: <sip:uas@b.example.net>", "To: <sip:uas@b.example.net>;tag=", "400"}, {"To: <sip:uas@b.example.net>", "To: <sip:uas@b.example.net>x", "400"},
		{"To: <sip:uas@b.example.net>", "To: <sip:uas@b.example.net>, <sip:x@y>", "400"}, {"From: ", "From; ", "400"}, {"Call-ID: ", "Call-ID: a b", "400"},
		{"Call-ID: ", "Call-ID: a,", "400"}, {"Call-ID", "Call-IDD", "400"}, {"From", "Fron", "400"}, {"To", "Too", "400"}, {"CSeq", "CSeqq", "400"}, {"Via", "Viaa", ""},
	} {
		id := fmt.Sprintf("mtk%03d", i)
		out = append(out, hostile("tokens", id, with(id, c.old, c.new), c.verdict, evil))
	}
	return out
}

// TestHostileStreams feeds further streams of the same classes, over TLS from a peer and over TCP from a
// stranger.
func TestHostileStreams(t *testing.T) {
	t.Parallel()
	cases := slices.Concat(contentLengths(), lineEnds(), headerNames(), singletons(), numbers(), vias(), tokens(),
		requestURIs(), routes(), credentials(), bodies(), otherProtocols(), strayResponses(), startLines())
	for _, tt := range []struct {
		tr   sipaddr.Transport
		kind sceneKind
	}{{sipaddr.TLS, sceneKind{}}, {sipaddr.TCP, sceneKind{plain: true}}} {
		t.Run(tt.tr.String(), func(t *testing.T) {
			t.Parallel()
			s := newScene(t, tt.kind)
			excepted := exceptions(t)
			for _, c := range cases {
				t.Run(c.Class+"/"+c.ID, func(t *testing.T) { s.strike(t, tt.tr, c, excepted[c.ID]) })
			}
			s.forgets(t)
		})
	}
}
