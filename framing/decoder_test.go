package framing

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// unit is what a Decoder gave out.
type unit struct {
	kind Kind
	text string
}

// decode feeds a stream in pieces, whose ends are given; the last piece goes to the end of the stream.
func decode(d *Decoder, stream []byte, ends []int) (units []unit, rest []byte, err error) {
	var buf []byte
	from := 0
	for _, end := range append(ends, len(stream)) {
		buf = append(buf, stream[from:end]...)
		from = end
		for {
			k, n, err := d.Next(buf)
			if err != nil {
				return units, buf, err
			}
			if k == More {
				break
			}
			units = append(units, unit{k, string(buf[:n])})
			buf = buf[n:]
		}
	}
	return units, buf, nil
}

func bytewise(n int) (ends []int) {
	for i := 1; i < n; i++ {
		ends = append(ends, i)
	}
	return ends
}

func cause(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e.cause
	}
	return err
}

const start = "OPTIONS sip:a@b SIP/2.0\r\n"

func TestDecoder(t *testing.T) {
	message := func(s string) unit { return unit{Message, s} }
	ping, pong := unit{Ping, "\r\n"}, unit{Pong, "\r\n"}
	small := Limits{StartLine: 30, Header: 40, Body: 10}
	for _, c := range []struct {
		name   string
		limits Limits
		stream string
		units  []unit
		rest   string
		err    error
	}{
		{name: "empty"},
		{name: "no body", stream: start + "l: 0\r\n\r\n", units: []unit{message(start + "l: 0\r\n\r\n")}},
		{name: "body", stream: start + "Content-Length: 5\r\n\r\nhello", units: []unit{message(start + "Content-Length: 5\r\n\r\nhello")}},
		{name: "response", stream: "SIP/2.0 200 OK\r\nl:0\r\n\r\n", units: []unit{message("SIP/2.0 200 OK\r\nl:0\r\n\r\n")}},
		{name: "response with a bad code is for the parser", stream: "SIP/2.0 4294967301 x\r\nl:0\r\n\r\n", units: []unit{message("SIP/2.0 4294967301 x\r\nl:0\r\n\r\n")}},
		{name: "other version is for the parser", stream: "OPTIONS sip:a SIP/7.0\r\nl:0\r\n\r\n", units: []unit{message("OPTIONS sip:a SIP/7.0\r\nl:0\r\n\r\n")}},
		{name: "spaces in the start line are for the parser", stream: "OPTIONS  sip:a  SIP/2.0  \r\nl:0\r\n\r\n", units: []unit{message("OPTIONS  sip:a  SIP/2.0  \r\nl:0\r\n\r\n")}},
		{name: "two messages", stream: start + "l: 2\r\n\r\nhi" + start + "l: 0\r\n\r\n", units: []unit{message(start + "l: 2\r\n\r\nhi"), message(start + "l: 0\r\n\r\n")}},
		{name: "the second is not complete", stream: start + "l: 2\r\n\r\nhi" + start, units: []unit{message(start + "l: 2\r\n\r\nhi")}, rest: start},
		{name: "body not complete", stream: start + "l: 20\r\n\r\nhi", rest: start + "l: 20\r\n\r\nhi"},
		{name: "keepalives", stream: "\r\n\r\n" + "\r\n" + start + "l: 0\r\n\r\n" + "\r\n", units: []unit{pong, ping, pong, message(start + "l: 0\r\n\r\n"), pong}},
		{name: "many pings", stream: "\r\n\r\n\r\n\r\n", units: []unit{pong, ping, pong, ping}},
		{name: "half a keepalive", stream: "\r", rest: "\r"},
		{name: "Content-Length in the body", stream: start + "l: 14\r\n\r\nl: 99\r\n\r\nhello", units: []unit{message(start + "l: 14\r\n\r\nl: 99\r\n\r\nhello")}},
		{name: "folded value", stream: start + "Content-Length:\r\n 2\r\n\r\nhi", units: []unit{message(start + "Content-Length:\r\n 2\r\n\r\nhi")}},
		{name: "value before a fold", stream: start + "L :\t2\r\n \r\n\r\nhi", units: []unit{message(start + "L :\t2\r\n \r\n\r\nhi")}},
		{name: "a fold that looks like it", stream: start + "Subject: x\r\n l: 9\r\nl: 2\r\n\r\nhi", units: []unit{message(start + "Subject: x\r\n l: 9\r\nl: 2\r\n\r\nhi")}},
		{name: "names that look like it", stream: start + "Content-Lengthy: 9\r\nll: 9\r\nX-Content-Length: 9\r\nContent-Lengt: 9\r\nl: 2\r\n\r\nhi",
			units: []unit{message(start + "Content-Lengthy: 9\r\nll: 9\r\nX-Content-Length: 9\r\nContent-Lengt: 9\r\nl: 2\r\n\r\nhi")}},
		{name: "leading zeros and tabs", stream: start + "CONTENT-LENGTH \t:\t 002\t\r\n\r\nhi", units: []unit{message(start + "CONTENT-LENGTH \t:\t 002\t\r\n\r\nhi")}},
		{name: "no Content-Length", stream: start + "X: y\r\n\r\n", err: ErrLength},
		{name: "no header field lines", stream: start + "\r\n", err: ErrLength},
		{name: "empty", stream: start + "l:\r\n\r\n", err: ErrLength},
		{name: "negative", stream: start + "l: -1\r\n\r\n", err: ErrLength},
		{name: "minus zero", stream: start + "l: -0\r\n\r\n", err: ErrLength},
		{name: "plus", stream: start + "l: +1\r\n\r\nx", err: ErrLength},
		{name: "list", stream: start + "l: 1,1\r\n\r\nx", err: ErrLength},
		{name: "hexadecimal", stream: start + "l: 0x1\r\n\r\nx", err: ErrLength},
		{name: "vertical tab", stream: start + "l: 1\v\r\n\r\nx", err: ErrLength},
		{name: "full-width digits", stream: start + "l: \xef\xbc\x91\r\n\r\nx", err: ErrLength},
		{name: "fold inside", stream: start + "l: 1\r\n 0\r\n\r\n0123456789", err: ErrLength},
		{name: "repeated", stream: start + "l: 1\r\nl: 1\r\n\r\nx", err: ErrLength},
		{name: "long and compact", stream: start + "l: 1\r\nX: y\r\nContent-Length: 2\r\n\r\nxy", err: ErrLength},
		{name: "empty, then good", stream: start + "l:\r\nl: 1\r\n\r\nx", err: ErrLength},
		{name: "body too long", stream: start + "l: 262145\r\n\r\n", err: ErrTooLong},
		{name: "2**32", stream: start + "l: 4294967296\r\n\r\n", err: ErrTooLong},
		{name: "2**64+1", stream: start + "l: 18446744073709551617\r\n\r\n", err: ErrTooLong},
		{name: "400 digits", stream: start + "l: " + strings.Repeat("9", 400) + "\r\n\r\n", err: ErrTooLong},
		{name: "bare LF", stream: "OPTIONS sip:a@b SIP/2.0\nl: 0\n\n", err: ErrLineEnd},
		{name: "bare LF in the header section", stream: start + "X: y\nl: 0\r\n\r\n", err: ErrLineEnd},
		{name: "bare CR in the header section", stream: start + "X: y\rl: 0\r\n\r\n", err: ErrLineEnd},
		{name: "CR CR LF", stream: start + "X: y\r\r\nl: 0\r\n\r\n", err: ErrLineEnd},
		{name: "LF as the empty line", stream: start + "l: 0\r\n\n", err: ErrLineEnd},
		{name: "CR in the start line", stream: "OPTIONS sip:a\r@b SIP/2.0\r\nl: 0\r\n\r\n", err: ErrLineEnd},
		{name: "LF between messages", stream: "\n", err: ErrLineEnd},
		{name: "CR between messages", stream: "\rOPTIONS", err: ErrLineEnd},
		{name: "HTTP", stream: "POST / HTTP/1.1\r\nHost: x\r\n\r\n", err: ErrNotSIP},
		{name: "HTTP/2", stream: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", err: ErrNotSIP},
		{name: "RTSP", stream: "OPTIONS * RTSP/1.0\r\n", err: ErrNotSIP},
		{name: "MSRP", stream: "MSRP a786hjs2 SEND\r\n", err: ErrNotSIP},
		{name: "TLS", stream: "\x16\x03\x01", err: ErrNotSIP},
		{name: "STUN", stream: "\x00\x01", err: ErrNotSIP},
		{name: "PROXY", stream: "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", err: ErrNotSIP},
		{name: "PROXY v2", stream: "\r\n\r\n\x00\r\nQUIT\n", units: []unit{pong, ping}, err: ErrNotSIP},
		{name: "version thrice", stream: "SIP/2.0 SIP/2.0 SIP/2.0\r\n\r\n", err: ErrNotSIP},
		{name: "space first", stream: " OPTIONS", err: ErrNotSIP},
		{name: "word only", stream: "QUIT\r\n", err: ErrNotSIP},
		{name: "letters without end", stream: strings.Repeat("M", 300), err: ErrNotSIP},
		{name: "slash in the method", stream: "SIX/2.0", err: ErrNotSIP},
		{name: "start line at the limit", limits: small, stream: "OPTIONS sip:abcdefghij SIP/2.0\r\nl:0\r\n\r\n", units: []unit{message("OPTIONS sip:abcdefghij SIP/2.0\r\nl:0\r\n\r\n")}},
		{name: "start line above the limit", limits: small, stream: "OPTIONS sip:abcdefghijk SIP/2.0\r\nl:0\r\n\r\n", err: ErrTooLong},
		{name: "start line without end", limits: small, stream: "OPTIONS sip:abcdefghijk" + strings.Repeat("x", 20), err: ErrTooLong},
		{name: "header section at the limit", limits: small, stream: start + "l:0\r\nX: " + strings.Repeat("x", 30) + "\r\n\r\n", units: []unit{message(start + "l:0\r\nX: " + strings.Repeat("x", 30) + "\r\n\r\n")}},
		{name: "header section above the limit", limits: small, stream: start + "l:0\r\nX: " + strings.Repeat("x", 31) + "\r\n\r\n", err: ErrTooLong},
		{name: "header line without end", limits: small, stream: start + "l:0\r\nX: " + strings.Repeat("x", 99), err: ErrTooLong},
		{name: "lines without end", limits: small, stream: start + strings.Repeat("X:\r\n", 99), err: ErrTooLong},
		{name: "body at the limit", limits: small, stream: start + "l:10\r\n\r\n0123456789", units: []unit{message(start + "l:10\r\n\r\n0123456789")}},
		{name: "body above the limit", limits: small, stream: start + "l:11\r\n\r\n", err: ErrTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, ends := range [][]int{nil, bytewise(len(c.stream))} {
				d := Decoder{Limits: c.limits}
				units, rest, err := decode(&d, []byte(c.stream), ends)
				if !slices.Equal(units, c.units) || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
					t.Fatalf("in %d pieces: units %v, error %v", len(ends)+1, units, err)
				}
				if err == nil && string(rest) != c.rest {
					t.Errorf("in %d pieces: rest %q", len(ends)+1, rest)
				}
				if err == nil {
					continue
				}
				if _, _, again := d.Next([]byte(start + "l: 0\r\n\r\n")); !errors.Is(again, c.err) {
					t.Errorf("goes on after an error: %v", again)
				}
			}
		})
	}
}

