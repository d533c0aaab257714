package transport

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sctp"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to come.
const patience = 5 * time.Second

// arrival is something that the handler was told.
type arrival struct {
	m   *sip.Message
	err error
	src *Source
}

type closure struct {
	id  alias.ConnID
	err error
}

// inbox is a Handler that keeps what it is told.
type inbox struct {
	messages  chan arrival
	malformed chan arrival
	closed    chan closure
	handle    func(*sip.Message, *Source) // instead of messages, if it is there
}

func newInbox() *inbox {
	return &inbox{
		messages:  make(chan arrival, 10000),
		malformed: make(chan arrival, 1000),
		closed:    make(chan closure, 10000),
	}
}

func (b *inbox) Message(m *sip.Message, src *Source) {
	if b.handle != nil {
		b.handle(m, src)
		return
	}
	b.messages <- arrival{m: m, src: src}
}

func (b *inbox) Malformed(m *sip.Message, err error, src *Source) {
	b.malformed <- arrival{m, err, src}
}

func (b *inbox) Closed(id alias.ConnID, err error) { b.closed <- closure{id, err} }

// bench is a running Transport in a test.
type bench struct {
	*Transport
	t   *testing.T
	box *inbox
	ip  netip.Addr
}

// pki has a CA and what believes in it.
type pki struct {
	*siptest.CA
	verifier *identity.Verifier
}

func newPKI(t testing.TB) *pki {
	ca := siptest.NewCA(t)
	return &pki{CA: ca, verifier: newVerifier(t, identity.Policy{Roots: []*x509.Certificate{ca.Root()}})}
}

func newVerifier(t testing.TB, p identity.Policy) *identity.Verifier {
	v, err := identity.NewVerifier(p)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// domain is a served domain whose certificate names it and its sent-by host.
func (p *pki) domain(t testing.TB, name, sentBy string) Domain {
	names := []string{name}
	if host, _ := splitSentBy(sentBy); host != "" && host != name {
		names = append(names, host)
	}
	return Domain{Name: name, SentBy: sentBy, Certificate: p.Domain(t, names...).TLS(), Verifier: p.verifier}
}

// start runs a Transport with UDP, TCP and, if there are domains, TLS on an address of its own. It has SCTP if a Kind
// of that is named.
func start(t *testing.T, cfg Config) *bench {
	t.Helper()
	ip := siptest.Loopback(t)
	if cfg.Listen == nil {
		cfg.Listen = []Listen{
			{sipaddr.UDP, netip.AddrPortFrom(ip, 5060)},
			{sipaddr.TCP, netip.AddrPortFrom(ip, 5060)},
		}
		if len(cfg.Domains) > 0 {
			cfg.Listen = append(cfg.Listen, Listen{sipaddr.TLS, netip.AddrPortFrom(ip, 5061)})
		}
		if cfg.SCTP.Kind != sctp.Auto {
			cfg.Listen = append(cfg.Listen, Listen{sipaddr.SCTP, netip.AddrPortFrom(ip, 5060)})
			if len(cfg.Domains) > 0 {
				cfg.Listen = append(cfg.Listen, Listen{sipaddr.TLSSCTP, netip.AddrPortFrom(ip, 5061)})
			}
		}
	}
	b := &bench{t: t, box: newInbox(), ip: ip}
	if cfg.Handler == nil {
		cfg.Handler = b.box
	} else {
		b.box, _ = cfg.Handler.(*inbox)
	}
	if cfg.CloseTimeout == 0 {
		cfg.CloseTimeout = 300 * time.Millisecond
	}
	tr, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.Transport = tr
	if err := tr.Open(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	// Ends when the test does.
	go func() { done <- tr.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not return")
		}
	})
	return b
}

func (b *bench) at(tr sipaddr.Transport) netip.AddrPort {
	for _, l := range b.Addrs() {
		if l.Transport == tr {
			return l.Addr
		}
	}
	b.t.Fatalf("no %s listener", tr)
	return netip.AddrPort{}
}

func (b *bench) message() arrival {
	b.t.Helper()
	return receive(b.t, b.box.messages, "a message")
}

func receive[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case x := <-ch:
		return x
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

// answer is what Flow handed out.
type answer struct {
	f   Flow
	dec alias.Decision
	err error
}

func (b *bench) ask(h Hop) <-chan answer {
	ch := make(chan answer, 1)
	b.Flow(h, func(f Flow, dec alias.Decision, err error) { ch <- answer{f, dec, err} })
	return ch
}

// flow asks for a flow and waits for it.
func (b *bench) flow(h Hop) answer {
	b.t.Helper()
	return receive(b.t, b.ask(h), "a flow")
}

// must asks for a flow that has to be there.
func (b *bench) must(h Hop) answer {
	b.t.Helper()
	a := b.flow(h)
	if a.err != nil {
		b.t.Fatalf("flow to %v: %v", h.To, a.err)
	}
	return a
}

// request writes a request whose Via is that of the flow.
func request(f Flow, method, branch string) []byte {
	uri := "sip:there@example.org"
	s := fmt.Sprintf("%s %s SIP/2.0\r\nVia: %s\r\nMax-Forwards: 70\r\nFrom: <sip:a@example.org>;tag=1\r\n"+
		"To: <%s>\r\nCall-ID: %s@test\r\nCSeq: 1 %s\r\nContent-Length: 0\r\n\r\n",
		method, uri, f.AppendVia(nil, "z9hG4bK"+branch), uri, branch, method)
	return []byte(s)
}

// eventually waits until ok is true; there is nothing to wait on for what a peer's kernel does.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if ok() {
			return
		}
		<-tick.C
	}
	t.Fatalf("never: %s", what)
}

func resolved(tr sipaddr.Transport, a netip.AddrPort) sipaddr.Resolved {
	return sipaddr.Resolved{AddrPort: a, Transport: tr}
}

func id(f Flow) alias.ConnID { return alias.ConnID(f.ID()) }

func itoa(n int) string { return fmt.Sprint(n) }

func addrPort(ip netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(ip, port) }
