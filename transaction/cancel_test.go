package transaction

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// A CANCEL from the client: RFC 3261, Section 9.2.
func TestCancelServer(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := udp()
		l.Receive(parse(t, cancel()), source(f))
		f.expect(t, "before its INVITE", "481")
		l.Receive(parse(t, invite()), source(f))
		l.Receive(parse(t, cancel()), source(f))
		l.Receive(parse(t, cancel()), source(f))
		whole := f.takeWhole()
		if len(whole) != 2 || whole[0] != whole[1] || parse(t, whole[0]).StatusCode() != 200 {
			t.Fatalf("sent %q", whole)
		}
		if to, _ := parse(t, whole[0]).To(); to.Tag() != u.last().Tag() || to.Tag() == "" {
			t.Errorf("To of the 200 is %v, want the tag %q", to, u.last().Tag())
		}
		u.expect(t, "CANCEL", "request INVITE", "cancel INVITE")
		answer(t, u.last(), invite(), 487)
		l.Receive(parse(t, cancel()), source(f))
		f.expect(t, "after 487", "487", "200")
		l.Receive(parse(t, ack()), source(f))
		u.expect(t, "after 487")
		afterEnd(l, 32*time.Second)
		expectEmpty(t, l)
		if st := l.Stats(); st.Unmatched != 1 {
			t.Errorf("unmatched %d", st.Unmatched)
		}
	})
}

// Over a connection a CANCEL leaves nothing behind.
func TestCancelServerReliable(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := tls(1, "a")
		l.Receive(parse(t, invite()), source(f))
		l.Receive(parse(t, cancel()), source(f))
		l.Receive(parse(t, cancel()), source(f))
		f.expect(t, "CANCEL", "200", "200")
		u.expect(t, "CANCEL", "request INVITE", "cancel INVITE")
		answer(t, u.last(), invite(), 200)
		l.Receive(parse(t, cancel()), source(f))
		f.expect(t, "too late", "200", "200")
		u.expect(t, "too late")

		// Other requests are canceled without effect.
		options := request("OPTIONS", "pc.example.org;branch=z9hG4bK-two")
		l.Receive(parse(t, options), source(f))
		l.Receive(parse(t, request("CANCEL", "pc.example.org;branch=z9hG4bK-two")), source(f))
		f.expect(t, "OPTIONS", "200")
		u.expect(t, "OPTIONS", "request OPTIONS")
	})
}

// A85: a CANCEL from somebody else has nothing to cancel, even with the right branch and sent-by.
func TestCancelServerForeign(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		l.Receive(parse(t, invite()), source(tls(1, "a")))
		for _, identity := range []string{"b", ""} {
			f := tls(2, identity)
			l.Receive(parse(t, cancel()), source(f))
			f.expect(t, "from "+identity, "481")
		}
		u.expect(t, "foreign CANCEL", "request INVITE")
		f := tls(3, "a")
		l.Receive(parse(t, cancel()), source(f))
		f.expect(t, "over another connection of the same peer", "200")
		u.expect(t, "CANCEL", "cancel INVITE")
	})
}

// An old client's CANCEL: RFC 3261, Section 17.2.3.
func TestCancelServerOld(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := udp()
		l.Receive(parse(t, request("INVITE", "old.example.org")), source(f))
		l.Receive(parse(t, request("CANCEL", "old.example.org")), source(f))
		l.Receive(parse(t, request("CANCEL", "old.example.org")), source(f))
		f.expect(t, "CANCEL", "200", "200")
		u.expect(t, "CANCEL", "request INVITE", "cancel INVITE")
	})
}

// A CANCEL that overtakes the call of Request is told after it.
func TestCancelServerEarly(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := tls(1, "a")
		u.onRequest = func(*Server, *sip.Message) {
			l.Receive(parse(t, cancel()), source(f))
			u.note("returns")
		}
		l.Receive(parse(t, invite()), source(f))
		u.expect(t, "order", "request INVITE", "returns", "cancel INVITE")
		f.expect(t, "answers", "200")
	})
}

