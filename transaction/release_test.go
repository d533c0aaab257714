package transaction

import (
	"slices"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// TestRequestIsHeld: a request whose user is done with it is the transaction's until the final response, and nobody's
// behind that. Others use their memory meanwhile.
func TestRequestIsHeld(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		u.onRequest = func(_ *Server, req *sip.Message) { req.Release() }
		f := udp()
		m := parseBytes(t, invite())
		l.Receive(m, source(f))
		others := []*sip.Message{parseBytes(t, ack()), parseBytes(t, cancel())}
		after(200 * time.Millisecond)
		if sent, want := f.takeWhole(), respond(t, invite(), 100); len(sent) != 1 || sent[0] != want {
			t.Errorf("sent %q, want %q", sent, want)
		}
		if req := u.last().Request(); req != m || req.Raw() != invite() {
			t.Errorf("the transaction has %q", req.Raw())
		}
		m.Release() // for Request
		answer(t, u.last(), invite(), 486)
		if u.last().Request() != nil {
			t.Error("the transaction has it still")
		}
		if slices.Contains(others, m) {
			t.Error("it was used again before its end")
		}
		l.Receive(parse(t, ack()), source(f))
		afterEnd(l, 64*time.Second)
	})
}

func parseBytes(t *testing.T, text string) *sip.Message {
	t.Helper()
	m, err := sip.ParseBytes([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}
