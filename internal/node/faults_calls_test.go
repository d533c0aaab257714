//go:build faults

package node_test

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/siptest"
)

// agentSocket is the UDP socket of one end of calls.
type agentSocket struct {
	socket *net.UDPConn
	done   chan struct{}
	once   sync.Once
	run    sync.WaitGroup
}

// open begins to read messages into handle, and to call repeat each 100 ms.
func (a *agentSocket) open(t testing.TB, at netip.AddrPort, handle func(*sip.Message, netip.AddrPort), repeat func(time.Time)) {
	t.Helper()
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	_ = socket.SetReadBuffer(8 << 20)
	a.socket, a.done = socket, make(chan struct{})
	// Ends when the socket is closed.
	a.run.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := socket.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if m, err := sip.Parse(string(buf[:n])); err == nil {
				handle(m, from)
			}
		}
	})
	// Ends when done is closed.
	a.run.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-a.done:
				return
			case now := <-tick.C:
				repeat(now)
			}
		}
	})
	t.Cleanup(a.close)
}

// close ends it and returns when nothing runs any more.
func (a *agentSocket) close() {
	a.once.Do(func() {
		_ = a.socket.Close()
		close(a.done)
		a.run.Wait()
	})
}

func (a *agentSocket) send(text string, to netip.AddrPort) {
	_, _ = a.socket.WriteToUDPAddrPort([]byte(text), to)
}

// again says when something that was not answered is sent again: RFC 3261, Section 17.1.1.2.
type again struct {
	text     string
	refusal  string // in place of text when the call is canceled
	to       netip.AddrPort
	next     time.Time
	interval time.Duration
	until    time.Time
}

func newAgain(text string, to netip.AddrPort) *again {
	now := time.Now()
	return &again{text: text, to: to, next: now.Add(500 * time.Millisecond), interval: 500 * time.Millisecond, until: now.Add(32 * time.Second)}
}

// due reports whether it is to be sent now.
func (g *again) due(now time.Time) bool {
	if now.Before(g.next) {
		return false
	}
	g.interval = min(2*g.interval, 4*time.Second)
	g.next = now.Add(g.interval)
	return true
}

// callee takes every call after it has rung, and every BYE.
type callee struct {
	agentSocket

	mu       sync.Mutex        // guards the fields below
	waiting  map[string]*again // 200 to INVITE until its ACK comes, by Call-ID
	seen     map[string]bool   // branches of INVITEs
	canceled int
}

func newCallee(t testing.TB, addr netip.Addr) *callee {
	c := &callee{waiting: make(map[string]*again), seen: make(map[string]bool)}
	c.open(t, netip.AddrPortFrom(addr, 5060), c.handle, func(now time.Time) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for id, g := range c.waiting {
			if now.After(g.until) {
				delete(c.waiting, id)
			} else if g.due(now) {
				c.send(g.text, g.to)
			}
		}
	})
	return c
}

func (c *callee) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

func (c *callee) handle(m *sip.Message, from netip.AddrPort) {
	if !m.IsRequest() {
		return
	}
	answer := func(status int) string {
		var extra []sip.Line
		if m.Method() == sip.MethodInvite && status < 300 {
			for v := range m.Values(sip.FieldRecordRoute) {
				extra = append(extra, sip.Line{Name: "Record-Route", Value: v})
			}
			extra = append(extra, sip.Line{Name: "Contact", Value: "<sip:bob@" + c.socket.LocalAddr().String() + ">"})
		}
		return string(sip.AppendResponse(nil, m, status, "", "bob", extra...))
	}
	switch m.Method() {
	case sip.MethodInvite:
		c.mu.Lock()
		defer c.mu.Unlock()
		if g := c.waiting[m.CallID()]; g != nil && c.seen[m.Branch()] {
			return
		}
		c.seen[m.Branch()] = true
		c.send(answer(180), from)
		// Sent when the next tick comes, so it rings for 50 ms on the average, and again until the ACK comes.
		g := newAgain(answer(200), from)
		g.next, g.refusal = time.Now(), answer(487)
		c.waiting[m.CallID()] = g
	case sip.MethodAck:
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting, m.CallID())
	case sip.MethodCancel:
		c.send(answer(200), from)
		c.mu.Lock()
		defer c.mu.Unlock()
		if g := c.waiting[m.CallID()]; g != nil {
			g.text = g.refusal
			c.canceled++
		}
	default:
		c.send(answer(200), from)
	}
}

// caller places calls: INVITE, ACK, BYE. It sends again what is not answered.
type caller struct {
	agentSocket
	to netip.AddrPort

	mu    sync.Mutex // guards the fields below
	calls map[string]*testCall
	over  []*testCall
}

// testCall is one call. The caller's mu guards it.
type testCall struct {
	began, byeSent time.Time
	invite, bye    *again
	uri            string
	ack            string
	status         int // of the INVITE
	byeStatus      int
	took, byeTook  time.Duration
}