func TestCancelClient(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := udp()
		c, err := l.Start([]byte(invite()), testBranch, "INVITE", f, u)
		if err != nil {
			t.Fatal(err)
		}
		c.Cancel(sip.Line{Name: "Reason", Value: "SIP;cause=200"})
		c.Cancel()
		f.expect(t, "held", "INVITE")
		l.Receive(parse(t, respond(t, invite(), 180)), source(f))
		whole := f.takeWhole()
		if len(whole) != 1 {
			t.Fatalf("sent %q", whole)
		}
		m := parse(t, whole[0])
		if reason, _ := m.Header("Reason"); m.Method() != "CANCEL" || m.Branch() != testBranch || reason != "SIP;cause=200" || m.Count(sip.FieldVia) != 1 {
			t.Errorf("CANCEL is %q", whole[0])
		}
		after(500 * time.Millisecond)
		f.expect(t, "the CANCEL's Timer E", "CANCEL")
		l.Receive(parse(t, respond(t, cancel(), 200)), source(f))
		l.Receive(parse(t, respond(t, invite(), 487)), source(f))
		f.expect(t, "487", "ACK")
		u.expect(t, "all", "response 180", "response 487")
		c.Cancel()
		afterEnd(l, 32*time.Second)
		f.expect(t, "at the end")
		expectEmpty(t, l)
	})
}

// An old server does not send a 487: RFC 3261, Section 9.1.
func TestCancelClientTimeout(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := tls(1, "b")
		c, err := l.Start([]byte(invite()), testBranch, "INVITE", f, u)
		if err != nil {
			t.Fatal(err)
		}
		l.Receive(parse(t, respond(t, invite(), 180)), source(f))
		c.Cancel()
		l.Receive(parse(t, respond(t, cancel(), 200)), source(f))
		afterEnd(l, 32*time.Second)
		u.expect(t, "Timer Cancel", "response 180", "failed: timeout")
		expectEmpty(t, l)

		bye := request("BYE", "pc.example.org;branch="+testBranch)
		if c, err = l.Start([]byte(bye), testBranch, "BYE", udp(), u); err != nil {
			t.Fatal(err)
		}
		c.Cancel()
		if l.Transactions()[0].Canceled {
			t.Error("a BYE is canceled")
		}
	})
}

// RFC 5923, Section 8.1: when the connection of an INVITE is gone, its CANCEL and the ACK for what comes
// of it go over a new one.
func TestClosedWhileRinging(t *testing.T) {
	first, second := tls(1, "b"), tls(2, "b")
	asked := 0
	cfg := Config{Reconnect: func(old Flow, done func(Flow, error)) {
		if asked++; old != first {
			t.Errorf("reconnect of %v", old)
		}
		done(second, nil)
	}}
	bubble(t, cfg, func(t *testing.T, l *Layer, u *testUser) {
		c, err := l.Start([]byte(invite()), testBranch, "INVITE", first, u)
		if err != nil {
			t.Fatal(err)
		}
		l.Receive(parse(t, respond(t, invite(), 180)), source(first))
		first.fail(errors.New("closed"))
		l.FlowClosed(0, nil)
		l.FlowClosed(7, errors.New("another"))
		u.expect(t, "before", "response 180")
		l.FlowClosed(1, errors.New("reset"))
		u.expect(t, "closed", "failed: transport")
		second.expect(t, "CANCEL over the new connection", "CANCEL")
		if c.Flow() != second {
			t.Error("the transaction goes on over the old connection")
		}
		l.Receive(parse(t, respond(t, cancel(), 200)), source(second))
		l.Receive(parse(t, respond(t, invite(), 487)), source(second))
		second.expect(t, "ACK over the new connection", "ACK")
		u.expect(t, "487 is not of interest any more")
		expectEmpty(t, l)
		if st := l.Stats(); asked != 1 || st.Reconnected != 1 || st.Lost != 0 {
			t.Errorf("asked %d times; %+v", asked, st)
		}
	})
}

