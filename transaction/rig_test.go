package transaction

// The bench of this room: flows that record, users that remember, and the messages of one call.

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// testFlow is a Flow that records what is sent.
type testFlow struct {
	id        uint64
	transport sipaddr.Transport
	identity  string

	mu     sync.Mutex
	sent   []string
	broken error
	onSend func(string)
}

func udp() *testFlow { return &testFlow{transport: sipaddr.UDP} }

func tls(id uint64, identity string) *testFlow {
	return &testFlow{id: id, transport: sipaddr.TLS, identity: identity}
}

func (f *testFlow) ID() uint64                   { return f.id }
func (f *testFlow) Reliable() bool               { return f.transport.Reliable() }
func (f *testFlow) Transport() sipaddr.Transport { return f.transport }
func (f *testFlow) Identity() string             { return f.identity }

func (f *testFlow) Send(b []byte) error {
	f.mu.Lock()
	if f.broken != nil {
		defer f.mu.Unlock()
		return f.broken
	}
	f.sent = append(f.sent, string(b))
	then := f.onSend
	f.mu.Unlock()
	if then != nil {
		then(string(b))
	}
	return nil
}

func (f *testFlow) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = err
}

// take returns the first lines of what was sent since the last call, the reason phrases left out.
func (f *testFlow) take() []string {
	var lines []string
	for _, text := range f.takeWhole() {
		line, _, _ := strings.Cut(text, "\r\n")
		if strings.HasPrefix(line, "SIP/2.0 ") {
			line = line[len("SIP/2.0 "):][:3]
		}
		lines = append(lines, line)
	}
	return lines
}

// takeWhole returns what was sent since the last call.
func (f *testFlow) takeWhole() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	sent := f.sent
	f.sent = nil
	return sent
}

// expect compares what was sent since the last call.
func (f *testFlow) expect(t *testing.T, what string, want ...string) {
	t.Helper()
	got := f.take()
	for i, line := range got {
		if method, _, ok := strings.Cut(line, " "); ok {
			got[i] = method
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s: sent %q, want %q", what, got, want)
	}
}

// source is a Source of which responses go to f.
func source(f *testFlow) *Source {
	return &Source{
		Flow:     f,
		Remote:   sipaddr.Resolved{AddrPort: netip.MustParseAddrPort("192.0.2.1:5060"), Transport: f.transport},
		Identity: f.identity,
	}
}

// testUser remembers what it was told.
type testUser struct {
	mu        sync.Mutex
	servers   []*Server
	log       []string
	onRequest func(*Server, *sip.Message)
}

func (u *testUser) note(format string, args ...any) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.log = append(u.log, fmt.Sprintf(format, args...))
}

func (u *testUser) Request(tx *Server, req *sip.Message, _ *Source) {
	u.note("request %s", req.Method())
	u.mu.Lock()
	u.servers = append(u.servers, tx)
	then := u.onRequest
	u.mu.Unlock()
	if then != nil {
		then(tx, req)
	}
}

func (u *testUser) Ack(*sip.Message, *Source) { u.note("ack") }

func (u *testUser) Cancel(tx *Server, cancel *sip.Message) { u.note("cancel %s", tx.Method()) }

func (u *testUser) ServerFailed(_ *Server, err error) { u.note("server failed: %v", failure(err)) }

func (u *testUser) Response(_ *Client, resp *sip.Message) { u.note("response %d", resp.StatusCode()) }

func (u *testUser) Failed(_ *Client, err error) { u.note("failed: %v", failure(err)) }

// failure is the kind of an error.
func failure(err error) string {
	if _, ok := errors.AsType[*TransportError](err); ok {
		return "transport"
	}
	if errors.Is(err, ErrTimeout) {
		return "timeout"
	}
	return fmt.Sprint(err)
}

// expect compares what the user was told since the last call.
func (u *testUser) expect(t *testing.T, what string, want ...string) {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	if strings.Join(u.log, ", ") != strings.Join(want, ", ") {
		t.Errorf("%s: user was told %q, want %q", what, u.log, want)
	}
	u.log = nil
}

// last returns the server transaction that came last.
func (u *testUser) last() *Server {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.servers[len(u.servers)-1]
}

const testBranch = "z9hG4bK-one"

// request writes a request. via is what follows the transport in its Via.
func request(method, via string, lines ...string) string {
	seq := method
	return method + " sip:bob@example.com SIP/2.0\r\n" +
		"Via: SIP/2.0/UDP " + via + "\r\n" +
		"Max-Forwards: 70\r\n" +
		"From: <sip:alice@example.org>;tag=a1\r\n" +
		"To: <sip:bob@example.com>\r\n" +
		"Call-ID: call-1\r\n" +
		"CSeq: 7 " + seq + "\r\n" +
		strings.Join(append(lines, ""), "\r\n") +
		"Content-Length: 0\r\n\r\n"
}

// invite is the INVITE of most tests, and what goes with it.
func invite() string { return request("INVITE", "pc.example.org;branch="+testBranch) }
func cancel() string { return request("CANCEL", "pc.example.org;branch="+testBranch) }
func ack() string    { return request("ACK", "pc.example.org;branch="+testBranch) }

// parse reads a message.
func parse(t testing.TB, text string) *sip.Message {
	t.Helper()
	m, err := sip.Parse(text)
	if err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return m
}

// respond writes a response to a request.
func respond(t testing.TB, req string, status int) string {
	t.Helper()
	return string(sip.AppendResponse(nil, parse(t, req), status, "", "b1"))
}

// answer has a server transaction respond.
func answer(t testing.TB, tx *Server, req string, status int) {
	t.Helper()
	if err := tx.Respond([]byte(respond(t, req, status)), status); err != nil {
		t.Errorf("Respond %d: %v", status, err)
	}
}
