package transaction

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bubble runs f with a running layer in a bubble with a clock of its own.
func bubble(t *testing.T, cfg Config, f func(t *testing.T, l *Layer, u *testUser)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		u := &testUser{}
		cfg.User = u
		l := New(cfg)
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error)
		// Ends when stop is called.
		go func() { ended <- l.Run(ctx) }()
		synctest.Wait()
		f(t, l, u)
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	})
}

// after lets the clock of the synctest bubble run, and a little more, because timers fire late by up to 10 ms.
func after(d time.Duration) {
	time.Sleep(d + 20*time.Millisecond)
	synctest.Wait()
}

// afterEnd is after for what waits for a finished transaction to be forgotten.
func afterEnd(l *Layer, d time.Duration) {
	after(d + endTicks*l.clock.resolution)
}

// expectEmpty checks that no transaction is left and that the clock has nothing to wait for.
func expectEmpty(t *testing.T, l *Layer) {
	t.Helper()
	if live := l.Stats().Live; live != [4]int{} {
		t.Errorf("transactions left: %v %+v", live, l.Transactions())
	}
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock() // the clock may be looking as well
		if s.index.used != 0 || s.wheel.next() != never || s.firstEnd() != never || len(s.kept.chunks) != 0 {
			t.Errorf("shard %d: %d entries, wheel looks at %d, rings at %d, %d chunks are kept",
				i, s.index.used, s.wheel.next(), s.firstEnd(), len(s.kept.chunks))
		}
		for _, c := range s.live {
			if c != nil {
				t.Errorf("shard %d: %+v is at work", i, c.machine)
			}
		}
		s.mu.Unlock()
	}
}

func TestServerInviteUnreliable(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := udp()
		l.Receive(parse(t, invite()), source(f))
		f.expect(t, "INVITE")
		u.expect(t, "INVITE", "request INVITE")
		l.Receive(parse(t, invite()), source(f))
		f.expect(t, "INVITE again", "100")
		after(10 * time.Second)
		f.expect(t, "it has had its 100")
		tx := u.last()
		answer(t, tx, invite(), 180)
		l.Receive(parse(t, invite()), source(f))
		f.expect(t, "INVITE after 180", "180", "180")
		if tx.Request() == nil || tx.Method() != "INVITE" || tx.Source().Flow != f {
			t.Error("request, method or source of the transaction are wrong")
		}
		answer(t, tx, invite(), 486)
		if tx.Request() != nil {
			t.Error("the request is kept after the final response")
		}
		after(500 * time.Millisecond)
		f.expect(t, "Timer G", "486", "486")
		after(time.Second)
		l.Receive(parse(t, invite()), source(f))
		f.expect(t, "Timer G and INVITE", "486", "486")
		l.Receive(parse(t, ack()), source(f))
		l.Receive(parse(t, ack()), source(f))
		if err := tx.Respond([]byte("x"), 200); !errors.Is(err, ErrEnded) {
			t.Errorf("Respond after ACK: %v", err)
		}
		after(4 * time.Second)
		f.expect(t, "ACK")
		u.expect(t, "to the end")
		if n := l.Stats().Live[ServerInvite]; n != 1 {
			t.Errorf("%d transactions before Timer I, want 1", n)
		}
		afterEnd(l, time.Second)
		expectEmpty(t, l)
	})
}

func TestServerInviteNoAck(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := tls(1, "a")
		l.Receive(parse(t, invite()), source(f))
		answer(t, u.last(), invite(), 486)
		afterEnd(l, 32*time.Second)
		f.expect(t, "over a connection", "486")
		u.expect(t, "Timer H", "request INVITE", "server failed: timeout")
		expectEmpty(t, l)
	})
}

// The connection broke before the final response arrived, and the client sends the INVITE again over another one:
// RFC 3261, Section 17.2.1.
func TestServerInviteAgainOverConnection(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		first, second := tls(1, "a"), tls(2, "a")
		l.Receive(parse(t, invite()), source(first))
		l.Receive(parse(t, invite()), source(second))
		first.expect(t, "before the answer", "100")
		answer(t, u.last(), invite(), 486)
		l.Receive(parse(t, invite()), source(second))
		first.expect(t, "the answer again", "486", "486")
		u.expect(t, "one request", "request INVITE")
		l.Receive(parse(t, ack()), source(second))
		expectEmpty(t, l)
	})
}

