package transaction

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// What makes a request a new one or one that is known: RFC 3261, Section 17.2.3.
func TestMatchRequests(t *testing.T) {
	old := func(method, to string) string {
		text := request(method, "old.example.org;branch=1")
		return strings.Replace(text, "To: <sip:bob@example.com>", "To: <sip:bob@example.com>"+to, 1)
	}
	cases := []struct {
		name          string
		first, second string
		from          string // identity of the second's source; the first's is "a"
		want          string // what the user is told of the second
	}{
		{"the same", invite(), invite(), "a", ""},
		{"another branch", invite(), request("INVITE", "pc.example.org;branch=z9hG4bK-two"), "a", "request INVITE"},
		{"another sent-by host", invite(), request("INVITE", "pd.example.org;branch="+testBranch), "a", "request INVITE"},
		{"another sent-by port", invite(), request("INVITE", "pc.example.org:5070;branch="+testBranch), "a", "request INVITE"},
		{"another method", invite(), request("BYE", "pc.example.org;branch="+testBranch), "a", "request BYE"},
		{"another identity (A86)", invite(), invite(), "b", "request INVITE"},
		{"no identity (A86)", invite(), invite(), "", "request INVITE"},
		{"its ACK", invite(), ack(), "a", ""},
		{"an ACK from another identity (A85)", invite(), ack(), "b", "ack"},
		{"an ACK with another branch", invite(), request("ACK", "pc.example.org;branch=z9hG4bK-two"), "a", "ack"},

		{"RFC 2543: the same", old("INVITE", ""), old("INVITE", ""), "a", ""},
		{"RFC 2543: no branch at all", request("INVITE", "old.example.org"), request("INVITE", "old.example.org"), "a", ""},
		{"RFC 2543: only the cookie", request("INVITE", "old.example.org;branch=z9hG4bK"), request("INVITE", "old.example.org;branch=z9hG4bK"), "a", ""},
		{"RFC 2543: another To tag", old("INVITE", ""), old("INVITE", ";tag=9"), "a", "request INVITE"},
		{"RFC 2543: another From tag", old("INVITE", ""), strings.Replace(old("INVITE", ""), "tag=a1", "tag=a2", 1), "a", "request INVITE"},
		{"RFC 2543: another Call-ID", old("INVITE", ""), strings.Replace(old("INVITE", ""), "call-1", "call-2", 1), "a", "request INVITE"},
		{"RFC 2543: another CSeq", old("INVITE", ""), strings.Replace(old("INVITE", ""), "CSeq: 7", "CSeq: 8", 1), "a", "request INVITE"},
		{"RFC 2543: another Via", old("INVITE", ""), strings.Replace(old("INVITE", ""), "branch=1", "branch=2", 1), "a", "request INVITE"},
		{"RFC 2543: another Request-URI", old("INVITE", ""), strings.Replace(old("INVITE", ""), "sip:bob@", "sip:bo@", 1), "a", "request INVITE"},
		{"RFC 2543: another method", old("INVITE", ""), old("BYE", ""), "a", "request BYE"},
		{"RFC 2543: another identity", old("INVITE", ""), old("INVITE", ""), "b", "request INVITE"},
		{"RFC 2543: its ACK", old("INVITE", ""), old("ACK", ";tag=b1"), "a", ""},
		{"RFC 2543: the ACK for another response", old("INVITE", ""), old("ACK", ";tag=b2"), "a", "ack"},
		{"RFC 2543: an ACK with another CSeq", old("INVITE", ""), strings.Replace(old("ACK", ";tag=b1"), "CSeq: 7", "CSeq: 8", 1), "a", "ack"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
				first := tls(1, "a")
				l.Receive(parse(t, tc.first), source(first))
				answer(t, u.last(), tc.first, 486)
				u.expect(t, "first", "request INVITE")
				l.Receive(parse(t, tc.second), source(tls(2, tc.from)))
				var want []string
				if tc.want != "" {
					want = append(want, tc.want)
				}
				u.expect(t, "second", want...)
				// An ACK that matched has ended the transaction, since it came over a reliable transport.
				if gone := l.Stats().Live[ServerInvite] == 0; gone != (tc.want == "" && strings.HasPrefix(tc.second, "ACK")) {
					t.Errorf("the INVITE's transaction is gone: %v", gone)
				}
			})
		})
	}
}

// RFC 6026, Section 6: the ACK of an old client for a 2xx matches its INVITE, and is the user's all the same.
func TestMatchOldAckFor2xx(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := udp()
		l.Receive(parse(t, request("INVITE", "old.example.org")), source(f))
		answer(t, u.last(), request("INVITE", "old.example.org"), 200)
		l.Receive(parse(t, request("ACK", "old.example.org")), source(f))
		u.expect(t, "ACK", "request INVITE", "ack")
	})
}