func newCaller(t testing.TB, addr netip.Addr, to netip.AddrPort) *caller {
	c := &caller{to: to, calls: make(map[string]*testCall)}
	c.open(t, netip.AddrPortFrom(addr, 5060), c.handle, func(now time.Time) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, call := range c.calls {
			for _, g := range []*again{call.invite, call.bye} {
				if g != nil && g.due(now) {
					c.send(g.text, g.to)
				}
			}
		}
	})
	return c
}

// left counts the calls with a transaction that has no final response.
func (c *caller) left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.calls)
}

// head writes the lines that the requests of a call share.
func (c *caller) head(method, uri, id, branch, to, seq string, lines ...string) string {
	local := c.socket.LocalAddr().String()
	return method + " " + uri + " SIP/2.0\r\nVia: SIP/2.0/UDP " + local + ";rport;branch=z9hG4bK" + branch + "\r\n" +
		strings.Join(append(lines, ""), "\r\n") + "Max-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=a" + id + "\r\nTo: " + to +
		"\r\nCall-ID: " + id + "\r\nCSeq: " + seq + " " + method + "\r\nContact: <sip:alice@" + local + ">\r\nContent-Length: 0\r\n\r\n"
}

func (c *caller) place(uri string) {
	id := siptest.Token(16)
	text := c.head(sip.MethodInvite, uri, id, id+"i", "<"+uri+">", "1")
	call := &testCall{began: time.Now(), invite: newAgain(text, c.to), uri: uri}
	c.mu.Lock()
	c.calls[id] = call
	c.mu.Unlock()
	c.send(text, c.to)
}

func (c *caller) handle(m *sip.Message, _ netip.AddrPort) {
	if m.IsRequest() {
		return
	}
	cseq, err := m.CSeq()
	if err != nil {
		return
	}
	id, status := m.CallID(), m.StatusCode()
	c.mu.Lock()
	defer c.mu.Unlock()
	call := c.calls[id]
	if call == nil {
		return
	}
	if cseq.Method == sip.MethodBye {
		if status >= 200 {
			call.bye, call.byeStatus, call.byeTook = nil, status, time.Since(call.byeSent)
			delete(c.calls, id)
			c.over = append(c.over, call)
		}
		return
	}
	call.invite = nil // answered in some way
	switch to, _ := m.Value(sip.FieldTo); {
	case status < 200:
	case call.status != 0: // again
		c.send(call.ack, c.to)
	case status < 300:
		call.status, call.took = status, time.Since(call.began)
		route := slices.Collect(m.Values(sip.FieldRecordRoute))
		slices.Reverse(route)
		for i, r := range route {
			route[i] = "Route: " + r
		}
		uri := call.uri
		if v, ok := m.Value(sip.FieldContact); ok {
			if na, err := sip.ParseNameAddr(v); err == nil {
				uri = na.Addr
			}
		}
		call.ack = c.head(sip.MethodAck, uri, id, id+"a", to, "1", route...)
		c.send(call.ack, c.to)
		bye := c.head(sip.MethodBye, uri, id, id+"b", to, "2", route...)
		call.byeSent, call.bye = time.Now(), newAgain(bye, c.to)
		c.send(bye, c.to)
	default:
		call.status, call.took = status, time.Since(call.began)
		c.send(c.head(sip.MethodAck, call.uri, id, id+"i", to, "1"), c.to)
		delete(c.calls, id)
		c.over = append(c.over, call)
	}
}

// cutTime is when connections were cut: at some time between the two.
type cutTime struct{ from, to time.Time }

// callResult sums up the calls.
type callResult struct {
	good         int
	failed, byes map[int]int   // by status
	slowest      time.Duration // of the final responses
	hit          int           // calls that failed while a cut came
	told         time.Duration // the longest time from the cut to the final response of one of those
	late         time.Duration // the longest time after a cut at which another call began that failed
}

func (c *caller) result(cuts []cutTime) callResult {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := callResult{failed: make(map[int]int), byes: make(map[int]int)}
	for _, call := range c.over {
		r.slowest = max(r.slowest, call.took, call.byeTook)
		if call.status < 300 {
			r.good++
			r.byes[call.byeStatus]++
			continue
		}
		r.failed[call.status]++
		last, hit := time.Time{}, time.Time{}
		for _, cut := range cuts {
			switch {
			case cut.to.Before(call.began):
				last = cut.to
			case hit.IsZero() && cut.from.Before(call.began.Add(call.took)):
				hit = cut.to
			}
		}
		switch {
		case !hit.IsZero():
			r.hit++
			r.told = max(r.told, call.began.Add(call.took).Sub(hit))
		case !last.IsZero():
			r.late = max(r.late, call.began.Sub(last))
		default:
			r.late = time.Hour // it failed for no reason
		}
	}
	return r
}
