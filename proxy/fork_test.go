package proxy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

var forkAddrs = []string{"udp:198.51.100.1:5060", "udp:198.51.100.2:5060", "udp:198.51.100.3:5060", "udp:198.51.100.4:5060"}

func forkRules(q ...string) Rules {
	var targets []string
	for i, s := range q {
		uri := "sip:" + strings.TrimSuffix(strings.TrimPrefix(forkAddrs[i], "udp:"), ":5060")
		if s != "" {
			uri += " q=" + s
		}
		targets = append(targets, uri)
	}
	return testRules(targets...)
}

// TestForkMatrix forks in parallel and looks at what goes upstream: RFC 3261, Section 16.7 items 5 and 6.
func TestForkMatrix(t *testing.T) {
	tests := []struct {
		name     string
		statuses []int // final responses of the branches, in their order
		want     string
	}{
		{"lowest class", []int{503, 404, 302}, "302"},
		{"6xx wins", []int{404, 603, 401}, "603"},
		{"first of a class", []int{404, 410}, "404"},
		{"401 helps", []int{404, 401}, "401"},
		{"415 helps", []int{486, 415}, "415"},
		{"420 helps", []int{486, 420}, "420"},
		{"484 helps", []int{486, 484}, "484"},
		{"example of the RFC", []int{503, 407, 501, 404}, "407"},
		{"408 says least", []int{408, 486}, "486"},
		{"487 says little", []int{487, 486}, "486"},
		{"only 503", []int{503, 503}, "500"},
		{"503 after another", []int{503, 500}, "500"},
		{"5xx before 503", []int{503, 501}, "501"},
		{"success last", []int{404, 200}, "200"},
		{"success first", []int{200, 404}, "200"},
		{"two successes", []int{200, 200}, "200 200"},
		{"success after 6xx", []int{603, 200}, "200"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, Config{Rules: forkRules(make([]string, len(tt.statuses))...)}, func(b *bench) {
				c := b.stranger()
				c.send(c.request("INVITE", "sip:bob@example.com"))
				var reqs []*sip.Message
				branches := map[string]bool{}
				for i := range tt.statuses {
					req := b.at(forkAddrs[i]).one("INVITE")
					branches[req.Branch()] = true
					reqs = append(reqs, req)
					b.at(forkAddrs[i]).answer(req, 180)
				}
				if len(branches) != len(tt.statuses) {
					t.Error("two branches are the same")
				}
				c.got()
				for i, s := range tt.statuses {
					b.at(forkAddrs[i]).answer(reqs[i], s)
				}
				c.expect(tt.want)
				if n := b.core.Stats().Active; n != 0 {
					t.Errorf("%d contexts are left", n)
				}
			})
		})
	}
}

func TestForkCancelsTheOthers(t *testing.T) {
	for _, tt := range []struct {
		status int
		reason string
		then   string
	}{
		{200, `SIP;cause=200;text="Call completed elsewhere"`, "200"},
		{603, "SIP;cause=603", "603"},
	} {
		run(t, Config{Rules: forkRules("", "", "")}, func(b *bench) {
			c := b.stranger()
			c.send(c.request("INVITE", "sip:bob@example.com"))
			first, second := b.at(forkAddrs[0]).one("INVITE"), b.at(forkAddrs[1]).one("INVITE")
			third := b.at(forkAddrs[2]).one("INVITE")
			b.at(forkAddrs[1]).answer(second, 183)
			c.got()
			b.at(forkAddrs[0]).answer(first, tt.status)
			cancel := b.at(forkAddrs[1]).one("CANCEL")
			if cancel.Branch() != second.Branch() || header(cancel, "Reason") != tt.reason {
				t.Errorf("CANCEL\n%s", cancel.Raw())
			}
			// No provisional response from the third yet: its CANCEL has to wait (RFC 3261, Section 9.1).
			if m := b.at(forkAddrs[2]).methods(); strings.Contains(m, "CANCEL") {
				t.Errorf("third got %s", m)
			}
			b.at(forkAddrs[2]).answer(third, 100)
			if m := b.at(forkAddrs[2]).methods(); m != "CANCEL" {
				t.Errorf("third got %q", m)
			}
			b.at(forkAddrs[1]).answer(second, 487)
			b.at(forkAddrs[2]).answer(third, 487)
			c.expect(tt.then)
		})
	}
}

