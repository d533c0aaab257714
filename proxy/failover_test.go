package proxy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

const (
	firstAddr  = "tcp:192.0.2.101:5060"
	secondAddr = "tcp:192.0.2.102:5060"
)

// failover runs a scenario in which served requests go to a name with two addresses.
func failover(t *testing.T, scenario func(b *bench)) {
	t.Helper()
	run(t, Config{Rules: testRules("sip:farm.example")}, func(b *bench) {
		b.names["farm.example"] = []string{firstAddr, secondAddr}
		scenario(b)
	})
}

func TestFailoverRefused(t *testing.T) {
	failover(t, func(b *bench) {
		b.refused[firstAddr] = errors.New("refused")
		c := b.stranger()
		c.send(c.request("MESSAGE", "sip:bob@example.com"))
		b.at(secondAddr).answer(b.at(secondAddr).one("MESSAGE"), 200)
		c.expect("200")
	})
}

func TestFailoverTimeout(t *testing.T) {
	failover(t, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		first := b.at(firstAddr).one("INVITE")
		wait(33 * time.Second) // Timer B
		second := b.at(secondAddr).one("INVITE")
		if first.Branch() == second.Branch() {
			t.Error("the second attempt has the branch of the first")
		}
		b.at(secondAddr).answer(second, 200)
		c.expect("200")
		if r := strings.Join(b.reports, ","); r != firstAddr+" false,"+secondAddr+" true" {
			t.Errorf("reported %s", r)
		}
	})
}

func TestFailoverTimeoutEverywhere(t *testing.T) {
	failover(t, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		wait(66 * time.Second)
		got := c.got()
		if len(got) != 1 || got[0].StatusCode() != 408 || !strings.Contains(header(got[0], "Warning"), "farm.example") {
			t.Errorf("got %v", got)
		}
	})
}

func TestFailover503(t *testing.T) {
	failover(t, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		first := b.at(firstAddr).one("INVITE")
		b.at(firstAddr).answer(first, 100)
		b.at(firstAddr).answer(first, 503, "Retry-After: 30")
		b.at(firstAddr).one("ACK")
		second := b.at(secondAddr).one("INVITE")
		b.at(secondAddr).answer(second, 503, "Retry-After: 30")
		got := c.got()
		if len(got) != 1 || got[0].StatusCode() != 500 || header(got[0], "Retry-After") != "" {
			t.Errorf("got\n%v", got[0].Raw())
		}
	})
}

func TestOtherErrorsDoNotFailOver(t *testing.T) {
	for _, status := range []int{302, 404, 486, 500, 504, 603} {
		failover(t, func(b *bench) {
			c := b.stranger()
			c.send(c.request("INVITE", "sip:bob@example.com"))
			b.at(firstAddr).answer(b.at(firstAddr).one("INVITE"), status)
			if m := b.at(secondAddr).methods(); m != "" {
				t.Errorf("%d: the second address got %s", status, m)
			}
		})
	}
}

func TestNoAddressIsReached(t *testing.T) {
	failover(t, func(b *bench) {
		b.refused[firstAddr], b.refused[secondAddr] = errors.New("refused"), errors.New("refused")
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		got := c.got()
		if got[0].StatusCode() != 500 || header(got[0], "Warning") != `399 p1.example.com "no connection to `+secondAddr+`"` {
			t.Errorf("got\n%s", got[0].Raw())
		}
		if n := b.core.Stats().ConnectErrors; n != 2 {
			t.Errorf("%d connect errors", n)
		}
	})
}

func TestFailedAuthenticationIsTold(t *testing.T) {
	failover(t, func(b *bench) {
		b.refused[firstAddr] = &ConnectError{Text: `certificate of 192.0.2.101 names "evil", not farm.example`, Auth: true, Err: errors.New("x")}
		b.refused[secondAddr] = errors.New("refused")
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		got := c.got()
		want := `399 p1.example.com "certificate of 192.0.2.101 names \"evil\", not farm.example"`
		if got[0].StatusCode() != 503 || header(got[0], "Warning") != want {
			t.Errorf("got\n%s", got[0].Raw())
		}
	})
}

func TestOverloadIsTold(t *testing.T) {
	maxTransactions = 2
	defer func() { maxTransactions = 0 }()
	run(t, Config{Rules: forkRules("", "")}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com")) // two client transactions
		c.send(c.request("INVITE", "sip:bob@example.com"))
		got := c.got()
		if len(got) != 1 || got[0].StatusCode() != 503 || header(got[0], "Retry-After") == "" {
			t.Errorf("got %v", got)
		}
		if len(b.reports) != 0 {
			t.Errorf("blamed %v", b.reports)
		}
	})
}