// The 100 is sent within 200 ms (RFC 3261, Section 17.2.1), and only if nothing else was.
func TestServerInviteTrying(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		for _, f := range []*testFlow{udp(), tls(1, "a")} {
			l.Receive(parse(t, invite()), source(f))
			after(80 * time.Millisecond)
			f.expect(t, "the user has some time")
			after(70 * time.Millisecond)
			f.expect(t, "and has let it pass", "100")
			after(10 * time.Second)
			f.expect(t, "once")
			answer(t, u.last(), invite(), 200)
			afterEnd(l, 32*time.Second)
			f.expect(t, "the user's own", "200")

			for _, status := range []int{180, 200, 486} {
				l.Receive(parse(t, invite()), source(f))
				after(80 * time.Millisecond)
				answer(t, u.last(), invite(), status)
				after(80 * time.Millisecond)
				f.expect(t, "the user was sooner", fmt.Sprint(status))
				if status < 200 {
					answer(t, u.last(), invite(), 200)
				}
				l.Receive(parse(t, ack()), source(f))
				afterEnd(l, 64*time.Second)
				f.take()
			}
			expectEmpty(t, l)
		}
	})
}

// Whoever keeps the connections is told over which of them nothing was answered.
func TestTimedOut(t *testing.T) {
	var told []uint64
	bubble(t, Config{TimedOut: func(f Flow) { told = append(told, f.ID()) }}, func(t *testing.T, l *Layer, u *testUser) {
		for id, method := range []string{"INVITE", "BYE", "OPTIONS"} {
			branch := fmt.Sprint(cookie, id)
			f := tls(uint64(id+1), "b")
			if _, err := l.Start([]byte(request(method, "pc.example.org;branch="+branch)), branch, method, f, u); err != nil {
				t.Fatal(err)
			}
		}
		l.FlowClosed(3, errors.New("reset"))
		after(32 * time.Second)
		if slices.Sort(told); !slices.Equal(told, []uint64{1, 2}) {
			t.Errorf("told of %v", told)
		}
		u.expect(t, "failures", "failed: transport", "failed: timeout", "failed: timeout")
		expectEmpty(t, l)
	})
}

// RFC 6026, Section 7.1: after a 2xx the INVITE is absorbed, each 2xx is sent, each ACK is the user's.
func TestServerInviteAccepted(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := udp()
		l.Receive(parse(t, invite()), source(f))
		answer(t, u.last(), invite(), 200)
		l.Receive(parse(t, invite()), source(f))
		answer(t, u.last(), invite(), 200)
		f.expect(t, "2xx", "200", "200")
		l.Receive(parse(t, ack()), source(f))
		l.Receive(parse(t, request("ACK", "pc.example.org;branch=z9hG4bK-other")), source(f))
		u.expect(t, "ACK", "request INVITE", "ack", "ack")
		if err := u.last().Respond([]byte("x"), 500); !errors.Is(err, ErrEnded) {
			t.Errorf("Respond 500 after 200: %v", err)
		}
		afterEnd(l, 32*time.Second)
		f.expect(t, "Timer L")
		expectEmpty(t, l)
	})
}

func TestServerNonInvite(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := udp()
		options := request("OPTIONS", "pc.example.org;branch=z9hG4bK-two")
		l.Receive(parse(t, options), source(f))
		l.Receive(parse(t, options), source(f))
		f.expect(t, "Trying")
		if err := u.last().Respond([]byte("x"), 180); !errors.Is(err, ErrProvisional) {
			t.Errorf("Respond 180: %v", err)
		}
		if err := u.last().Respond([]byte("x"), 100); !errors.Is(err, ErrProvisional) {
			t.Errorf("Respond 100: %v", err)
		}
		after(3500 * time.Millisecond)
		l.Receive(parse(t, options), source(f))
		f.expect(t, "slow: RFC 4320, Section 4.1", "100", "100")
		answer(t, u.last(), options, 200)
		l.Receive(parse(t, options), source(f))
		f.expect(t, "Completed", "200", "200")
		u.expect(t, "once", "request OPTIONS")
		afterEnd(l, 32*time.Second)
		expectEmpty(t, l)

		c := tls(1, "a")
		l.Receive(parse(t, options), source(c))
		answer(t, u.last(), options, 200)
		c.expect(t, "over a connection", "200")
		expectEmpty(t, l)

		// RFC 4320, Section 4.2
		l.Receive(parse(t, options), source(f))
		answer(t, u.last(), options, 408)
		l.Receive(parse(t, options), source(f))
		f.expect(t, "408")
		afterEnd(l, 32*time.Second)
		u.expect(t, "three in all", "request OPTIONS", "request OPTIONS")
		expectEmpty(t, l)
	})
}