func TestProgress(t *testing.T) {
	var d Decoder
	if k, n, _ := d.Next([]byte("\r\n")); k != Pong || n != 2 || d.InMessage() {
		t.Fatal("a keepalive is no message")
	}
	stream := start + "l: 2\r\n\r\nhi"
	for i := 1; i <= len(stream); i++ {
		d.Next([]byte(stream[:i]))
		if d.InMessage() != (i < len(stream)) {
			t.Errorf("after %d bytes: in a message %v", i, d.InMessage())
		}
		if d.InBody() != (i == len(stream)-2 || i == len(stream)-1) {
			t.Errorf("after %d bytes: in a body %v", i, d.InBody())
		}
	}
}

func TestHead(t *testing.T) {
	for _, c := range []struct{ name, stream, head string }{
		{"wrong Content-Length", start + "X: y\r\nl: -1\r\n\r\nbody", start + "X: y\r\nl: -1\r\n\r\n"},
		{"bare LF", "OPTIONS sip:a SIP/2.0\nX: y\nl: 0\n\nbody", "OPTIONS sip:a SIP/2.0\r\nX: y\r\nl: 0\r\n\r\n"},
		{"bare CR", start + "X: y\r\nA: b\rc\r\n folded\r\nl: 0\r\n\r\n", start + "X: y\r\nl: 0\r\n\r\n"},
		{"incomplete line", start + "X: y\nl:", start + "X: y\r\n\r\n"},
		{"too long", start + "X: y\r\nZ: " + strings.Repeat("z", DefaultHeader) + "\r\n", start + "X: y\r\n\r\n"},
		{"not SIP", "GET / HTTP/1.1\r\nX: y\r\n\r\n", ""},
		{"not even text", "\x16\x03\x01", ""},
		{"no line", "\n", ""},
	} {
		var d Decoder
		_, _, err := d.Next([]byte(c.stream))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: no error", c.name)
			continue
		}
		if string(e.Head) != c.head {
			t.Errorf("%s: %.200q", c.name, e.Head)
		}
	}
}

