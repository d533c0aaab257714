package lab

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// bench is an agent whose proxy is the test. Time stands still but for what the test says.
type bench struct {
	t     *testing.T
	book  *book
	agent *agent
	proxy *net.UDPConn
	now   time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	here := netip.MustParseAddr("127.0.0.1")
	proxy, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(here, 0)))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, book: newBook(), proxy: proxy, now: time.Unix(1_800_000_000, 0)}
	b.agent, err = newAgent(agentConfig{
		user: "alice", domain: "example.com", peerDomain: "example.net", bind: here,
		proxy: proxy.LocalAddr().(*net.UDPAddr).AddrPort(), hold: time.Second, book: b.book,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close(); b.agent.conn.Close() })
	return b
}

// sent returns the next message from the agent.
func (b *bench) sent() *sip.Message {
	b.t.Helper()
	buf := make([]byte, 64<<10)
	b.proxy.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := b.proxy.Read(buf)
	if err != nil {
		b.t.Fatalf("nothing came from the agent: %v", err)
	}
	m, err := sip.Parse(string(buf[:n]))
	if err == nil {
		err = m.Validate()
	}
	if err != nil {
		b.t.Fatalf("the agent sent what is not understood: %v\n%s", err, buf[:n])
	}
	return m
}

// expect returns the next message, which is a request with that method.
func (b *bench) expect(method string) *sip.Message {
	b.t.Helper()
	m := b.sent()
	if !m.IsRequest() || m.Method() != method {
		b.t.Fatalf("got %q, want a %s", firstLine(m), method)
	}
	return m
}

func firstLine(m *sip.Message) string {
	line, _, _ := strings.Cut(m.Raw(), "\r\n")
	return line
}

// give hands the agent a message as if it had come from the proxy.
func (b *bench) give(raw string) {
	b.t.Helper()
	m, err := sip.Parse(raw)
	if err == nil {
		err = m.Validate()
	}
	if err != nil {
		b.t.Fatalf("the test's message is wrong: %v\n%s", err, raw)
	}
	b.agent.locked(func() { b.agent.receive(m, b.agent.proxy, b.now) })
}

// pass lets time go by.
func (b *bench) pass(d time.Duration) {
	b.now = b.now.Add(d)
	b.agent.locked(func() {
		for _, l := range b.agent.legs {
			l.tick(b.now)
		}
	})
}

// failure returns what the book says went wrong, less the Call-ID; empty when nothing did.
func (b *bench) failure() string {
	b.book.mu.Lock()
	defer b.book.mu.Unlock()
	for _, t := range b.book.tallies {
		if len(t.failures) > 0 {
			_, text, _ := strings.Cut(t.failures[0], ": ")
			return text
		}
	}
	return ""
}

// answer is a response of the far agent, as two proxies pass it on.
func (b *bench) answer(req *sip.Message, status int, body string, more ...sip.Line) string {
	lines := append([]sip.Line{
		{Name: "Record-Route", Value: "<sip:p2.example.net;transport=tls;lr>"},
		{Name: "Record-Route", Value: "<sip:" + b.agent.proxy.String() + ";lr>"},
		{Name: "Contact", Value: "<sip:bob@127.0.0.1:9>"},
	}, more...)
	if req.Method() != sip.MethodInvite {
		lines = more
	}
	text := strings.TrimSuffix(string(sip.AppendResponse(nil, req, status, "", "far", lines...)), "Content-Length: 0\r\n\r\n")
	return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", text, len(body), body)
}

// call lets the agent call, up to the ACK.
func (b *bench) call(calleeHangs bool) (invite, ack *sip.Message) {
	b.t.Helper()
	c, _ := b.book.begin(forward, "call-1", calleeHangs)
	b.agent.dial(c, b.now)
	invite = b.expect(sip.MethodInvite)
	b.give(b.answer(invite, 180, ""))
	b.give(b.answer(invite, 200, b.agent.sdp("answer")))
	return invite, b.expect(sip.MethodAck)
}