// Where the response to a request may come from: RFC 3261, Section 17.1.3, and whom the request went to.
func TestMatchResponses(t *testing.T) {
	over := func(id uint64, transport sipaddr.Transport, identity string) *testFlow {
		return &testFlow{id: id, transport: transport, identity: identity}
	}
	cases := []struct {
		name     string
		to, from *testFlow
		text     string
		want     string
	}{
		{"the same connection", tls(1, "b"), tls(1, "b"), respond(t, invite(), 180), "response 180"},
		{"another connection of the same peer", tls(1, "b"), tls(2, "b"), respond(t, invite(), 180), "response 180"},
		{"another peer (A86)", tls(1, "b"), tls(2, "c"), respond(t, invite(), 180), ""},
		{"nobody known", tls(1, "b"), tls(2, ""), respond(t, invite(), 180), ""},
		{"the same peer without protection", tls(1, "b"), over(2, sipaddr.TCP, "b"), respond(t, invite(), 180), ""},
		{"plain TCP, a new connection", over(1, sipaddr.TCP, ""), over(2, sipaddr.TCP, ""), respond(t, invite(), 180), "response 180"},
		{"plain TCP, but somebody who is known", over(1, sipaddr.TCP, ""), over(2, sipaddr.TCP, "c"), respond(t, invite(), 180), ""},
		{"UDP", udp(), udp(), respond(t, invite(), 180), "response 180"},
		{"UDP, but over TCP", udp(), over(2, sipaddr.TCP, ""), respond(t, invite(), 180), ""},
		{"another branch", tls(1, "b"), tls(1, "b"), respond(t, request("INVITE", "pc.example.org;branch=z9hG4bK-two"), 180), ""},
		{"another method", tls(1, "b"), tls(1, "b"), respond(t, cancel(), 180), ""},
		{"another sent-by", tls(1, "b"), tls(1, "b"), respond(t, request("INVITE", "elsewhere.example.org;branch="+testBranch), 180), ""},
		{"a request of ours that comes back is not one", tls(1, "b"), tls(1, "b"), invite(), "request INVITE"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			cfg := Config{OwnSentBy: func(via *sip.Via) bool { return via.Host == "pc.example.org" }}
			bubble(t, cfg, func(t *testing.T, l *Layer, u *testUser) {
				if _, err := l.Start([]byte(invite()), testBranch, "INVITE", tc.to, u); err != nil {
					t.Fatal(err)
				}
				l.Receive(parse(t, tc.text), source(tc.from))
				var want []string
				if tc.want != "" {
					want = append(want, tc.want)
				}
				u.expect(t, "response", want...)
				if st := l.Stats(); st.Stray+st.Foreign != uint64(1-len(want)) {
					t.Errorf("strays %d, foreign %d", st.Stray, st.Foreign)
				}
			})
		})
	}
}

// Whoever sends the same branch again and again with other methods or tags does not make look-ups slow.
func TestMatchLongChain(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		f := tls(1, "a")
		for i := range 2 * maxChain {
			l.Receive(parse(t, request(fmt.Sprintf("METHOD%d", i), "pc.example.org;branch="+testBranch)), source(f))
		}
		if st := l.Stats(); st.Live[ServerNonInvite] != maxChain || st.Refused != maxChain {
			t.Errorf("live %d, refused %d, want %d each", st.Live[ServerNonInvite], st.Refused, maxChain)
		}
		after(37_000_000_000)
		expectEmpty(t, l)
	})
}

// What can't be matched is dropped and counted.
func TestMatchUnreadable(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		for _, method := range []string{"INVITE", "ACK", "CANCEL"} {
			l.Receive(parse(t, strings.Replace(request(method, "pc.example.org"), "CSeq: 7", "CSeq: x", 1)), source(udp()))
			l.Receive(parse(t, strings.Replace(request(method, "pc.example.org"), "Via: ", "X: ", 1)), source(udp()))
		}
		l.Receive(parse(t, strings.Replace(respond(t, invite(), 200), "Via: ", "X: ", 1)), source(udp()))
		u.expect(t, "unreadable")
		if st := l.Stats(); st.Unreadable != 7 {
			t.Errorf("unreadable: %d", st.Unreadable)
		}
	})
}

func TestNewBranch(t *testing.T) {
	a, b := NewBranch(), NewBranch()
	if !regexp.MustCompile("^z9hG4bK[a-z2-7]{26}$").MatchString(a) || !unique(a) || a == b {
		t.Errorf("branches %q and %q", a, b)
	}
	for branch, want := range map[string]bool{"": false, "z9hG4bK": false, "z9hG4bKx": true, "Z9HG4BKx": true, "z9hG4b": false, "1": false} {
		if unique(branch) != want {
			t.Errorf("unique(%q) is %v", branch, !want)
		}
	}
}
