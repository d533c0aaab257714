package trace

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// request returns the bytes of a request.
func request(callID, from, to, more string) string {
	return "INVITE sip:" + to + "@example.net SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:" + from + "@example.com>;tag=1\r\n" +
		"To: <sip:" + to + "@example.net>\r\nCall-ID: " + callID + "\r\nCSeq: 7 INVITE\r\n" + more + "Content-Length: 0\r\n\r\n"
}

// receive has r told of a message that came from an address, as a node does.
func receive(r *Recorder, callID, raw string, from string) {
	if w := r.Received(callID); w != 0 {
		Record(r, w, &Message{Time: time.Now(), Remote: netip.MustParseAddrPort(from)}, raw)
	}
}

// TestLadder: what is read from a message, and found again.
func TestLadder(t *testing.T) {
	r := New(Config{Memory: 1 << 20})
	receive(r, "a@b", request("a@b", "alice", "bob", ""), "192.0.2.1:5060")
	receive(r, "c@d", request("c@d", "carol", "dave", ""), "192.0.2.2:5060")
	ok := "SIP/2.0 200 Fine\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\nf: <sip:alice@example.com>;tag=1\r\nt: Bob <sip:bob@example.net>;tag=2\r\n" +
		"i: a@b\r\nCSeq: 7 INVITE\r\nl: 0\r\n\r\n"
	if w := r.Sent([]byte(ok)); w != keep {
		t.Fatalf("Sent: %v", w)
	}
	Record(r, keep, &Message{Time: time.Now(), Sent: true, Peer: "partner", Identity: "example.net p.example.net", Conn: 7, Remote: netip.MustParseAddrPort("[2001:db8::1]:5061")}, []byte(ok))

	list := r.Ladder("a@b")
	if len(list) != 2 {
		t.Fatalf("%d messages", len(list))
	}
	in, out := list[0], list[1]
	if in.Method != "INVITE" || in.Status != 0 || in.CSeq != 7 || in.RequestURI != "sip:bob@example.net" || in.FromUser != "alice" || in.ToUser != "bob" || !in.OutsideDialog || in.Branch != "z9hG4bK1" {
		t.Errorf("request: %+v", in)
	}
	if out.Method != "INVITE" || out.Status != 200 || out.Reason != "Fine" || out.OutsideDialog || string(out.Raw) != ok {
		t.Errorf("response: %+v", out)
	}
	calls := r.Calls()
	if len(calls) != 2 || calls[0].CallID != "c@d" {
		t.Fatalf("calls: %+v", calls)
	}
	c := calls[1]
	if !c.Whole || c.Status != 200 || c.Messages != 2 || !slices.Equal(c.Users, []string{"bob", "alice"}) || !slices.Equal(c.Peers, []string{"partner"}) ||
		!slices.Equal(c.Identities, []string{"example.net", "p.example.net"}) || !slices.Equal(c.Connections, []uint64{7}) || len(c.Addresses) != 2 {
		t.Errorf("call: %+v", c)
	}
}

// TestKeepsNoMemory: what is kept refers to nothing of the caller's.
func TestKeepsNoMemory(t *testing.T) {
	r := New(Config{Memory: 1 << 20})
	b := []byte(request("a@b", "alice", "bob", ""))
	want := string(b)
	Record(r, r.Sent(b), &Message{}, b)
	for i := range b {
		b[i] = '!'
	}
	if m := r.Ladder("a@b")[0]; string(m.Raw) != want || m.FromUser != "alice" || m.CallID != "a@b" {
		t.Errorf("kept: %+v", m)
	}
}

// TestBounded: the memory is never exceeded, of the calls that are kept under load everything is, and when the load is
// over all calls are kept again.
func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const memory = 256 << 10
		r := New(Config{Memory: memory})
		defer r.Close()
		load := func(calls int, pause time.Duration) {
			for c := range calls {
				id := fmt.Sprintf("%d@load", c)
				for range 6 {
					receive(r, id, request(id, "alice", "bob", ""), "192.0.2.1:5060")
					if s := r.Stats(); s.Bytes > memory || s.Bytes > 0 != (s.Kept > 0) {
						t.Fatalf("%+v", s)
					}
				}
				time.Sleep(pause)
			}
		}
		load(20_000, time.Millisecond)
		s := r.Stats()
		if s.OneIn < 64 || s.Kept < 20 {
			t.Errorf("under load: %+v", s)
		}
		if age := time.Since(s.Oldest); age < 2*time.Second {
			t.Errorf("under load the memory reaches back %v: %+v", age, s)
		}
		for i, c := range r.Calls() {
			if c.Messages != 6 && i < len(r.Calls())-1 { // of the oldest some may be forgotten
				t.Errorf("%+v is not whole", c)
			}
		}
		load(600, time.Second)
		if s := r.Stats(); s.OneIn != 1 || time.Since(s.Oldest) < reach {
			t.Errorf("afterwards: %+v", s)
		}
		load(1, 0)
		r.Update(Config{})
		if s := r.Stats(); s.Kept != 0 || s.Bytes != 0 || r.Active() {
			t.Errorf("switched off: %+v", s)
		}
	})
}