func TestBrokenConnectionIsReplaced(t *testing.T) {
	// The connection breaks under the request: it is a retransmission on the next connection to the same address.
	for _, method := range []string{"INVITE", "MESSAGE"} {
		failover(t, func(b *bench) {
			c := b.stranger()
			c.send(c.request(method, "sip:bob@example.com"))
			first := b.at(firstAddr).one(method)
			b.at(firstAddr).breakFlow()
			again := b.at(firstAddr).one(method)
			if again.Raw() != first.Raw() {
				t.Errorf("sent again\n%s\nwas\n%s", again.Raw(), first.Raw())
			}
			// It breaks again: the next address, with another branch.
			b.at(firstAddr).breakFlow()
			next := b.at(secondAddr).one(method)
			if next.Branch() == first.Branch() {
				t.Error("the branch did not change with the address")
			}
			b.at(secondAddr).answer(next, 200)
			c.expect("200")
		})
	}
}

func TestDeadConnectionIsReplaced(t *testing.T) {
	// The flow does not take the request at all.
	failover(t, func(b *bench) {
		c := b.stranger()
		b.broken[firstAddr] = true
		c.send(c.request("MESSAGE", "sip:bob@example.com"))
		b.at(secondAddr).answer(b.at(secondAddr).one("MESSAGE"), 200)
		c.expect("200")
	})
}

func TestRingingCallIsNotSentElsewhere(t *testing.T) {
	failover(t, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		b.at(firstAddr).answer(b.at(firstAddr).one("INVITE"), 180)
		b.at(firstAddr).breakFlow()
		c.expect("180 500")
		if m := b.at(secondAddr).methods(); m != "" {
			t.Errorf("the second address got %s", m)
		}
	})
}

func TestNoLateAnswerToOtherRequests(t *testing.T) {
	// RFC 4320, Section 4.2.
	failover(t, func(b *bench) {
		c := b.stranger()
		c.send(c.request("MESSAGE", "sip:bob@example.com"))
		req := b.at(firstAddr).one("MESSAGE")
		wait(33 * time.Second) // Timer F
		c.expect("")
		if m := b.at(secondAddr).methods(); m != "" {
			t.Errorf("the second address got %s when nobody waits any more", m)
		}
		b.at(firstAddr).answer(req, 200)
		wait(time.Minute)
		c.expect("")
		if n := b.core.Stats().Active; n != 0 {
			t.Errorf("%d contexts are left", n)
		}
	})
	t.Run("408 from downstream", func(t *testing.T) {
		failover(t, func(b *bench) {
			c := b.stranger()
			c.send(c.request("MESSAGE", "sip:bob@example.com"))
			b.at(firstAddr).answer(b.at(firstAddr).one("MESSAGE"), 408)
			c.expect("")
		})
	})
}

func TestSizeIsTold(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com", "X: "+strings.Repeat("x", 1500)))
		req := b.at(agent).one("INVITE")
		if h := b.hops[0]; h.Size < len(req.Raw()) || h.Size > len(req.Raw())+500 {
			t.Errorf("size %d for a request of %d bytes", h.Size, len(req.Raw()))
		}
	})
}

func TestAckToSuccess(t *testing.T) {
	failover(t, func(b *bench) {
		c := b.stranger()
		invite := c.request("INVITE", "sip:bob@example.com")
		c.send(invite)
		b.at(firstAddr).answer(b.at(firstAddr).one("INVITE"), 200)
		resp := c.got()[0]
		ack := c.request("ACK", "sip:bob@example.com", "To: "+header(resp, "To"), "Proxy-Require: foo")
		c.send(ack)
		c.send(ack)
		got := b.at(firstAddr).requests()
		if len(got) != 2 || got[0].Raw() != got[1].Raw() {
			t.Fatalf("%d ACKs, the same bytes each time are wanted", len(got))
		}
		if got[0].Count(sip.FieldVia) != 2 || got[0].Count(sip.FieldRecordRoute) != 0 || got[0].Count(sip.FieldMaxBreadth) != 0 {
			t.Errorf("ACK\n%s", got[0].Raw())
		}
		b.refused[firstAddr] = errors.New("refused")
		c.send(ack)
		b.at(secondAddr).one("ACK")
	})
}