func TestCallerHangsUp(t *testing.T) {
	b := newBench(t)
	invite, ack := b.call(false)
	if ack.RequestURI() != "sip:bob@127.0.0.1:9" || ack.Branch() == invite.Branch() {
		t.Errorf("ACK %s with branch %s", ack.RequestURI(), ack.Branch())
	}
	var routes []string
	for r := range ack.Values(sip.FieldRoute) {
		routes = append(routes, r)
	}
	if want := "<sip:" + b.agent.proxy.String() + ";lr> <sip:p2.example.net;transport=tls;lr>"; strings.Join(routes, " ") != want {
		t.Errorf("routes %q, want %s", routes, want)
	}
	b.give(b.answer(invite, 200, b.agent.sdp("answer")))
	if again := b.expect(sip.MethodAck); again.Raw() != ack.Raw() {
		t.Errorf("the second 200 was answered with another ACK:\n%s", again.Raw())
	}
	b.pass(time.Second)
	bye := b.expect(sip.MethodBye)
	b.pass(timerT1)
	if again := b.expect(sip.MethodBye); again.Raw() != bye.Raw() {
		t.Errorf("BYE was not sent again as it was:\n%s", again.Raw())
	}
	b.give(b.answer(bye, 200, ""))
	b.book.endedOne(b.book.find("call-1"), b.now) // the far end
	if tallies, open := b.book.counts(); tallies[forward].done != 1 || open != 0 {
		t.Errorf("%+v and %d open, want one done; %s", tallies, open, b.failure())
	}
}

