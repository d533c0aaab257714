package proxy

import (
	"errors"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// Nothing is lost with a connection: RFC 3261, Section 16.9 and RFC 5923, Section 8.1. The tests take one arrow
// each; time does not go on in them unless they say so, so an answer that they see is there at once.

// lost runs a scenario in which a request has reached the first of two addresses, had the answers, and then
// loses its connection.
func lost(t *testing.T, method string, answers []int, scenario func(b *bench, c *client, first *sip.Message)) {
	t.Helper()
	failover(t, func(b *bench) {
		c := b.stranger()
		c.send(c.request(method, "sip:bob@example.com"))
		first := b.at(firstAddr).one(method)
		for _, status := range answers {
			b.at(firstAddr).answer(first, status)
		}
		c.got()
		b.at(firstAddr).breakFlow()
		scenario(b, c, first)
		wait(4 * time.Minute)
		if n := b.core.Stats().Active; n != 0 {
			t.Errorf("%d contexts are left", n)
		}
	})
}

func TestLostUnanswered(t *testing.T) {
	for _, method := range []string{"INVITE", "MESSAGE", "BYE"} {
		lost(t, method, nil, func(b *bench, c *client, first *sip.Message) {
			again := b.at(firstAddr).one(method)
			if again.Raw() != first.Raw() {
				t.Error("what was sent again is another request")
			}
			if n := b.core.Stats().Replays; n != 1 {
				t.Errorf("%d replays", n)
			}
			b.at(firstAddr).answer(again, 200)
			c.expect("200")
			if m := b.at(secondAddr).methods(); m != "" {
				t.Errorf("the second address got %s as well", m)
			}
		})
	}
}

func TestLostUnansweredAndUnreachable(t *testing.T) {
	// The address takes no connection any more: the next one, and after the last a final response at once.
	for _, method := range []string{"INVITE", "MESSAGE"} {
		failover(t, func(b *bench) {
			c := b.stranger()
			c.send(c.request(method, "sip:bob@example.com"))
			b.at(firstAddr).one(method)
			b.refused[firstAddr] = errors.New("refused")
			b.at(firstAddr).breakFlow()
			b.at(secondAddr).one(method)
			b.refused[secondAddr] = errors.New("refused")
			b.at(secondAddr).breakFlow()
			c.expect("500")
		})
	}
}

func TestLostEverywhere(t *testing.T) {
	// Each address gets it twice and breaks each time.
	for _, method := range []string{"INVITE", "MESSAGE"} {
		lost(t, method, nil, func(b *bench, c *client, _ *sip.Message) {
			b.at(firstAddr).one(method)
			b.at(firstAddr).breakFlow()
			for range 2 {
				b.at(secondAddr).one(method)
				c.expect("")
				b.at(secondAddr).breakFlow()
			}
			c.expect("500")
		})
	}
}

func TestLostInviteInProgress(t *testing.T) {
	for name, answers := range map[string][]int{"trying": {100}, "ringing": {100, 180}} {
		t.Run(name, func(t *testing.T) {
			lost(t, "INVITE", answers, func(b *bench, c *client, first *sip.Message) {
				c.expect("500")
				// RFC 5923, Section 8.1: the far side is told over a new connection to the same address.
				cancel := b.at(firstAddr).one("CANCEL")
				if cancel.Branch() != first.Branch() {
					t.Error("the CANCEL has another branch")
				}
				b.at(firstAddr).answer(cancel, 200)
				b.at(firstAddr).answer(first, 487)
				if ack := b.at(firstAddr).one("ACK"); ack.Branch() != first.Branch() {
					t.Error("the ACK has another branch")
				}
				if m := b.at(secondAddr).methods(); m != "" {
					t.Errorf("the second address got %s", m)
				}
			})
		})
	}
}

func TestLostOtherInProgress(t *testing.T) {
	lost(t, "MESSAGE", []int{100}, func(b *bench, c *client, _ *sip.Message) {
		c.expect("500")
		if m := b.at(firstAddr).methods() + b.at(secondAddr).methods(); m != "" {
			t.Errorf("what the far side works on was sent again: %s", m)
		}
	})
}

func TestLostWhileCancelled(t *testing.T) {
	// RFC 5923, Section 8.1: the CANCEL goes over a new connection.
	for _, answers := range [][]int{{}, {180}} {
		failover(t, func(b *bench) {
			c := b.stranger()
			invite := c.request("INVITE", "sip:bob@example.com")
			c.send(invite)
			first := b.at(firstAddr).one("INVITE")
			for _, status := range answers {
				b.at(firstAddr).answer(first, status)
			}
			c.got()
			c.cancel(invite)
			c.expect("200")
			b.at(firstAddr).requests()
			b.at(firstAddr).breakFlow()
			c.expect("487")
			want := ""
			if len(answers) > 0 {
				want = "CANCEL"
			}
			if m := b.at(firstAddr).methods(); m != want {
				t.Errorf("after %v the far side got %q, want %q", answers, m, want)
			}
		})
	}
}

func TestLostBeforeAck(t *testing.T) {
	// RFC 5923, Section 8.1: so does the ACK for another final response than 2xx.
	failover(t, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		first := b.at(firstAddr).one("INVITE")
		b.mu.Lock()
		dead := b.flows[firstAddr]
		b.mu.Unlock()
		dead.mu.Lock()
		dead.closed = true
		dead.mu.Unlock()
		b.at(firstAddr).answer(first, 486)
		c.expect("486")
		if b.flows[firstAddr] == dead {
			t.Fatal("no new connection was made")
		}
		b.at(firstAddr).one("ACK")
	})
}

func TestLostBranchOfFork(t *testing.T) {
	// One branch is gone, the other one rings on and answers.
	rules := testRules("sip:198.51.100.1;transport=tcp", "sip:198.51.100.2;transport=tcp")
	run(t, Config{Rules: rules}, func(b *bench) {
		first, second := b.at("tcp:198.51.100.1:5060"), b.at("tcp:198.51.100.2:5060")
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		first.answer(first.one("INVITE"), 180)
		invite := second.one("INVITE")
		second.answer(invite, 180)
		c.expect("180 180")
		first.breakFlow()
		first.one("CANCEL")
		c.expect("")
		second.answer(invite, 200)
		c.expect("200")
	})
}

func TestLostAfterAnswer(t *testing.T) {
	// What is answered is not told of the loss any more.
	for _, status := range []int{200, 486} {
		lost(t, "INVITE", []int{status}, func(b *bench, c *client, _ *sip.Message) {
			c.expect("")
			if m := b.at(firstAddr).methods() + b.at(secondAddr).methods(); m != "" && m != "ACK" {
				t.Errorf("sent %s", m)
			}
		})
	}
}
