package transaction

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestShare: a party that has all that it may have is answered 503, others are not, and what has begun goes on.
func TestShare(t *testing.T) {
	bubble(t, Config{RetryAfter: 7 * time.Second}, func(t *testing.T, l *Layer, u *testUser) {
		address, identity := NewShare(2), NewShare(3)
		f := udp()
		from := func(shares ...*Share) *Source {
			src := source(f)
			copy(src.Shares[:], shares)
			return src
		}
		send := func(src *Source, branch, method string) {
			l.Receive(parse(t, request(method, "pc.example.org;branch=z9hG4bK"+branch)), src)
		}
		for _, branch := range []string{"1", "2"} {
			send(from(address, identity), branch, "INVITE")
		}
		f.expect(t, "within the share")
		send(from(address, identity), "3", "INVITE")
		sent := f.takeWhole()
		if len(sent) != 1 || parse(t, sent[0]).StatusCode() != 503 {
			t.Fatalf("sent %q", sent)
		}
		if after, _ := parse(t, sent[0]).Header("Retry-After"); after != "7" {
			t.Errorf("Retry-After is %q", after)
		}
		send(from(address, identity), "1", "INVITE") // again: it is no new one
		f.expect(t, "a retransmission", "100")
		send(from(NewShare(2), identity), "4", "INVITE") // the same identity from another address
		f.expect(t, "another address")
		send(from(NewShare(2), identity), "5", "INVITE")
		f.expect(t, "the identity has its share", "503")
		send(from(NewShare(2)), "6", "INVITE")
		f.expect(t, "somebody else")
		if st := l.Stats(); st.OverShare != 2 || st.Refused != 2 || address.Live() != 2 || identity.Live() != 3 {
			t.Errorf("%d over the share, %d refused; %d and %d live", st.OverShare, st.Refused, address.Live(), identity.Live())
		}
		// A CANCEL is always let through: it makes room.
		send(from(address, identity), "1", "CANCEL")
		f.expect(t, "CANCEL", "200")
		answer(t, u.last(), request("INVITE", "pc.example.org;branch=z9hG4bK6"), 200)
		after(5 * time.Minute)
		l.mustDrain(t, u)
		if address.Live() != 0 || identity.Live() != 0 {
			t.Errorf("%d and %d live at the end", address.Live(), identity.Live())
		}
	})
}

// mustDrain answers what is left, and waits until it is forgotten.
func (l *Layer) mustDrain(t *testing.T, u *testUser) {
	t.Helper()
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		var left []*Server
		for _, c := range s.live {
			if c != nil && c.server != nil {
				left = append(left, c.server)
			}
		}
		s.mu.Unlock()
		for _, tx := range left {
			if req := tx.Request(); req != nil {
				answer(t, tx, req.Raw(), 486)
			}
		}
	}
	after(5 * time.Minute)
	expectEmpty(t, l)
}

// TestOutstandingByConn tells in one look what Outstanding tells of each connection.
func TestOutstandingByConn(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		a, b := tls(4, "a"), tls(5, "b")
		l.Receive(parse(t, invite()), source(a))
		for range 2 {
			branch := NewBranch()
			if _, err := l.Start([]byte(request("INVITE", "p.example.net;branch="+branch)), branch, "INVITE", b, u); err != nil {
				t.Fatal(err)
			}
		}
		l.Receive(parse(t, request("INVITE", "pc.example.org;branch=z9hG4bKudp")), source(udp()))
		got := l.OutstandingByConn()
		if len(got) != 2 || got[4] != 1 || got[5] != 2 || l.Outstanding(5) != 2 {
			t.Errorf("outstanding: %v", got)
		}
		l.FlowClosed(5, nil)
		l.mustDrain(t, u)
		if got := l.OutstandingByConn(); len(got) != 0 {
			t.Errorf("outstanding at the end: %v", got)
		}
	})
}

// TestShareIsNamed: the log says whose share is used up and how much that is, not that there is no room for anybody.
func TestShareIsNamed(t *testing.T) {
	var log bytes.Buffer
	bubble(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(t *testing.T, l *Layer, u *testUser) {
		src := source(udp())
		src.Shares[0] = NewShare(1)
		for _, branch := range []string{"1", "2"} {
			l.Receive(parse(t, request("OPTIONS", "pc.example.org;branch=z9hG4bK"+branch)), src)
		}
		for _, want := range []string{"of one source", "peer=udp:192.0.2.1:5060", "limit=1\n"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log lacks %q: %s", want, log.String())
			}
		}
		l.mustDrain(t, u)
	})
}