func TestSerialForking(t *testing.T) {
	run(t, Config{Rules: forkRules("0.5", "1.0", "0.5", "0.1")}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		best := b.at(forkAddrs[1]).one("INVITE")
		if header(best, "Max-Breadth") != "60" {
			t.Errorf("Max-Breadth %q for one branch", header(best, "Max-Breadth"))
		}
		for _, i := range []int{0, 2, 3} {
			if m := b.at(forkAddrs[i]).methods(); m != "" {
				t.Errorf("%s got %s too early", forkAddrs[i], m)
			}
		}
		b.at(forkAddrs[1]).answer(best, 486)
		first, third := b.at(forkAddrs[0]).one("INVITE"), b.at(forkAddrs[2]).one("INVITE")
		if header(first, "Max-Breadth") != "30" || header(third, "Max-Breadth") != "30" {
			t.Error("Max-Breadth was not divided")
		}
		b.at(forkAddrs[0]).answer(first, 404)
		if m := b.at(forkAddrs[3]).methods(); m != "" {
			t.Errorf("the last got %s too early", m)
		}
		b.at(forkAddrs[2]).answer(third, 404)
		last := b.at(forkAddrs[3]).one("INVITE")
		c.expect("")
		b.at(forkAddrs[3]).answer(last, 480)
		c.expect("486")
	})
}

func TestSerialForkingEndsWith6xx(t *testing.T) {
	run(t, Config{Rules: forkRules("1.0", "0.5")}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		b.at(forkAddrs[0]).answer(b.at(forkAddrs[0]).one("INVITE"), 600)
		c.expect("600")
		if m := b.at(forkAddrs[1]).methods(); m != "" {
			t.Errorf("the second got %s", m)
		}
	})
}

func TestMaxBreadthLimitsParallelBranches(t *testing.T) {
	// RFC 5393, Section 5.5: two at a time, the third when one has ended.
	run(t, Config{Rules: forkRules("", "", "")}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com", "Max-Breadth: 2"))
		first, second := b.at(forkAddrs[0]).one("INVITE"), b.at(forkAddrs[1]).one("INVITE")
		for _, m := range []*sip.Message{first, second} {
			if header(m, "Max-Breadth") != "1" {
				t.Errorf("Max-Breadth %q", header(m, "Max-Breadth"))
			}
		}
		if m := b.at(forkAddrs[2]).methods(); m != "" {
			t.Fatalf("the third got %s", m)
		}
		b.at(forkAddrs[1]).answer(second, 486)
		third := b.at(forkAddrs[2]).one("INVITE")
		if header(third, "Max-Breadth") != "1" {
			t.Errorf("Max-Breadth %q", header(third, "Max-Breadth"))
		}
	})
}

func TestMaxBreadthIsCapped(t *testing.T) {
	for line, want := range map[string]string{
		"Max-Breadth: 61": "60", "Max-Breadth: 99999999999999999999": "60", "max-breadth: 7": "7", "X: y": "60",
	} {
		run(t, Config{}, func(b *bench) {
			c := b.stranger()
			c.send(c.request("INVITE", "sip:bob@example.com", line))
			if got := b.at(agent).one("INVITE"); header(got, "Max-Breadth") != want || got.Count(sip.FieldMaxBreadth) != 1 {
				t.Errorf("%s: Max-Breadth %q, want %s", line, header(got, "Max-Breadth"), want)
			}
		})
	}
}

func TestShareNeverExceedsTheWhole(t *testing.T) {
	for whole := 1; whole <= 60; whole++ {
		for n := 1; n <= 70; n++ {
			left, begun := whole, 0
			for i := n; i > 0 && left > 0; i-- {
				s := share(left, i)
				if s < 1 {
					t.Fatalf("share(%d, %d) = %d", left, i, s)
				}
				left -= s
				begun++
			}
			if left < 0 || begun != min(whole, n) {
				t.Fatalf("%d in %d parts: %d left after %d", whole, n, left, begun)
			}
		}
	}
}

func TestChallengesAreAggregated(t *testing.T) {
	run(t, Config{Rules: forkRules("", "", "", "")}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		answers := []struct {
			status int
			lines  []string
		}{
			{404, []string{"WWW-Authenticate: Digest realm=\"no\""}},
			{407, []string{"Proxy-Authenticate: Digest realm=\"p1\", nonce=\"a,b\"", "proxy-authenticate: Digest realm=\"p2\""}},
			{401, []string{"WWW-Authenticate: Digest realm=\"u1\"", "Proxy-Authenticate: Digest realm=\"p3\""}},
			{401, []string{"WWW-Authenticate: Digest realm=\"u2\""}},
		}
		for i, a := range answers {
			b.at(forkAddrs[i]).answer(b.at(forkAddrs[i]).one("INVITE"), a.status, a.lines...)
		}
		got := c.got()[0]
		if got.StatusCode() != 407 {
			t.Fatalf("got %d", got.StatusCode())
		}
		for realm, want := range map[string]int{"p1": 1, "p2": 1, "p3": 1, "u1": 1, "u2": 1, "no": 0} {
			if n := strings.Count(got.Raw(), `realm="`+realm+`"`); n != want {
				t.Errorf("realm %s stands there %d times, want %d", realm, n, want)
			}
		}
	})
}