// attack is one entry of testdata/own-attacks/cases.json.
type attack struct {
	ID     string `json:"id"`
	Class  string `json:"cls"`
	File   string `json:"file"`
	Feed   string `json:"feed"`
	Expect struct {
		Status []int    `json:"status"`
		Fwd    []string `json:"fwd"`
		Never  []string `json:"never"`
		Conn   string   `json:"conn"`
	} `json:"expect"`
}

func attacks(t testing.TB) (cases []attack, streams map[string][]byte) {
	t.Helper()
	const dir = "testdata/own-attacks/"
	b, err := os.ReadFile(dir + "cases.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	streams = make(map[string][]byte)
	for _, c := range cases {
		if b, err := os.ReadFile(dir + c.File); err == nil {
			streams[c.ID] = b
		}
	}
	// These are too large to keep.
	streams["fr-073-endless-start-line"] = bytes.Repeat([]byte("M"), 2000000)
	streams["fr-074-endless-header-line"] = append([]byte(start+"X: "), bytes.Repeat([]byte("a"), 2000000)...)
	streams["fr-075-20k-headers"] = append([]byte(start), bytes.Repeat([]byte("X-12345: y\r\n"), 20000)...)
	streams["fr-076-10k-vias"] = append([]byte(start), bytes.Repeat([]byte("Via: SIP/2.0/UDP h1234.example.org;branch=z9hG4bK1234\r\n"), 10000)...)
	return cases, streams
}

// TestOwnAttacks: what must be forwarded comes out as a message that begins where the sender said;
// what makes the boundary doubtful ends the stream, and nothing behind it comes out.
func TestOwnAttacks(t *testing.T) {
	cases, streams := attacks(t)
	for _, c := range cases {
		stream, ok := streams[c.ID]
		if !ok {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			var d Decoder
			units, rest, err := decode(&d, stream, nil)
			ids := []string{}
			for _, u := range units {
				if u.kind != Message {
					continue
				}
				_, id, _ := strings.Cut(u.text, "Call-ID: ")
				id, _, _ = strings.Cut(id, "\r\n")
				ids = append(ids, id)
				for _, never := range c.Expect.Never {
					if c.Expect.Conn == "close" && strings.Contains(u.text, never) {
						t.Errorf("%q came out", never)
					}
				}
			}
			if len(c.Expect.Status) == 0 && c.Expect.Conn == "open" && (err != nil || !slices.Equal(ids, c.Expect.Fwd)) {
				t.Errorf("messages %q, want %q, error %v", ids, c.Expect.Fwd, err)
			}
			// What is to be closed is an error here, unless the rest of the message is waited for or
			// the clock decides.
			if c.Expect.Conn == "close" && err == nil && len(rest) == 0 && !strings.HasPrefix(c.Feed, "trickle") {
				t.Errorf("no error, messages %q", ids)
			}
			if c.Class == "framing-int" && c.Expect.Conn == "close" {
				var e *Error
				if !errors.As(err, &e) || !bytes.Contains(e.Head, []byte("Via: ")) {
					t.Errorf("cannot be answered: %v", err)
				}
			}
		})
	}
}