func TestServerFailed(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := udp()
		l.Receive(parse(t, invite()), source(f))
		f.fail(errors.New("unreachable"))
		answer(t, u.last(), invite(), 486)
		u.expect(t, "not delivered", "request INVITE", "server failed: transport")
		f.fail(nil)
		after(500 * time.Millisecond)
		f.expect(t, "goes on", "486")
		l.Receive(parse(t, ack()), source(f))
		after(5 * time.Second)

		// A user that never answers is helped out.
		f = tls(1, "a")
		f.fail(errors.New("closed"))
		l.Receive(parse(t, request("OPTIONS", "pc.example.org;branch=z9hG4bK-two")), source(f))
		afterEnd(l, 37*time.Second)
		u.expect(t, "abandoned", "request OPTIONS", "server failed: timeout")
		expectEmpty(t, l)
		if st := l.Stats(); st.Undelivered != 2 || st.TimedOut != 1 {
			t.Errorf("undelivered %d, timed out %d", st.Undelivered, st.TimedOut)
		}
	})
}

func TestClientInvite(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := udp()
		c, err := l.Start([]byte(invite()), testBranch, "INVITE", f, u)
		if err != nil || c.Branch() != testBranch || c.Method() != "INVITE" || c.Flow() != f {
			t.Fatalf("Start: %+v %v", c, err)
		}
		if _, err := l.Start([]byte(invite()), testBranch, "INVITE", f, u); !errors.Is(err, ErrBranch) {
			t.Errorf("the same branch again: %v", err)
		}
		after(1500 * time.Millisecond)
		f.expect(t, "Timer A", "INVITE", "INVITE", "INVITE")
		l.Receive(parse(t, respond(t, invite(), 180)), source(f))
		after(10 * time.Second)
		f.expect(t, "ringing")
		l.Receive(parse(t, respond(t, invite(), 404)), source(f))
		l.Receive(parse(t, respond(t, invite(), 404)), source(f))
		whole := f.takeWhole()
		if len(whole) != 2 || whole[0] != whole[1] {
			t.Fatalf("want two equal ACKs, have %q", whole)
		}
		ack := parse(t, whole[0])
		to, _ := ack.To()
		if ack.Method() != "ACK" || ack.Branch() != testBranch || to.Tag() != "b1" {
			t.Errorf("ACK is %q", whole[0])
		}
		u.expect(t, "to the final response", "response 180", "response 404")
		afterEnd(l, 32*time.Second)
		expectEmpty(t, l)
		u.expect(t, "Timer D")

		// Nobody answers.
		if _, err = l.Start([]byte(invite()), testBranch, "INVITE", f, u); err != nil {
			t.Fatal(err)
		}
		afterEnd(l, 32*time.Second)
		u.expect(t, "Timer B", "failed: timeout")
		expectEmpty(t, l)
		if st := l.Stats(); st.Retransmits[ClientInvite] != 2+6 || st.Created[ClientInvite] != 2 || st.TimedOut != 1 {
			t.Errorf("counters: %+v", st)
		}
	})
}

func TestClientFork(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := tls(3, "b")
		if _, err := l.Start([]byte(invite()), testBranch, "INVITE", f, u); err != nil {
			t.Fatal(err)
		}
		for _, status := range []int{100, 200, 200, 202, 486} {
			l.Receive(parse(t, respond(t, invite(), status)), source(f))
		}
		u.expect(t, "several 2xx", "response 100", "response 200", "response 200", "response 202")
		f.expect(t, "no ACK", "INVITE")
		l.FlowClosed(3, errors.New("reset"))
		u.expect(t, "closed after acceptance")
		afterEnd(l, 32*time.Second)
		l.Receive(parse(t, respond(t, invite(), 200)), source(f))
		u.expect(t, "a stray: RFC 6026, Section 7.2")
		expectEmpty(t, l)
		if st := l.Stats(); st.Stray != 1 {
			t.Errorf("strays: %d", st.Stray)
		}
	})
}

func TestClientNonInvite(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		bye := request("BYE", "pc.example.org;branch="+testBranch)
		f := udp()
		if _, err := l.Start([]byte(bye), testBranch, "BYE", f, u); err != nil {
			t.Fatal(err)
		}
		after(500 * time.Millisecond)
		f.expect(t, "Timer E", "BYE", "BYE")
		l.Receive(parse(t, respond(t, bye, 200)), source(f))
		l.Receive(parse(t, respond(t, bye, 200)), source(f))
		u.expect(t, "one response", "response 200")
		afterEnd(l, 5*time.Second)
		expectEmpty(t, l)

		f = tls(1, "b")
		if _, err := l.Start([]byte(bye), testBranch, "BYE", f, u); err != nil {
			t.Fatal(err)
		}
		l.Receive(parse(t, respond(t, bye, 200)), source(f))
		u.expect(t, "over a connection", "response 200")
		expectEmpty(t, l)

		f.fail(errors.New("closed"))
		if _, err := l.Start([]byte(bye), testBranch, "BYE", f, u); failure(err) != "transport" {
			t.Errorf("Start on a broken flow: %v", err)
		}
		if _, err := l.Start([]byte(bye), testBranch, "ACK", f, u); !errors.Is(err, ErrMethod) {
			t.Errorf("Start of an ACK: %v", err)
		}
		u.expect(t, "Start failed")
		expectEmpty(t, l)
	})
}