// The same, when the layer learns of the end only by sending.
func TestClosedUnnoticed(t *testing.T) {
	first, second := tls(1, "b"), tls(2, "b")
	var later []func()
	cfg := Config{Reconnect: func(_ Flow, done func(Flow, error)) {
		later = append(later, func() { done(second, nil) })
	}}
	bubble(t, cfg, func(t *testing.T, l *Layer, u *testUser) {
		if _, err := l.Start([]byte(invite()), testBranch, "INVITE", first, u); err != nil {
			t.Fatal(err)
		}
		first.fail(errors.New("closed"))
		l.Receive(parse(t, respond(t, invite(), 404)), source(second))
		u.expect(t, "404", "response 404")
		second.expect(t, "not yet")
		later[0]()
		second.expect(t, "ACK", "ACK")
		expectEmpty(t, l)

		first.fail(nil)
		c, err := l.Start([]byte(invite()), testBranch, "INVITE", first, u)
		if err != nil {
			t.Fatal(err)
		}
		l.Receive(parse(t, respond(t, invite(), 180)), source(first))
		first.fail(errors.New("closed"))
		c.Cancel()
		later[1]()
		second.expect(t, "CANCEL", "CANCEL")
		// The second connection goes too: that was it.
		l.FlowClosed(2, errors.New("reset"))
		u.expect(t, "both closed", "response 180", "failed: transport")
		if st := l.Stats(); st.Reconnected != 2 || st.Lost != 1 || len(later) != 2 {
			t.Errorf("%+v", st)
		}
		afterEnd(l, 32*time.Second)
		expectEmpty(t, l)
	})
}

// Nobody can give a new connection.
func TestClosedForGood(t *testing.T) {
	for _, name := range []string{"no hook", "refused"} {
		t.Run(name, func(t *testing.T) {
			var cfg Config
			if name == "refused" {
				cfg.Reconnect = func(_ Flow, done func(Flow, error)) { done(nil, errors.New("refused")) }
			}
			bubble(t, cfg, func(t *testing.T, l *Layer, u *testUser) {
				f := tls(1, "b")
				for _, branch := range []string{"ringing", "waiting", "answered"} {
					text := strings.Replace(invite(), testBranch, cookie+branch, 1)
					if _, err := l.Start([]byte(text), cookie+branch, "INVITE", f, u); err != nil {
						t.Fatal(err)
					}
					switch branch {
					case "ringing":
						l.Receive(parse(t, respond(t, text, 180)), source(f))
					case "answered":
						f.fail(errors.New("closed"))
						l.Receive(parse(t, respond(t, text, 404)), source(f))
					}
				}
				u.expect(t, "before", "response 180", "response 404")
				l.FlowClosed(1, nil)
				u.expect(t, "closed", "failed: transport", "failed: transport")
				afterEnd(l, 32*time.Second)
				u.expect(t, "nothing more")
				expectEmpty(t, l)
			})
		})
	}
}

// What was started with something else than a request can be neither canceled nor acknowledged.
func TestCancelClientGarbage(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := tls(1, "b")
		c, err := l.Start([]byte("no request"), testBranch, "INVITE", f, u)
		if err != nil {
			t.Fatal(err)
		}
		c.Cancel()
		l.Receive(parse(t, respond(t, invite(), 180)), source(f))
		l.Receive(parse(t, respond(t, invite(), 486)), source(f))
		f.expect(t, "nothing but that", "no")
		u.expect(t, "and yet", "response 180", "response 486")
		if st := l.Stats(); st.Lost != 2 {
			t.Errorf("lost %d, want 2", st.Lost)
		}
	})
}

// The flow breaks the moment the INVITE is sent: FlowClosed is faster than Send's error.
func TestClosedWhileStarting(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := &closingFlow{testFlow: tls(1, "b"), l: l}
		if c, err := l.Start([]byte(invite()), testBranch, "INVITE", f, u); c == nil || err != nil {
			t.Errorf("Start: %v %v, want a transaction that failed", c, err)
		}
		u.expect(t, "once", "failed: transport")
		expectEmpty(t, l)
	})
}

// closingFlow is a connection that is gone when something is sent.
type closingFlow struct {
	*testFlow
	l *Layer
}

func (f *closingFlow) Send([]byte) error {
	err := errors.New("closed")
	f.l.FlowClosed(f.id, err)
	return err
}
