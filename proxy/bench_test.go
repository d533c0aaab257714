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

// maxTransactions is 0, the default, but in the one test that is about it.
var maxTransactions int

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

// reconnect gives the flow to the address of another one, as Connect does.
func (b *bench) reconnect(old transaction.Flow, done func(transaction.Flow, error)) {
	b.Connect(Hop{To: old.(*fakeFlow).to}, func(f Flow, err error) { done(f, err) })
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
	b.layer = transaction.New(transaction.Config{User: b.user, MaxTransactions: maxTransactions, Reconnect: b.reconnect})
	if cfg.Rules.Served == nil && cfg.Rules.Self == nil {
		cfg.Rules = testRules()
	}
	cfg.Network, cfg.Transactions = b, b.layer
	b.core = New(cfg)
	b.user.Core = b.core
	return b
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