func TestClientRetransmitFails(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := udp()
		if _, err := l.Start([]byte(invite()), testBranch, "INVITE", f, u); err != nil {
			t.Fatal(err)
		}
		f.fail(errors.New("unreachable"))
		after(500 * time.Millisecond)
		u.expect(t, "Timer A", "failed: transport")
		expectEmpty(t, l)
	})
}

func TestLimit(t *testing.T) {
	bubble(t, Config{MaxTransactions: 2, RetryAfter: 7 * time.Second}, func(t *testing.T, l *Layer, u *testUser) {
		f := udp()
		for _, branch := range []string{"1", "2", "3", "3"} {
			l.Receive(parse(t, request("INVITE", "pc.example.org;branch=z9hG4bK"+branch)), source(f))
		}
		sent := f.takeWhole()
		if len(sent) != 2 || parse(t, sent[0]).StatusCode() != 503 || parse(t, sent[1]).StatusCode() != 503 {
			t.Fatalf("sent %q", sent)
		}
		if after, _ := parse(t, sent[0]).Header("Retry-After"); after != "7" {
			t.Errorf("Retry-After is %q", after)
		}
		// No state, and yet the tag is the same: RFC 3261, Section 8.2.7.
		if sent[0] != sent[1] {
			t.Errorf("%q\n%q", sent[0], sent[1])
		}
		for i, want := range []error{nil, nil, ErrFull} {
			branch := NewBranch()
			_, err := l.Start([]byte(request("INVITE", "p.example.net;branch="+branch)), branch, "INVITE", f, u)
			if !errors.Is(err, want) {
				t.Errorf("Start %d: %v", i, err)
			}
		}
		if st := l.Stats(); st.Refused != 3 {
			t.Errorf("refused %d, want 3", st.Refused)
		}
	})
}

func TestDrain(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := tls(4, "a")
		l.Receive(parse(t, invite()), source(f))
		if l.Outstanding(0) != 1 || l.Outstanding(4) != 1 || l.Outstanding(5) != 0 {
			t.Errorf("outstanding: %d, %d, %d", l.Outstanding(0), l.Outstanding(4), l.Outstanding(5))
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := l.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain with an open transaction: %v", err)
		}
		l.Receive(parse(t, request("INVITE", "pc.example.org;branch=z9hG4bK-two")), source(f))
		f.expect(t, "while draining", "100", "503")
		answer(t, u.last(), invite(), 200)
		if err := l.Drain(t.Context()); err != nil {
			t.Errorf("Drain: %v", err)
		}
		afterEnd(l, 32*time.Second)
		expectEmpty(t, l)
	})
}

func TestListing(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		l.Receive(parse(t, invite()), source(tls(4, "a")))
		answer(t, u.last(), invite(), 486)
		if _, err := l.Start([]byte(invite()), testBranch, "INVITE", udp(), u); err != nil {
			t.Fatal(err)
		}
		got := map[Kind]Info{}
		for _, info := range l.Transactions() {
			got[info.Kind] = info
		}
		want := map[Kind]Info{
			ServerInvite: {Kind: ServerInvite, State: Completed, Method: "INVITE", Conn: 4, Peer: "tls:192.0.2.1:5060", Timer: "H", In: 32 * time.Second},
			ClientInvite: {Kind: ClientInvite, State: Calling, Method: "INVITE", Branch: testBranch, Timer: "A", In: 500 * time.Millisecond},
		}
		for k, w := range want {
			if got[k] != w {
				t.Errorf("got %+v\nwant %+v", got[k], w)
			}
		}
	})
}

func TestNames(t *testing.T) {
	if got := kinds.String() + " " + ServerInvite.String(); got != "unknown server-invite" {
		t.Error(got)
	}
	if got := (Terminated + 1).String() + " " + Accepted.String(); got != "unknown accepted" {
		t.Error(got)
	}
	cause := errors.New("reset")
	if err := error(&TransportError{Err: cause}); !errors.Is(err, cause) || err.Error() != "transaction: not delivered: reset" {
		t.Error(err)
	}
}
