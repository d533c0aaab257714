package proxy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/transaction"
)

// client is somebody who sends requests to the proxy.
type client struct {
	b    *bench
	flow *fakeFlow
	src  *transaction.Source
}

// stranger, inside and peer are the three kinds of sources.
func (b *bench) client(addr string, s Source) *client {
	f := b.newFlow(addr)
	s.URI = f.uri
	return &client{b: b, flow: f, src: &transaction.Source{Flow: f, Remote: f.to, Any: &s}}
}

func (b *bench) stranger() *client { return b.client("tcp:203.0.113.9:40000", Source{}) }
func (b *bench) inside() *client {
	return b.client("tcp:203.0.113.8:40000", Source{Relay: true, Inside: true})
}
func (b *bench) peer() *client {
	c := b.client("tls:203.0.113.5:40000", Source{Relay: true, Reference: "example.net", TrustIdentity: true})
	c.src.Peer, c.src.Identity, c.src.LocalDomain = "partner", "example.net", "example.com"
	return c
}

// neighbour is a peer at a private address.
func (b *bench) neighbour() *client {
	c := b.client("tls:10.9.9.9:40000", Source{Relay: true, Reference: "example.net"})
	c.src.Peer, c.src.Identity, c.src.LocalDomain = "partner", "example.net", "example.com"
	return c
}

// send hands a message to the transaction layer as if it came over the client's flow.
func (c *client) send(text string) {
	c.b.t.Helper()
	m, err := sip.Parse(text)
	if err != nil {
		c.b.t.Fatalf("scenario's message: %v\n%s", err, text)
	}
	if m.IsRequest() {
		m.SetReceived(c.src.Remote.Addr(), c.src.Remote.Port())
	}
	c.b.layer.Receive(m, c.src)
	synctest.Wait()
}

// request makes a request. Lines are added to the header section; one that begins with "-" removes that field.
func (c *client) request(method, uri string, lines ...string) string {
	c.b.calls++
	n := c.b.calls
	fields := []string{
		fmt.Sprintf("Via: SIP/2.0/%s ua.example.net:5090;branch=z9hG4bKua%d", c.flow.to.Transport, n),
		"Max-Forwards: 70",
		"From: Alice <sip:alice@example.net>;tag=a1",
		"To: Bob <sip:bob@example.com>",
		fmt.Sprintf("Call-ID: call%d@example.net", n),
		fmt.Sprintf("CSeq: %d %s", n, method),
		"Contact: <sip:alice@198.51.100.20:5090>",
		"Content-Length: 0",
	}
	for _, l := range lines {
		name, _, _ := strings.Cut(strings.TrimPrefix(l, "-"), ":")
		if strings.HasPrefix(l, "-") || name == "To" || name == "From" || name == "Max-Forwards" || name == "Contact" || name == "Call-ID" {
			kept := fields[:0]
			for _, f := range fields {
				if !strings.HasPrefix(f, name+":") {
					kept = append(kept, f)
				}
			}
			fields = kept
		}
		if !strings.HasPrefix(l, "-") {
			fields = append(fields, l)
		}
	}
	return method + " " + uri + " SIP/2.0\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n"
}

// got returns what was sent to the client since the last call, without 100.
func (c *client) got() []*sip.Message { return c.flow.take(c.b.t, 100) }

func (f *fakeFlow) take(t *testing.T, without int) (out []*sip.Message) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sent {
		m, err := sip.Parse(s)
		if err != nil {
			t.Fatalf("sent something bad: %v\n%s", err, s)
		}
		if m.StatusCode() != without || m.IsRequest() {
			out = append(out, m)
		}
	}
	f.sent = nil
	return out
}

// statuses returns the codes of the responses sent to the client since the last call.
func (c *client) statuses() string {
	c.b.t.Helper()
	var s []string
	for _, m := range c.got() {
		s = append(s, strconv.Itoa(m.StatusCode()))
	}
	return strings.Join(s, " ")
}

func (c *client) expect(want string) {
	c.b.t.Helper()
	if got := c.statuses(); got != want {
		c.b.t.Fatalf("the client got %q, want %q", got, want)
	}
}

// server is somebody whom the proxy sends requests to.
type server struct {
	b    *bench
	addr string
}

func (b *bench) at(addr string) *server { return &server{b, addr} }

// requests returns what the proxy sent there since the last call.
func (s *server) requests() []*sip.Message {
	s.b.t.Helper()
	s.b.mu.Lock()
	f := s.b.flows[s.addr]
	s.b.mu.Unlock()
	if f == nil {
		return nil
	}
	return f.take(s.b.t, 0)
}

// methods returns the methods of what the proxy sent there since the last call.
func (s *server) methods() string {
	s.b.t.Helper()
	var out []string
	for _, m := range s.requests() {
		out = append(out, m.Method())
	}
	return strings.Join(out, " ")
}

// one returns the one request that the proxy sent there, however often.
func (s *server) one(method string) *sip.Message {
	s.b.t.Helper()
	got := s.requests()
	for len(got) > 1 && got[len(got)-1].Raw() == got[0].Raw() {
		got = got[:len(got)-1]
	}
	if len(got) != 1 || got[0].Method() != method {
		s.b.t.Fatalf("%s got %d requests, want one %s", s.addr, len(got), method)
	}
	return got[0]
}

// answer responds to a request.
func (s *server) answer(req *sip.Message, status int, lines ...string) {
	s.b.t.Helper()
	var extra []sip.Line
	for v := range req.Values(sip.FieldRecordRoute) {
		if status < 300 {
			extra = append(extra, sip.Line{Name: "Record-Route", Value: v})
		}
	}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		extra = append(extra, sip.Line{Name: name, Value: value})
	}
	s.raw(string(sip.AppendResponse(nil, req, status, "", "b1", extra...)))
}

func (s *server) raw(text string) {
	s.b.t.Helper()
	s.b.mu.Lock()
	f := s.b.flows[s.addr]
	s.b.mu.Unlock()
	m, err := sip.Parse(text)
	if err != nil {
		s.b.t.Fatalf("scenario's response: %v\n%s", err, text)
	}
	s.b.layer.Receive(m, &transaction.Source{Flow: f, Remote: f.to, Identity: f.identity})
	synctest.Wait()
}

// breakFlow closes the connection to an address.
func (s *server) breakFlow() {
	s.b.mu.Lock()
	f := s.b.flows[s.addr]
	s.b.mu.Unlock()
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	s.b.layer.FlowClosed(f.id, errors.New("reset"))
	synctest.Wait()
}

// cancel makes the CANCEL of a request.
func (c *client) cancel(invite string, lines ...sip.Line) {
	m, err := sip.Parse(invite)
	if err != nil {
		c.b.t.Fatal(err)
	}
	c.send(string(sip.AppendCancel(nil, m, lines...)))
}
