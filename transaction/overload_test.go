package transaction

import (
	"strings"
	"testing"
)

// TestOverload: while more comes in than can be handled, what begins is refused without state, and what goes on goes on.
func TestOverload(t *testing.T) {
	overloaded := false
	cfg := Config{Overloaded: func() bool { return overloaded }}
	bubble(t, cfg, func(t *testing.T, l *Layer, u *testUser) {
		f := udp()
		l.Receive(parse(t, invite()), source(f))
		f.expect(t, "before")
		u.expect(t, "before", "request INVITE")

		overloaded = true
		other := request("INVITE", "pc.example.org;branch=z9hG4bK-two")
		l.Receive(parse(t, other), source(f))
		sent := f.takeWhole()
		if len(sent) != 1 {
			t.Fatalf("sent %q", sent)
		}
		refusal := parse(t, sent[0])
		if after, _ := refusal.Header("Retry-After"); refusal.StatusCode() != 503 || after == "" {
			t.Errorf("sent %q", sent[0])
		}
		to, err := refusal.To()
		if err != nil || to.Tag() == "" {
			t.Fatalf("no tag in %q", sent[0])
		}
		u.expect(t, "nobody is told")

		// The ACK of the refusal goes nowhere: it is hop by hop, RFC 3261, Section 17.1.1.3.
		ack := strings.ReplaceAll(other, "INVITE", "ACK")
		ack = strings.Replace(ack, "To: <sip:bob@example.com>", "To: <sip:bob@example.com>;tag="+to.Tag(), 1)
		if a, err := parse(t, ack).To(); err != nil || a.Tag() != to.Tag() {
			t.Fatalf("the test's ACK has no tag: %q", ack)
		}
		l.Receive(parse(t, ack), source(f))
		u.expect(t, "the ACK")
		l.Receive(parse(t, strings.Replace(ack, "tag="+to.Tag(), "tag=b1", 1)), source(f))
		u.expect(t, "an ACK for another response", "ack")

		l.Receive(parse(t, invite()), source(f))
		f.expect(t, "again", "100")
		bye := request("BYE", "pc.example.org;branch=z9hG4bK-three")
		bye = strings.Replace(bye, "To: <sip:bob@example.com>", "To: <sip:bob@example.com>;tag=b1", 1)
		l.Receive(parse(t, bye), source(f))
		u.expect(t, "in a dialog", "request BYE")

		overloaded = false
		l.Receive(parse(t, other), source(f))
		u.expect(t, "after", "request INVITE")
		if st := l.Stats(); st.Overload != 1 || st.Refused != 1 {
			t.Errorf("%d refused, %d of them for overload", st.Refused, st.Overload)
		}
	})
}