func TestCallerFailures(t *testing.T) {
	tests := []struct {
		name string
		do   func(b *bench, invite *sip.Message)
		want string
	}{
		{"refused", func(b *bench, invite *sip.Message) {
			b.give(b.answer(invite, 503, ""))
			b.expect(sip.MethodAck)
		}, "INVITE was answered 503 Service Unavailable"},
		{"silence", func(b *bench, invite *sip.Message) {
			b.pass(patience + time.Second)
		}, "no answer to INVITE in 32s, last heard nothing"},
		{"rings for ever", func(b *bench, invite *sip.Message) {
			b.give(b.answer(invite, 180, ""))
			b.pass(patience + time.Second)
		}, "no answer to INVITE in 32s, last heard 180 Ringing"},
		{"changed body", func(b *bench, invite *sip.Message) {
			b.give(b.answer(invite, 180, ""))
			b.give(b.answer(invite, 200, "v=0\r\n"))
		}, "200 to INVITE: its body is not what the callee sent"},
		{"a Via too many", func(b *bench, invite *sip.Message) {
			b.give(b.answer(invite, 180, "", sip.Line{Name: "Via", Value: "SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx"}))
		}, "a response to INVITE has 2 Via header fields, want ours alone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			c, _ := b.book.begin(forward, "call-1", false)
			b.agent.dial(c, b.now)
			tt.do(b, b.expect(sip.MethodInvite))
			if got := b.failure(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestByeFailures(t *testing.T) {
	b := newBench(t)
	b.call(false)
	b.pass(time.Second)
	b.give(b.answer(b.expect(sip.MethodBye), 481, ""))
	if got, want := b.failure(), "the caller's BYE was answered 481 Call/Transaction Does Not Exist"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}

	b = newBench(t)
	b.call(true)
	b.pass(2 * patience)
	if got, want := b.failure(), "the far side never hung up"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// invited is an INVITE as two proxies pass it on to the agent.
func (b *bench) invited() string {
	body := b.agent.sdp("offer")
	return strings.NewReplacer("PROXY", b.agent.proxy.String(), "LENGTH", fmt.Sprint(len(body)), "\n", "\r\n").Replace(`INVITE sip:bob@example.com SIP/2.0
Via: SIP/2.0/UDP PROXY;branch=z9hG4bK3
Via: SIP/2.0/TLS p2.example.net;branch=z9hG4bK2;alias
Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1;rport
Max-Forwards: 68
Record-Route: <sip:PROXY;lr>
Record-Route: <sip:p2.example.net;transport=tls;lr>
From: <sip:carl@example.net>;tag=far
To: <sip:bob@example.com>
Call-ID: call-1
CSeq: 1 INVITE
Contact: <sip:carl@127.0.0.1:9>
Content-Type: application/sdp
Content-Length: LENGTH

`) + body
}

// inside is a request of the caller inside the dialog that ringing made.
func (b *bench) inside(method string, ringing *sip.Message) string {
	to, _ := ringing.Value(sip.FieldTo)
	return strings.NewReplacer("METHOD", method, "PROXY", b.agent.proxy.String(), "CONTACT", b.agent.contact(), "TO", to, "\n", "\r\n").Replace(`METHOD CONTACT SIP/2.0
Via: SIP/2.0/UDP PROXY;branch=z9hG4bK6
Via: SIP/2.0/TLS p2.example.net;branch=z9hG4bK5;alias
Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK4;rport
Max-Forwards: 68
From: <sip:carl@example.net>;tag=far
To: TO
Call-ID: call-1
CSeq: 2 METHOD
Content-Length: 0

`)
}

func TestCallee(t *testing.T) {
	tests := []struct {
		name        string
		calleeHangs bool
		do          func(b *bench, ringing *sip.Message)
		want        string
	}{
		{"caller hangs up", false, func(b *bench, ringing *sip.Message) {
			b.give(b.inside("ACK", ringing))
			b.give(b.inside("BYE", ringing))
			b.status(200)
			b.give(b.inside("BYE", ringing)) // the answer got lost
			b.status(200)
		}, ""},
		{"callee hangs up", true, func(b *bench, ringing *sip.Message) {
			b.give(b.inside("ACK", ringing))
			b.pass(time.Second)
			bye := b.expect("BYE")
			if bye.RequestURI() != "sip:carl@127.0.0.1:9" {
				b.t.Errorf("BYE goes to %s", bye.RequestURI())
			}
			b.give(b.answer(bye, 200, ""))
		}, ""},
		{"BYE overtakes ACK", false, func(b *bench, ringing *sip.Message) {
			b.give(b.inside("BYE", ringing))
			b.status(200)
			b.give(b.inside("ACK", ringing))
		}, ""},
		{"200 is sent again", false, func(b *bench, ringing *sip.Message) {
			b.pass(timerT1)
			b.status(200)
			b.give(b.invited())
			b.status(200)
			b.give(b.inside("ACK", ringing))
			b.give(b.inside("BYE", ringing))
			b.status(200)
		}, ""},
		{"no ACK", false, func(b *bench, ringing *sip.Message) {
			b.pass(patience + time.Second)
		}, "no ACK in 32s"},
		{"somebody else's BYE", false, func(b *bench, ringing *sip.Message) {
			b.give(b.inside("ACK", ringing))
			b.give(strings.Replace(b.inside("BYE", ringing), ";tag=far", ";tag=x", 1))
			b.status(481)
		}, `BYE: its tags are "x" and`},
		{"a Route is left", false, func(b *bench, ringing *sip.Message) {
			b.give(strings.Replace(b.inside("ACK", ringing), "CSeq", "Route: <sip:x;lr>\r\nCSeq", 1))
		}, "ACK: a Route header field is left in it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			c, _ := b.book.begin(backward, "call-1", tt.calleeHangs)
			b.give(b.invited())
			ringing := b.status(180)
			b.status(200)
			tt.do(b, ringing)
			got := b.failure()
			if tt.want == "" && got != "" || !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if tt.want == "" && c.open != 1 {
				t.Errorf("%d ends have not ended, want the caller's alone", c.open)
			}
		})
	}
}

// status returns the next message, which is a response of that status.
func (b *bench) status(want int) *sip.Message {
	b.t.Helper()
	m := b.sent()
	if m.StatusCode() != want {
		b.t.Fatalf("got %q, want %d", firstLine(m), want)
	}
	return m
}

func TestCalleeRefuses(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"a proxy is missing", "Via: SIP/2.0/TLS p2.example.net;branch=z9hG4bK2;alias\r\n", "", "INVITE: it has 2 Via values, want those of one user agent and two proxies"},
		{"hops not counted", "Max-Forwards: 68", "Max-Forwards: 70", "INVITE: its Max-Forwards is 70, want 70 less two proxies"},
		{"changed body", "a=sendrecv", "a=recvonly", "INVITE: its body is not what the caller sent"},
		{"no record-route", "Record-Route", "X-Record-Route", "INVITE: it has no Record-Route"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.book.begin(backward, "call-1", false)
			b.give(strings.ReplaceAll(b.invited(), tt.old, tt.new))
			b.status(400)
			if got := b.failure(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestStrays(t *testing.T) {
	b := newBench(t)
	b.give(b.invited())
	b.status(480)
	b.give(strings.ReplaceAll(b.invited(), "INVITE", "BYE"))
	b.status(481)
	b.give(strings.ReplaceAll(b.invited(), "INVITE", "OPTIONS"))
	b.status(200)
	if b.book.strangeCount != 2 {
		t.Errorf("%d strays, want 2: %q", b.book.strangeCount, b.book.strange)
	}
}

func TestBookIsFull(t *testing.T) {
	b := newBook()
	for i := range maxOpen {
		b.begin(forward, fmt.Sprint(i), false)
	}
	if _, ok := b.begin(forward, "one more", false); ok {
		t.Error("a call too many was begun")
	}
	if tallies, open := b.counts(); tallies[forward].failed != 1 || open != maxOpen {
		t.Errorf("%d failed and %d open, want 1 and %d", tallies[forward].failed, open, maxOpen)
	}
}