func TestRedirectIsForwardedByDefault(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		b.at(agent).answer(b.at(agent).one("INVITE"), 302, "Contact: <sip:bob@192.0.2.60>")
		if got := c.got(); got[0].StatusCode() != 302 || header(got[0], "Contact") == "" {
			t.Errorf("got\n%s", got[0].Raw())
		}
	})
}

func TestRedirectRecursion(t *testing.T) {
	run(t, Config{RecurseRedirects: true}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		b.at(agent).answer(b.at(agent).one("INVITE"), 302,
			`Contact: <sip:a@192.0.2.61>;q=0.2, <sip:b@192.0.2.60;method=INVITE?X=y>;q=0.9, <sip:c@127.0.0.1:22>;q=0.5, <tel:+1>`)
		first := b.at("udp:192.0.2.60:5060").one("INVITE")
		if first.RequestURI() != "sip:b@192.0.2.60" {
			t.Errorf("Request-URI %q", first.RequestURI())
		}
		// A redirect back to where we came from ends the recursion.
		b.at("udp:192.0.2.60:5060").answer(first, 302, "Contact: <sip:a@192.0.2.61>, <sip:bob@example.com>")
		second := b.at("udp:192.0.2.61:5060").one("INVITE")
		b.at("udp:192.0.2.61:5060").answer(second, 486)
		c.expect("302")
		for _, h := range b.hops {
			if h.To.Addr().IsLoopback() {
				t.Error("followed a redirect to a loopback address")
			}
		}
	})
	t.Run("not for others' URIs", func(t *testing.T) {
		run(t, Config{RecurseRedirects: true}, func(b *bench) {
			c := b.inside()
			c.send(c.request("INVITE", "sip:bob@192.0.2.88"))
			b.at("udp:192.0.2.88:5060").answer(b.at("udp:192.0.2.88:5060").one("INVITE"), 302, "Contact: <sip:b@192.0.2.60>")
			c.expect("302")
		})
	})
}

func TestForkWhereSomeCannotBeReached(t *testing.T) {
	run(t, Config{Rules: forkRules("", "", "")}, func(b *bench) {
		b.refused[forkAddrs[0]] = errors.New("refused")
		b.refused[forkAddrs[2]] = &ConnectError{Text: "peer is not who it should be", Auth: true}
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		b.at(forkAddrs[1]).answer(b.at(forkAddrs[1]).one("INVITE"), 200)
		c.expect("200")
	})
}

func TestForkedNonInvite(t *testing.T) {
	run(t, Config{Rules: forkRules("", "")}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("MESSAGE", "sip:bob@example.com"))
		first, second := b.at(forkAddrs[0]).one("MESSAGE"), b.at(forkAddrs[1]).one("MESSAGE")
		b.at(forkAddrs[0]).answer(first, 200)
		b.at(forkAddrs[1]).answer(second, 200)
		c.expect("200")
		wait(40 * time.Second)
		if m := b.at(forkAddrs[1]).methods(); strings.Contains(m, "CANCEL") {
			t.Error("a request other than INVITE was cancelled")
		}
	})
}

// TestSuccessAfterTheFinalResponse: a 2xx is forwarded although another final response went upstream already
// (RFC 3261, Section 16.7 item 5). The branch that it comes from did not answer its CANCEL before Timer C ended.
func TestSuccessAfterTheFinalResponse(t *testing.T) {
	run(t, Config{Rules: forkRules("", "")}, func(b *bench) {
		c := b.stranger()
		c.send(c.request("INVITE", "sip:bob@example.com"))
		first, second := b.at(forkAddrs[0]).one("INVITE"), b.at(forkAddrs[1]).one("INVITE")
		b.at(forkAddrs[0]).answer(first, 180)
		b.at(forkAddrs[1]).answer(second, 180)
		wait(170 * time.Second)
		b.at(forkAddrs[0]).answer(first, 603)
		wait(12 * time.Second) // Timer C: 181 s
		c.expect("180 180 603")
		b.at(forkAddrs[1]).answer(second, 200)
		b.at(forkAddrs[1]).answer(second, 200)
		c.expect("200 200")
	})
}
