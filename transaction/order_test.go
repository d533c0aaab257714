package transaction

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// The responses of one server transaction leave in the order in which they were taken, although nobody
// holds a lock while sending and although a response may be given while another is being sent.
func TestOrderOfSending(t *testing.T) {
	for _, f := range []*testFlow{udp(), tls(1, "a")} {
		bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
			l.Receive(parse(t, invite()), source(f))
			tx := u.last()
			f.take()
			n := 0
			f.onSend = func(string) {
				if n++; n == 1 {
					// Somebody else responds while the first response is on its way: they wait their turn,
					// and the bytes given are not needed any more when Respond returns.
					b := []byte(respond(t, invite(), 183))
					tx.Respond(b, 183)
					clear(b)
					b = []byte(respond(t, invite(), 200))
					tx.Respond(b, 200)
					clear(b)
				}
			}
			answer(t, tx, invite(), 180)
			f.expect(t, "order", "180", "183", "200")
		})
	}
}

// orderUser checks that its calls come one after the other and in order.
type orderUser struct {
	t    *testing.T
	l    *Layer
	mu   sync.Mutex
	seen []int
}

func (u *orderUser) Response(_ *Client, resp *sip.Message) {
	if !u.mu.TryLock() {
		u.t.Error("two calls at once")
		return
	}
	defer u.mu.Unlock()
	u.seen = append(u.seen, resp.StatusCode())
}

func (u *orderUser) Failed(*Client, error) { u.t.Error("failed") }

// The user of a client transaction is called once at a time, in the order of the steps.
func TestOrderOfCalls(t *testing.T) {
	l := New(Config{User: &testUser{}})
	f := udp()
	for round := range 200 {
		branch := fmt.Sprint(cookie, round)
		text := strings.Replace(invite(), testBranch, branch, 1)
		u := &orderUser{t: t, l: l}
		if _, err := l.Start([]byte(text), branch, "INVITE", f, u); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for _, status := range []int{180, 183, 200, 202} {
			m := parse(t, respond(t, text, status))
			m.TopVia()
			// Ends when the response was received.
			all.Go(func() { l.Receive(m, source(f)) })
		}
		all.Wait()
		u.mu.Lock()
		final := false
		for _, status := range u.seen {
			if final && status < 200 {
				t.Errorf("a provisional response after the final one: %v", u.seen)
			}
			final = final || status >= 200
		}
		u.mu.Unlock()
	}
}

// busyUser answers whatever comes, from goroutines of its own, and starts client transactions.
type busyUser struct {
	all sync.WaitGroup
	t   *testing.T
	l   *Layer
	out Flow
}

func (u *busyUser) Request(tx *Server, req *sip.Message, _ *Source) {
	tx.Attach(u)
	branch := NewBranch()
	text := strings.Replace(req.Raw(), testBranch, branch, 1)
	c, err := u.l.Start([]byte(text), branch, req.Method(), u.out, u)
	if err != nil {
		u.t.Error(err)
		return
	}
	b := sip.AppendResponse(nil, req, 200, "", tx.Tag())
	ringing := sip.AppendResponse(nil, req, 180, "", tx.Tag())
	u.all.Go(func() { tx.Respond(ringing, 180) })
	u.all.Go(func() { tx.Respond(b, 200) })
	u.all.Go(func() { c.Cancel() })
	u.all.Go(func() { _, _ = tx.Attached(), tx.Request() })
	for _, status := range []int{100, 180, 200, 487} {
		resp, err := sip.Parse(string(sip.AppendResponse(nil, must(sip.Parse(text)), status, "", "x")))
		if err != nil {
			u.t.Error(err)
		}
		resp.TopVia()
		u.all.Go(func() { u.l.Receive(resp, source(u.out.(*testFlow))) })
	}
}

func must(m *sip.Message, _ error) *sip.Message { return m }

func (u *busyUser) Ack(*sip.Message, *Source)      {}
func (u *busyUser) Cancel(*Server, *sip.Message)   {}
func (u *busyUser) ServerFailed(*Server, error)    {}
func (u *busyUser) Response(*Client, *sip.Message) {}
func (u *busyUser) Failed(*Client, error)          {}

// TestConcurrent has everything happen at once, for the race detector, with timers that are soon over.
func TestConcurrent(t *testing.T) {
	u := &busyUser{t: t, out: tls(9, "b")}
	short := Timers{T1: time.Millisecond, T2: 2 * time.Millisecond, T4: 2 * time.Millisecond, D: 5 * time.Millisecond, L: 5 * time.Millisecond}
	l := New(Config{User: u, Timers: short, Reconnect: func(old Flow, done func(Flow, error)) { done(old, nil) }})
	u.l = l
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	// Ends when stop is called.
	go func() { ended <- l.Run(ctx) }()
	var all sync.WaitGroup
	for g := range 4 {
		f := udp()
		if g%2 == 0 {
			f = tls(uint64(g+1), "a")
		}
		all.Go(func() {
			for i := range 100 {
				for _, method := range []string{"INVITE", "INVITE", "CANCEL", "ACK", "OPTIONS"} {
					text := strings.Replace(request(method, "pc.example.org;branch="+testBranch), testBranch, fmt.Sprint(testBranch, g/2, i), 1)
					l.Receive(must(sip.Parse(text)), source(f))
				}
				if i%10 == 0 {
					l.FlowClosed(9, context.Canceled)
					l.Transactions()
					l.Stats()
				}
			}
		})
	}
	all.Wait()
	u.all.Wait()
	deadline := time.Now().Add(10 * time.Second)
	for l.Stats().Live != [4]int{} && time.Now().Before(deadline) {
		<-time.After(10 * time.Millisecond)
	}
	stop()
	<-ended
	expectEmpty(t, l)
}
