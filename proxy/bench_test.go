package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/transaction"
)

// bench is a Core over a real transaction layer and a network that exists in memory only.
type bench struct {
	t     *testing.T
	core  *Core
	layer *transaction.Layer
	user  *lateUser
	calls int

	mu      sync.Mutex
	names   map[string][]string // host -> resolved addresses
	fails   map[string]error    // host -> error of Locate
	refused map[string]error    // resolved address -> error of Connect
	flows   map[string]*fakeFlow
	broken  map[string]bool // resolved address: the flow does not take what is sent
	reports []string
	hops    []Hop
	held    []func() // Connects that wait, when hold is set
	hold    bool

	anywhere string // address of every name that is not in names
	ids      uint64
}

type lateUser struct{ *Core }

// fakeFlow records what is sent over it.
type fakeFlow struct {
	b         *bench
	id        uint64
	to        sipaddr.Resolved
	uri       string
	sentBy    string
	identity  string
	distrusts bool

	mu     sync.Mutex
	sent   []string
	closed bool
}

func (f *fakeFlow) Send(p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return errors.New("closed")
	}
	f.sent = append(f.sent, string(p))
	return nil
}
func (f *fakeFlow) ID() uint64                   { return f.id }
func (f *fakeFlow) Reliable() bool               { return f.to.Transport.Reliable() }
func (f *fakeFlow) Transport() sipaddr.Transport { return f.to.Transport }
func (f *fakeFlow) Identity() string             { return f.identity }
func (f *fakeFlow) URI() string                  { return f.uri }
func (f *fakeFlow) TrustIdentity() bool          { return !f.distrusts }
func (f *fakeFlow) AppendVia(dst []byte, branch string) []byte {
	return fmt.Appendf(dst, "SIP/2.0/%s %s;branch=%s", f.to.Transport, f.sentBy, branch)
}

func (b *bench) newFlow(to string) *fakeFlow {
	b.ids++
	f := &fakeFlow{b: b, to: resolved(to), uri: "sip:192.0.2.1:5060;transport=tcp", sentBy: "192.0.2.1:5060"}
	switch f.to.Transport {
	case sipaddr.TLS:
		f.uri, f.sentBy = "sip:p1.example.com;transport=tls", "p1.example.com"
	case sipaddr.UDP:
		f.uri = "sip:192.0.2.1:5060"
	}
	if f.Reliable() {
		f.id = b.ids
	}
	return f
}

func resolved(s string) sipaddr.Resolved {
	r, err := sipaddr.ParseResolved(s)
	if err != nil {
		panic(err)
	}
	return r
}

// Locate answers from names; an address is its own answer.
func (b *bench) Locate(u *sip.URI, done func(resolve.Answer, error)) {
	host := u.Host
	if m, ok := u.Param("maddr"); ok {
		host = m
	}
	b.mu.Lock()
	err := b.fails[host]
	list := b.names[host]
	b.mu.Unlock()
	if err != nil {
		done(resolve.Answer{}, err)
		return
	}
	t, _ := sipaddr.ParseTransport(u.Transport())
	if t == sipaddr.Unknown {
		t = sipaddr.UDP
	}
	if u.Secure() {
		t = sipaddr.TLS
	}
	port := u.Port
	if port == 0 {
		port = t.DefaultPort()
	}
	if ip, ok := u.IP(); ok && host == u.Host {
		done(resolve.Answer{Addresses: []sipaddr.Resolved{{AddrPort: netip.AddrPortFrom(ip, port), Transport: t}}}, nil)
		return
	}
	var ans resolve.Answer
	if list == nil && b.anywhere != "" {
		list = []string{b.anywhere}
	}
	for _, s := range list {
		ans.Addresses = append(ans.Addresses, resolved(s))
	}
	if len(ans.Addresses) == 0 {
		done(ans, fmt.Errorf("no %s: %w", host, resolve.ErrNotFound))
		return
	}
	done(ans, nil)
}

// Connect gives one flow for each address.
func (b *bench) Connect(h Hop, done func(Flow, error)) {
	b.mu.Lock()
	b.hops = append(b.hops, h)
	key := h.To.String()
	err := b.refused[key]
	var f *fakeFlow
	if err == nil {
		if f = b.flows[key]; f == nil || f.closed {
			f = b.newFlow(key)
			f.closed = b.broken[key]
			b.flows[key] = f
		}
	}
	answer := func() {
		if err != nil {
			done(nil, err)
		} else {
			done(f, nil)
		}
	}
	if b.hold {
		b.held = append(b.held, answer)
		b.mu.Unlock()
		return
	}
	b.mu.Unlock()
	answer()
}

