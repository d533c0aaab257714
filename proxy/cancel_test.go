package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

func TestCancelWhileRinging(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		invite := c.request("INVITE", "sip:bob@example.com")
		c.send(invite)
		req := b.at(agent).one("INVITE")
		b.at(agent).answer(req, 180)
		c.got()
		c.cancel(invite, sip.Line{Name: "Reason", Value: "Q.850;cause=16"}, sip.Line{Name: "reason", Value: "SIP;cause=487"})
		cancel := b.at(agent).one("CANCEL")
		if cancel.Branch() != req.Branch() || cancel.RequestURI() != req.RequestURI() || cancel.Count(sip.FieldVia) != 1 {
			t.Errorf("CANCEL\n%s", cancel.Raw())
		}
		if cancel.Count(sip.FieldReason) != 2 || header(cancel, "Reason") != "Q.850;cause=16" {
			t.Errorf("the Reason was lost:\n%s", cancel.Raw())
		}
		c.expect("200") // to the CANCEL
		b.at(agent).answer(cancel, 200)
		b.at(agent).answer(req, 487)
		c.expect("487")
		if m := b.at(agent).methods(); m != "ACK" {
			t.Errorf("the agent got %q after its 487", m)
		}
	})
}

func TestCancelBeforeAnyResponse(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		invite := c.request("INVITE", "sip:bob@example.com")
		c.send(invite)
		req := b.at(agent).one("INVITE")
		c.cancel(invite)
		c.expect("200")
		if m := b.at(agent).methods(); m != "" {
			t.Errorf("the agent got %q before its first response", m)
		}
		b.at(agent).answer(req, 100)
		b.at(agent).one("CANCEL")
		b.at(agent).answer(req, 487)
		c.expect("487")
	})
}

func TestCancelWithoutEverAnAnswer(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		invite := c.request("INVITE", "sip:bob@example.com")
		c.send(invite)
		c.cancel(invite)
		c.expect("200")
		wait(33 * time.Second) // Timer B
		c.expect("487")
	})
}

func TestCancelIgnoredByTheFarSide(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		invite := c.request("INVITE", "sip:bob@example.com")
		c.send(invite)
		b.at(agent).answer(b.at(agent).one("INVITE"), 180)
		c.cancel(invite)
		c.expect("180 200")
		wait(33 * time.Second) // RFC 3261, Section 9.1
		c.expect("487")
	})
}

func TestCancelCrossesSuccess(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		invite := c.request("INVITE", "sip:bob@example.com")
		c.send(invite)
		req := b.at(agent).one("INVITE")
		b.at(agent).answer(req, 180)
		c.cancel(invite)
		b.at(agent).answer(req, 200)
		c.expect("180 200 200")
		if n := b.core.Stats().Active; n != 0 {
			t.Errorf("%d contexts are left", n)
		}
	})
}

func TestCancelAfterSuccess(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.stranger()
		invite := c.request("INVITE", "sip:bob@example.com")
		c.send(invite)
		b.at(agent).answer(b.at(agent).one("INVITE"), 200)
		c.cancel(invite)
		c.expect("200 200")
		if m := b.at(agent).methods(); m != "" {
			t.Errorf("the agent got %q", m)
		}
	})
}

func TestCancelWhileConnecting(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		b.hold = true
		c := b.stranger()
		invite := c.request("INVITE", "sip:bob@example.com")
		c.send(invite)
		c.cancel(invite)
		c.expect("200 487")
		b.release()
		if m := b.at(agent).methods(); m != "" {
			t.Errorf("the agent got %q of a cancelled call", m)
		}
		c.expect("")
	})
}

func TestCancelOfAFork(t *testing.T) {
	run(t, Config{Rules: forkRules("", "", "0.5")}, func(b *bench) {
		c := b.stranger()
		invite := c.request("INVITE", "sip:bob@example.com")
		c.send(invite)
		first, second := b.at(forkAddrs[0]).one("INVITE"), b.at(forkAddrs[1]).one("INVITE")
		b.at(forkAddrs[0]).answer(first, 180)
		b.at(forkAddrs[1]).answer(second, 404)
		c.cancel(invite)
		b.at(forkAddrs[0]).one("CANCEL")
		b.at(forkAddrs[0]).answer(first, 487)
		c.expect("180 200 404")
		if m := b.at(forkAddrs[2]).methods(); m != "" {
			t.Errorf("the next group got %q after CANCEL", m)
		}
	})
}

func TestCancelFromSomebodyElse(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		c := b.peer()
		invite := c.request("INVITE", "sip:bob@example.com")
		c.send(invite)
		b.at(agent).answer(b.at(agent).one("INVITE"), 180)
		other := b.stranger()
		other.cancel(invite)
		other.expect("481")
		if m := b.at(agent).methods(); m != "" {
			t.Errorf("the agent got %q", m)
		}
	})
}

func TestTimerC(t *testing.T) {
	t.Run("rings for ever", func(t *testing.T) {
		run(t, Config{}, func(b *bench) {
			c := b.stranger()
			c.send(c.request("INVITE", "sip:bob@example.com"))
			req := b.at(agent).one("INVITE")
			b.at(agent).answer(req, 180)
			c.got()
			wait(2 * time.Minute)
			b.at(agent).answer(req, 180) // begins anew
			wait(2 * time.Minute)
			if m := b.at(agent).methods(); m != "" {
				t.Fatalf("the agent got %q too early", m)
			}
			wait(62 * time.Second)
			cancel := b.at(agent).one("CANCEL")
			if !strings.Contains(header(cancel, "Reason"), "cause=408") {
				t.Errorf("Reason %q", header(cancel, "Reason"))
			}
			b.at(agent).answer(cancel, 200)
			b.at(agent).answer(req, 487)
			c.expect("180 487")
		})
	})
	t.Run("100 does not prolong it", func(t *testing.T) {
		run(t, Config{}, func(b *bench) {
			c := b.stranger()
			c.send(c.request("INVITE", "sip:bob@example.com"))
			req := b.at(agent).one("INVITE")
			b.at(agent).answer(req, 100)
			wait(2 * time.Minute)
			b.at(agent).answer(req, 100)
			wait(62 * time.Second)
			b.at(agent).one("CANCEL")
		})
	})
	t.Run("no answer to the CANCEL", func(t *testing.T) {
		run(t, Config{}, func(b *bench) {
			c := b.stranger()
			c.send(c.request("INVITE", "sip:bob@example.com"))
			b.at(agent).answer(b.at(agent).one("INVITE"), 180)
			wait(182 * time.Second)
			c.expect("180")
			wait(33 * time.Second)
			c.expect("408")
			if n := b.core.Stats(); n.Active != 0 || n.TimerC != 1 {
				t.Errorf("%+v", n)
			}
		})
	})
	t.Run("never below 3 minutes", func(t *testing.T) {
		run(t, Config{TimerC: time.Second}, func(b *bench) {
			if b.core.timerC <= 3*time.Minute {
				t.Errorf("Timer C is %v", b.core.timerC)
			}
		})
	})
	t.Run("next group", func(t *testing.T) {
		run(t, Config{Rules: forkRules("1.0", "0.5")}, func(b *bench) {
			c := b.stranger()
			c.send(c.request("INVITE", "sip:bob@example.com"))
			req := b.at(forkAddrs[0]).one("INVITE")
			b.at(forkAddrs[0]).answer(req, 180)
			wait(182 * time.Second)
			b.at(forkAddrs[0]).answer(req, 487)
			b.at(forkAddrs[1]).one("INVITE")
		})
	})
}
