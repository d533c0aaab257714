package transaction

import "testing"

// TestKnows: what belongs to a transaction is known, whatever it is, and nothing else is.
func TestKnows(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		flow := tls(1, "a")
		for _, text := range []string{invite(), ack(), request("CANCEL", "pc.example.org;branch="+testBranch)} {
			if l.Knows(parse(t, text), source(flow)) {
				t.Errorf("known before it came: %.20s", text)
			}
		}
		l.Receive(parse(t, invite()), source(flow))
		for _, text := range []string{invite(), request("CANCEL", "pc.example.org;branch="+testBranch)} {
			if !l.Knows(parse(t, text), source(flow)) {
				t.Errorf("not known: %.20s", text)
			}
		}
		if l.Knows(parse(t, request("BYE", "pc.example.org;branch="+testBranch)), source(flow)) {
			t.Error("another method is known")
		}
		answer(t, u.last(), invite(), 486)
		if !l.Knows(parse(t, ack()), source(flow)) {
			t.Error("the ACK is not known")
		}
	})
}