func (b *bench) Reported(to sipaddr.Resolved, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reports = append(b.reports, to.String()+" "+strconv.FormatBool(ok))
}

// release lets the Connects go on that were held.
func (b *bench) release() {
	b.mu.Lock()
	held := b.held
	b.held, b.hold = nil, false
	b.mu.Unlock()
	for _, f := range held {
		f()
	}
	synctest.Wait()
}

// testRules serves example.com, with a rule that leads to an agent; other domains follow RFC 3263.
func testRules(targets ...string) Rules {
	if len(targets) == 0 {
		targets = []string{"sip:198.51.100.7:5070"}
	}
	r := Rules{
		Served: []Domain{{Name: "example.com", SentBy: "p1.example.com"}, {Name: "example.org"}},
		Self: []sipaddr.Advertised{
			{Host: "192.0.2.1", Port: 5060, Transport: sipaddr.UDP},
			{Host: "192.0.2.1", Port: 5060, Transport: sipaddr.TCP},
			{Host: "192.0.2.1", Port: 5061, Transport: sipaddr.TLS},
		},
		Routes: []Route{{Domain: "example.com", To: routeTargets(targets...)}},
	}
	return r
}

// routeTargets reads "URI" and "URI q=0.5".
func routeTargets(list ...string) (out []Target) {
	for _, s := range list {
		text, q, _ := strings.Cut(s, " q=")
		u, err := sip.ParseURI(text)
		if err != nil {
			panic(err)
		}
		t := Target{URI: u}
		if q != "" {
			f, _ := strconv.ParseFloat(q, 64)
			t.Q = int(f * 1000)
		}
		out = append(out, t)
	}
	return out
}

// run makes a bench and runs a scenario in a bubble of its own.
func run(t *testing.T, cfg Config, scenario func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		// Ends when ctx is cancelled below.
		go func() {
			defer close(ended)
			_ = b.layer.Run(ctx)
		}()
		scenario(b)
		cancel()
		<-ended
	})
}

func newBench(t *testing.T, cfg Config) *bench {
	b := &bench{
		t: t, user: &lateUser{}, names: map[string][]string{}, fails: map[string]error{},
		refused: map[string]error{}, flows: map[string]*fakeFlow{}, broken: map[string]bool{},
	}
	b.layer = transaction.New(transaction.Config{User: b.user})
	if cfg.Rules.Served == nil && cfg.Rules.Self == nil {
		cfg.Rules = testRules()
	}
	cfg.Network, cfg.Transactions = b, b.layer
	b.core = New(cfg)
	b.user.Core = b.core
	return b
}

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

// ack makes the ACK to a final response, as the client sends it.
func (c *client) ack(invite string, resp *sip.Message) {
	m, err := sip.Parse(invite)
	if err != nil {
		c.b.t.Fatal(err)
	}
	c.send(string(sip.AppendAck(nil, m, resp)))
}

// cancel makes the CANCEL of a request.
func (c *client) cancel(invite string, lines ...sip.Line) {
	m, err := sip.Parse(invite)
	if err != nil {
		c.b.t.Fatal(err)
	}
	c.send(string(sip.AppendCancel(nil, m, lines...)))
}

func wait(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

const agent = "udp:198.51.100.7:5070"

func header(m *sip.Message, name string) string {
	v, _ := m.Header(name)
	return v
}

// nullFlow keeps the last message alone.
type nullFlow struct {
	to   sipaddr.Resolved
	last string
}

func (f *nullFlow) Send(p []byte) error          { f.last = string(p); return nil }
func (f *nullFlow) ID() uint64                   { return 7 }
func (f *nullFlow) Reliable() bool               { return true }
func (f *nullFlow) Transport() sipaddr.Transport { return f.to.Transport }
func (f *nullFlow) Identity() string             { return "" }
func (f *nullFlow) URI() string                  { return "sip:192.0.2.1:5060;transport=tcp" }
func (f *nullFlow) AppendVia(dst []byte, branch string) []byte {
	return append(append(dst, "SIP/2.0/TCP 192.0.2.1:5060;branch="...), branch...)
}

// benchNetwork has one flow for everything.
type benchNetwork struct{ flow *nullFlow }

func (n *benchNetwork) Locate(u *sip.URI, done func(resolve.Answer, error)) {
	done(resolve.Answer{Addresses: []sipaddr.Resolved{n.flow.to}}, nil)
}
func (n *benchNetwork) Connect(_ Hop, done func(Flow, error)) { done(n.flow, nil) }
func (n *benchNetwork) Reported(sipaddr.Resolved, bool)       {}