// TestFollow: who follows gets what the filter says, of a call everything, also from before it was known to match.
func TestFollow(t *testing.T) {
	for _, c := range []struct {
		name   string
		filter Filter
		want   []string // Call-IDs
	}{
		{"all", Filter{}, []string{"1", "2", "1", "2"}},
		{"call", Filter{CallID: "2"}, []string{"2", "2"}},
		{"user", Filter{User: "dave"}, []string{"2", "2"}},
		{"address that comes late", Filter{Peer: "192.0.2.9"}, []string{"1", "1"}},
		{"identity", Filter{Peer: "Example.NET"}, []string{"1", "1"}},
		{"both", Filter{User: "alice", Peer: "partner"}, []string{"1", "1"}},
		{"nobody", Filter{User: "erin"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := New(Config{Memory: 1 << 20})
			r.shift.Store(maxShift) // as under load
			f, err := r.Follow(c.filter)
			if err != nil {
				t.Fatal(err)
			}
			receive(r, "1", request("1", "alice", "bob", ""), "192.0.2.1:5060")
			receive(r, "2", request("2", "carol", "dave", ""), "192.0.2.1:5060")
			Record(r, r.Received("1"), &Message{Time: time.Now(), Peer: "partner", Identity: "example.org example.net", Remote: netip.MustParseAddrPort("192.0.2.9:5061")}, request("1", "alice", "bob", ""))
			receive(r, "2", request("2", "carol", "dave", ""), "192.0.2.1:5060")
			list, missed := f.Next()
			var got []string
			for _, m := range list {
				got = append(got, m.CallID)
			}
			if !slices.Equal(got, c.want) || missed != 0 {
				t.Errorf("got %v and missed %d, want %v", got, missed, c.want)
			}
			if ready := len(f.Ready()) == 1; ready != (len(c.want) > 0) {
				t.Errorf("Ready: %v", ready)
			}
			f.Close()
			if r.Update(Config{}); r.Active() {
				t.Error("it is active without a follower")
			}
		})
	}
}

// TestSlowFollower: one that does not read loses messages and is told how many; the others lose none.
func TestSlowFollower(t *testing.T) {
	r := New(Config{})
	if r.Active() {
		t.Error("it is active though nothing is wanted")
	}
	slow, err := r.Follow(Filter{})
	if err != nil {
		t.Fatal(err)
	}
	quick, err := r.Follow(Filter{})
	if err != nil {
		t.Fatal(err)
	}
	const sent = queueLength + 123
	for n := range sent {
		receive(r, "1", request("1", "alice", "bob", ""), "192.0.2.1:5060")
		if list, missed := quick.Next(); len(list) != 1 || missed != 0 || list[0].Number != uint64(n+1) {
			t.Fatalf("the quick one got %d and missed %d", len(list), missed)
		}
	}
	if list, missed := slow.Next(); len(list) != queueLength || missed != 123 || r.Stats().Missed != 123 {
		t.Errorf("the slow one got %d and missed %d", len(list), missed)
	}
	// Large messages are bounded by their bytes.
	for range 10 {
		receive(r, "1", request("1", "alice", "bob", "X: "+strings.Repeat("x", queueBytes/4)+"\r\n"), "192.0.2.1:5060")
	}
	if list, missed := slow.Next(); len(list) != 3 || missed != 7 {
		t.Errorf("of large messages the slow one got %d and missed %d", len(list), missed)
	}
	for range maxFollowers - 2 {
		if _, err := r.Follow(Filter{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Follow(Filter{}); err == nil {
		t.Error("there is no limit to followers")
	}
}

// TestTogether has many goroutines use one Recorder; the race detector looks on.
func TestTogether(t *testing.T) {
	r := New(Config{Memory: 64 << 10})
	defer r.Close()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for n := range 500 {
				id := fmt.Sprint(g, n%7)
				receive(r, id, request(id, "alice", "bob", ""), "192.0.2.1:5060")
			}
		})
		wg.Go(func() {
			for range 20 {
				f, err := r.Follow(Filter{Peer: "192.0.2.1"})
				if err != nil {
					t.Error(err)
					return
				}
				for range 10 {
					f.Next()
					r.Calls()
				}
				f.Close()
				r.Update(Config{Memory: 32 << 10})
			}
		})
	}
	wg.Wait()
}

// TestCallIDOf: however it is spelled.
func TestCallIDOf(t *testing.T) {
	for raw, want := range map[string]string{
		request("x@y", "a", "b", ""):                             "x@y",
		"SIP/2.0 200 OK\r\ni : z\r\n\r\n":                        "z",
		"SIP/2.0 200 OK\r\nVia: x\r\ncall-id:\t q \r\n\r\n":      "q",
		"SIP/2.0 200 OK\r\nVia: x\r\n\r\nCall-ID : body\r\n\r\n": "",
		"SIP/2.0 200 OK\r\nCall-ID: ":                            "",
		"":                                                       "",
	} {
		if got := string(CallIDOf([]byte(raw))); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

// TestExport: everything is given away, whatever else is wanted, with its Call-ID and without secrets.
func TestExport(t *testing.T) {
	var got []*Message
	r := New(Config{Export: func(m *Message) { got = append(got, m) }})
	if !r.Active() {
		t.Error("it is not active")
	}
	receive(r, "1", request("1", "alice", "bob", "Authorization: Basic abc\r\n"), "192.0.2.1:5060")
	f, err := r.Follow(Filter{CallID: "2"})
	if err != nil {
		t.Fatal(err)
	}
	receive(r, "2", request("2", "alice", "bob", ""), "192.0.2.1:5060")
	if len(got) != 2 || got[0].CallID != "1" || got[1].CallID != "2" || !strings.Contains(string(got[0].Raw), "Basic xxx\r\n") {
		t.Errorf("given away: %+v", got)
	}
	if list, _ := f.Next(); len(list) != 1 || list[0].FromUser != "alice" {
		t.Errorf("followed: %+v", list)
	}
	f.Close()
	if r.Update(Config{}); r.Active() {
		t.Error("it is active")
	}
}
