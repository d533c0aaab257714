package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// tickInterval is how often an agent looks what is due.
const tickInterval = 10 * time.Millisecond

// agentConfig is what an agent is made of.
type agentConfig struct {
	user       string // of its own URIs
	domain     string
	peerDomain string         // whom it calls
	bind       netip.Addr     // it takes any free port there
	proxy      netip.AddrPort // of its domain: all of its requests go there
	hold       time.Duration
	book       *book
}

// agent is a user agent over UDP: it calls, is called, and checks all that it gets.
type agent struct {
	agentConfig
	conn *net.UDPConn
	addr netip.AddrPort

	mu   sync.Mutex // mu guards the fields below, and the legs
	legs map[string]*leg
	out  []datagram // to be sent when mu is free again
}

type datagram struct {
	to   netip.AddrPort
	data []byte
}

func newAgent(cfg agentConfig) (*agent, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(cfg.bind, 0)))
	if err != nil {
		return nil, fmt.Errorf("lab: no socket for an agent: %w", err)
	}
	_ = conn.SetReadBuffer(4 << 20) // as much as the system gives; what is lost is sent again
	return &agent{
		agentConfig: cfg, conn: conn, addr: conn.LocalAddr().(*net.UDPAddr).AddrPort(), legs: make(map[string]*leg),
	}, nil
}

// read handles what comes until the socket is closed.
func (a *agent) read() error {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := a.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		now, raw := time.Now(), string(buf[:n])
		if strings.Trim(raw, "\r\n") == "" {
			continue // a keepalive
		}
		m, err := sip.Parse(raw)
		if err == nil {
			err = m.Validate()
		}
		if err != nil {
			a.book.stray("%s got a message that is not understood: %v", a.user, err)
			continue
		}
		a.locked(func() { a.receive(m, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), now) })
	}
}

// run keeps the agent's time until ctx is done.
func (a *agent) run(ctx context.Context) {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			a.locked(func() {
				for id, l := range a.legs {
					if _, forget := a.book.state(l.call, now); forget {
						delete(a.legs, id)
						continue
					}
					l.tick(now)
				}
			})
		}
	}
}

// locked calls f under the lock, and then sends what f wants to be sent.
func (a *agent) locked(f func()) {
	a.mu.Lock()
	f()
	out := a.out
	a.out = nil
	a.mu.Unlock()
	for _, d := range out {
		_, _ = a.conn.WriteToUDPAddrPort(d.data, d.to) // what cannot be sent counts as lost, and is sent again
	}
}

// dial begins a call.
func (a *agent) dial(c *call, now time.Time) {
	a.locked(func() {
		callee := "bob"
		if c.calleeHangs {
			callee = hangsUp
		}
		l := &leg{
			agent: a, call: c, caller: true, phase: calling, next: a.proxy, seq: 1, localTag: rand.Text(),
			target: "sip:" + callee + "@" + a.peerDomain,
		}
		l.from = fmt.Sprintf("<sip:%s@%s>;tag=%s", a.user, a.domain, l.localTag)
		l.to = "<" + l.target + ">"
		a.legs[c.id] = l
		l.start(now)
	})
}

// hangsUp is the user who hangs up when called; others wait for their caller to do so.
const hangsUp = "carol"

// receive handles one message.
func (a *agent) receive(m *sip.Message, from netip.AddrPort, now time.Time) {
	l := a.legs[m.CallID()]
	switch {
	case !m.IsRequest() && l != nil:
		l.response(m, now)
	case !m.IsRequest():
		a.book.stray("%s got a response to no request of its own: %d %s", a.user, m.StatusCode(), m.Reason())
	case m.Method() == sip.MethodInvite && l == nil:
		a.called(m, from, now)
	case m.Method() == sip.MethodInvite, m.Method() == sip.MethodAck && l != nil, m.Method() == sip.MethodBye && l != nil:
		l.request(m, from, now)
	case m.Method() == sip.MethodOptions:
		a.out = append(a.out, datagram{from, sip.AppendResponse(nil, m, 200, "", rand.Text())})
	case m.Method() == sip.MethodAck:
		a.book.stray("%s got an ACK outside of any call", a.user)
	default:
		a.book.stray("%s got a %s outside of any call", a.user, m.Method())
		a.out = append(a.out, datagram{from, sip.AppendResponse(nil, m, 481, "", rand.Text())})
	}
}

// called answers a new call: 180, then 200.
func (a *agent) called(m *sip.Message, from netip.AddrPort, now time.Time) {
	c := a.book.find(m.CallID())
	if c == nil {
		a.book.stray("%s got an INVITE for a call that nobody began, or that is over", a.user)
		a.out = append(a.out, datagram{from, sip.AppendResponse(nil, m, 480, "", rand.Text())})
		return
	}
	l := &leg{
		agent: a, call: c, phase: answered, began: now, localTag: rand.Text(), next: a.proxy, invite: m,
	}
	a.legs[strings.Clone(m.CallID())] = l
	if problem := l.offered(m); problem != "" {
		l.send(from, sip.AppendResponse(nil, m, 400, "", l.localTag), now, false)
		l.fail(now, "INVITE: %s", problem)
		return
	}
	l.send(from, a.answerText(l, m, 180, ""), now, false)
	l.answer = a.answerText(l, m, 200, a.sdp("answer"))
	l.send(from, l.answer, now, true)
}

// offered takes what an INVITE says about the dialog, or says what is wrong with it.
func (l *leg) offered(m *sip.Message) string {
	from, err := m.From()
	if err != nil || from.Tag() == "" {
		return "it has no From tag"
	}
	uri, err := m.URI()
	if err != nil || uri.Host != l.agent.domain {
		return "its Request-URI is not of " + l.agent.domain
	}
	if m.Body() != l.agent.sdp("offer") {
		return "its body is not what the caller sent"
	}
	if problem := viaProblem(m); problem != "" {
		return problem
	}
	value, _ := m.Value(sip.FieldTo)
	l.from = value + ";tag=" + l.localTag
	l.to, _ = m.Value(sip.FieldFrom)
	l.remoteTag = from.Tag()
	return l.path(m, slices.Collect(m.Values(sip.FieldRecordRoute)))
}