func TestAckIsNeverAnswered(t *testing.T) {
	for _, tt := range []struct{ uri, line string }{
		{"sip:bob@example.net", "X: y"},                 // no right to relay
		{"sip:192.0.2.1", "X: y"},                       // for us
		{"sip:bob@example.org", "X: y"},                 // no route
		{"sip:bob@example.com", "Max-Forwards: 0"},      // nowhere further
		{"sip:bob@gone.example.com", "Route: <sip:@>"},  // broken
		{"sip:bob@example.com?x=y", "X: y"},             // broken
		{"sip:bob@example.com;maddr=127.0.0.1", "X: y"}, // inside
	} {
		run(t, Config{}, func(b *bench) {
			c := b.stranger()
			c.send(c.request("ACK", tt.uri, tt.line))
			c.expect("")
			if len(b.flows) != 0 {
				t.Errorf("%s was forwarded", tt.uri)
			}
			if b.core.Stats().DroppedAcks != 1 {
				t.Errorf("%s was not counted", tt.uri)
			}
		})
	}
}

func TestStrayResponsesAreDropped(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		c.send("SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bKnone\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKx\r\n" +
			"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n")
		c.expect("")
		if len(b.flows) != 0 {
			t.Error("a stray response was forwarded")
		}
	})
}

func TestForwardedHook(t *testing.T) {
	var took []time.Duration
	run(t, Config{Forwarded: func(d time.Duration) { took = append(took, d) }}, func(b *bench) {
		b.hold = true
		c := b.stranger()
		c.send(c.request("MESSAGE", "sip:bob@example.com"))
		wait(2 * time.Second)
		b.release()
	})
	if len(took) != 1 || took[0] != 2*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestCancelBetweenTwoAddresses(t *testing.T) {
	failover(t, func(b *bench) {
		c := b.stranger()
		invite := c.request("INVITE", "sip:bob@example.com")
		c.send(invite)
		req := b.at(firstAddr).one("INVITE")
		b.hold = true
		b.at(firstAddr).answer(req, 503)
		c.cancel(invite)
		c.expect("200 487")
		b.release()
		if m := b.at(secondAddr).methods(); m != "" {
			t.Errorf("the second address got %s", m)
		}
	})
}

func TestSuccessWhileAnotherBranchConnects(t *testing.T) {
	run(t, Config{Rules: forkRules("", "")}, func(b *bench) {
		c := b.stranger()
		b.hold = true
		c.send(c.request("INVITE", "sip:bob@example.com"))
		held := b.held
		b.held, b.hold = nil, false
		held[0]()
		b.at(forkAddrs[0]).answer(b.at(forkAddrs[0]).one("INVITE"), 200)
		held[1]()
		if m := b.at(forkAddrs[1]).methods(); m != "" {
			t.Errorf("the second got %s", m)
		}
		c.expect("200")
	})
}

func TestSharedSentBy(t *testing.T) {
	s := compile(Rules{Served: []Domain{{Name: "one.example", SentBy: "p.example:5070"}, {Name: "two.example", SentBy: "p.example:5070"}}})
	if name, ok := s.domainOf("P.example"); !ok || name != "one.example" {
		t.Errorf("the sent-by stands for %q", name)
	}
	if s.agentOf("two.example") != "p.example:5070" || s.agentOf("") != "p.example:5070" {
		t.Error("the agent of a Warning is not the sent-by")
	}
}

func TestSelf(t *testing.T) {
	s := compile(testRules())
	for uri, want := range map[string]bool{
		"sip:192.0.2.1": true, "sip:192.0.2.1:5061": true, "sip:192.0.2.1;transport=tls": true, "sips:192.0.2.1": true,
		"sip:x@192.0.2.1:5060": true, "sip:p1.example.com": true, "sip:P1.Example.Com.:5061": true, "sip:example.org:5060": true,
		"sip:192.0.2.1:5999": false, "sip:p1.example.com:5999": false, "sip:192.0.2.2": false, "tel:+1": false,
		"sip:192.0.2.1;transport=sctp": true, "sip:p2.example.com": false, "sip:[::ffff:192.0.2.1]": true,
		"sip:192.0.2.1;maddr=192.0.2.9": false, "sip:192.0.2.1;maddr=192.0.2.1": true,
	} {
		u, err := sip.ParseURI(uri)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.isSelf(u); got != want {
			t.Errorf("%s is us: %v, want %v", uri, got, want)
		}
	}
}
