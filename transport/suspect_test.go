package transport

import (
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

func isPing(c *siptest.Conn) func(*siptest.Received) bool {
	return func(r *siptest.Received) bool { return r.Conn == c && r.Text == "\r\n\r\n" }
}

// A connection on which nothing is answered is taken out of the table and probed.
func TestSuspect(t *testing.T) {
	for _, tr := range []sipaddr.Transport{sipaddr.TLS, sipaddr.TCP} {
		t.Run("wedged "+tr.String(), func(t *testing.T) {
			p := newPair(t, func(cfg *Config) { cfg.PongTimeout = 100 * time.Millisecond })
			h := p.hop()
			if tr == sipaddr.TCP {
				h.To = resolved(tr, p.peer.Listen(tr, 0))
			}
			a := p.b.must(h)
			c := p.peer.Accept()
			for range 2 {
				p.b.Suspect(id(a.f))
			}
			if again := p.b.must(h); again.f != a.f {
				t.Fatal("two unanswered transactions are no reason to leave a connection")
			}
			p.b.Suspect(id(a.f))
			p.peer.Expect("a probe", isPing(c))
			if again := p.b.must(h); again.f == a.f {
				t.Error("a suspected connection carries requests")
			}
			if end := receive(t, p.b.box.closed, "the end"); end.id != id(a.f) || end.err != errWedged {
				t.Errorf("closed %+v", end)
			}
			if st := p.b.Stats(); st.Suspected != 1 || st.Wedged != 1 {
				t.Errorf("%d suspected, %d wedged", st.Suspected, st.Wedged)
			}
		})
		t.Run("answers "+tr.String(), func(t *testing.T) {
			p := newPair(t, func(cfg *Config) { cfg.PongTimeout = 2 * time.Second })
			h := p.hop()
			if tr == sipaddr.TCP {
				h.To = resolved(tr, p.peer.Listen(tr, 0))
			}
			a := p.b.must(h)
			c := p.peer.Accept()
			for range 3 {
				p.b.Suspect(id(a.f))
			}
			p.peer.Expect("a probe", isPing(c))
			c.Send("\r\n")
			eventually(t, "the connection is in the table again", func() bool {
				dec := p.b.Explain(h)
				return dec.Conn == id(a.f)
			})
			if again := p.b.must(h); again.f != a.f {
				t.Error("another connection was made")
			}
		})
	}
	t.Run("accepted", func(t *testing.T) {
		p := newPair(t, func(cfg *Config) { cfg.PongTimeout = 2 * time.Second })
		c, got := p.offer(t, "p2.example.net:5061", "alias")
		eventually(t, "a row", func() bool { return len(p.b.Aliases()) == 1 })
		for range 3 {
			p.b.Suspect(id(got.src.Flow))
		}
		if n := len(p.b.Aliases()); n != 0 {
			t.Errorf("%d rows of a suspected connection", n)
		}
		p.peer.Expect("a probe", isPing(c))
		c.Send("\r\n")
		eventually(t, "the row is back", func() bool { return len(p.b.Aliases()) == 1 })
		if r := p.b.Aliases()[0]; r.Conn != id(got.src.Flow) || r.Direction != alias.Accepted {
			t.Errorf("row %+v", r)
		}
	})
	t.Run("a message in between", func(t *testing.T) {
		p := newPair(t, func(cfg *Config) { cfg.PongTimeout = 50 * time.Millisecond })
		c, got := p.offer(t, "p2.example.net:5061", "alias")
		for range 4 {
			p.b.Suspect(id(got.src.Flow))
			p.b.Suspect(id(got.src.Flow))
			c.SendRequest(c.Request(sip.MethodOptions, "sip:example.com"))
			p.b.message()
		}
		if st := p.b.Stats(); st.Suspected != 0 {
			t.Error("suspected although the peer is heard")
		}
	})
}

// TestPongs answers every ping with a pong and nothing else: no pong is taken for a ping and answered.
func TestPongs(t *testing.T) {
	p := newPair(t, func(cfg *Config) { cfg.PingInterval, cfg.PongTimeout = 20*time.Millisecond, 5*time.Second })
	p.b.must(p.hop())
	c := p.peer.Accept()
	for range 6 {
		p.peer.Expect("a ping", isPing(c))
		c.Send("\r\n")
	}
	// The peer's own pings are answered all the same.
	c.Send("\r\n\r\n")
	c.ExpectPong()
	if st := p.b.Stats(); st.Pings != 1 || st.NoPong != 0 {
		t.Errorf("%d pings were counted, the peer sent 1", st.Pings)
	}
}

// Responses that wait to be written when their connection breaks go over another one.
func TestRescue(t *testing.T) {
	p := newPair(t, nil)
	_, got := p.offer(t, "p2.example.net:"+itoa(int(p.hop().To.Port())), "alias")
	conn := got.src.Flow.conn
	resp := sip.AppendResponse(nil, got.m, 486, "Busy Here", "x")
	both := append(request(got.src.Flow, "OPTIONS", "lost"), resp...)
	conn.abort(errTruncated)
	conn.rescue(both)
	c := p.peer.Accept()
	c.ExpectResponse(486)
	if st := p.b.Stats(); st.RepliesRescued != 1 {
		t.Errorf("%d rescued", st.RepliesRescued)
	}
	p.peer.ExpectNoRequest(50*time.Millisecond, "OPTIONS")
}
