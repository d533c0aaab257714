package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/framing"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

func TestClosing(t *testing.T) {
	var left atomic.Int64
	var p *pair
	fresh := func(t *testing.T) (*siptest.Conn, arrival, Hop) {
		left.Store(0)
		p = newPair(t, func(cfg *Config) {
			cfg.Outstanding = func(alias.ConnID) int { return int(left.Load()) }
			cfg.CloseTimeout = patience
		})
		c, got := p.offer(t, "p2.example.net", "alias")
		h := p.hop()
		h.To = resolved(sipaddr.TLS, addrPort(p.peer.Addr(), 5061))
		return c, got, h
	}
	t.Run("5923-8.3-1", func(t *testing.T) {
		c, got, h := fresh(t)
		left.Store(1)
		if !p.b.BeginClose(id(got.src.Flow), nil) || p.b.BeginClose(id(got.src.Flow), nil) {
			t.Error("BeginClose does not begin once")
		}
		if d := p.b.Explain(h); d.Reason != alias.Closing {
			t.Errorf("decision %s", d.Reason)
		}
		// A request that comes now is taken, and answered on a connection that still carries it.
		c.SendRequest(c.Request("OPTIONS", "sip:example.com").SetSentBy("p2.example.net:7000", "alias"))
		p.b.message()
		if n := len(p.b.Aliases()); n != 1 {
			t.Errorf("%d rows: a closing connection gets no new one", n)
		}
		c.Send("\r\n\r\n")
		c.ExpectPong()
		left.Store(0)
		if err := c.ExpectClosed(); err != io.EOF {
			t.Errorf("end %v, want a closure alert", err)
		}
		t.Run("5923-8.3-2", func(t *testing.T) {
			n := p.b.Stats().MessagesIn
			c.TrySend(c.Request("OPTIONS", "sip:example.com").String())
			if err := got.src.Flow.Send([]byte("x")); err != ErrClosed {
				t.Errorf("sending after the alert: %v", err)
			}
			c.CloseWrite()
			if c := receive(t, p.b.box.closed, "the end"); c.err != nil {
				t.Errorf("closed %+v", c)
			}
			if p.b.Stats().MessagesIn != n {
				t.Error("a message after the alert was handled")
			}
		})
	})
	t.Run("5923-8.3-3", func(t *testing.T) {
		c, got, h := fresh(t)
		left.Store(1)
		c.CloseWrite()
		eventually(t, "no new transactions", func() bool { return p.b.Explain(h).Reason == alias.Closing })
		t.Run("5923-8.3-4", func(t *testing.T) {
			resp := sip.AppendResponse(nil, got.m, 200, "OK", "tag")
			if err := got.src.Flow.Send(resp); err != nil {
				t.Fatal(err)
			}
			c.ExpectResponse(200)
		})
		left.Store(0)
		if c := receive(t, p.b.box.closed, "the end"); c.err != nil {
			t.Errorf("closed %+v", c)
		}
	})
	t.Run("F14", func(t *testing.T) {
		c, _, _ := fresh(t)
		c.Cut()
		receive(t, p.b.box.closed, "the end")
		if n := p.b.Stats().Truncated; n != 1 {
			t.Errorf("%d truncated", n)
		}
	})
	t.Run("F02", func(t *testing.T) {
		for _, end := range []func(*siptest.Conn){(*siptest.Conn).Reset, (*siptest.Conn).Cut, (*siptest.Conn).Close} {
			c, _, _ := fresh(t)
			c.Send(strings.TrimSuffix(c.Request("OPTIONS", "sip:example.com").String(), "\r\n\r\n"))
			end(c)
			if c := receive(t, p.b.box.closed, "the end"); c.err == nil {
				t.Error("the end in the middle of a message is no orderly one")
			}
			if n := p.b.Stats().MessagesIn; n != 1 {
				t.Errorf("%d messages", n)
			}
		}
	})
}

func TestDrain(t *testing.T) {
	p := newPair(t, nil)
	c, _ := p.offer(t, "p2.example.net", "alias")
	p.b.must(p.hop())
	other := p.peer.Accept()
	drained := make(chan error, 1)
	// Ends when the connections have.
	go func() { drained <- p.b.Drain(context.Background()) }()
	for _, c := range []*siptest.Conn{c, other} {
		c.ExpectClosed()
		c.Close()
	}
	if err := receive(t, drained, "the end of Drain"); err != nil {
		t.Error(err)
	}
	if _, err := p.peer.TryDial(sipaddr.TLS, p.b.at(sipaddr.TLS), ""); err == nil {
		t.Error("a connection was accepted while draining")
	}
}

func TestMalformed(t *testing.T) {
	b := start(t, Config{})
	peer := siptest.NewPeer(t, siptest.PeerConfig{})
	t.Run("framing", func(t *testing.T) {
		c := peer.Dial(sipaddr.TCP, b.at(sipaddr.TCP))
		c.Send(strings.Replace(c.Request("OPTIONS", "sip:example.com").String(), "Content-Length: 0", "Content-Length: -1", 1))
		got := receive(t, b.box.malformed, "the malformed message")
		if !errors.Is(got.err, framing.ErrLength) || got.m == nil {
			t.Fatalf("%v, %v", got.err, got.m)
		}
		got.src.Flow.Send(sip.AppendResponse(nil, got.m, 400, "Bad Request", "x"))
		receive(t, b.box.closed, "the end")
	})
	t.Run("answered", func(t *testing.T) {
		box := &answering{newInbox()}
		b := start(t, Config{Handler: box})
		c := peer.Dial(sipaddr.TCP, b.at(sipaddr.TCP))
		c.Send(strings.Replace(c.Request("OPTIONS", "sip:example.com").String(), "Content-Length: 0", "Content-Length: 0\r\nl: 0", 1))
		c.ExpectResponse(400)
		c.ExpectClosed()
	})
	t.Run("not sip", func(t *testing.T) {
		c := peer.Dial(sipaddr.TCP, b.at(sipaddr.TCP))
		c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		receive(t, b.box.malformed, "the malformed message")
		c.ExpectClosed()
	})
	t.Run("parsing leaves the connection open", func(t *testing.T) {
		c := peer.Dial(sipaddr.TCP, b.at(sipaddr.TCP))
		c.Send(strings.Replace(c.Request("OPTIONS", "sip:example.com").String(), "Max-Forwards: ", "Max Forwards: ", 1))
		if got := receive(t, b.box.malformed, "the malformed message"); got.err == nil {
			t.Error("no error")
		}
		c.SendRequest(c.Request("OPTIONS", "sip:example.com"))
		b.message()
	})
	t.Run("A36", func(t *testing.T) {
		c := peer.Dial(sipaddr.TCP, b.at(sipaddr.TCP))
		r := c.Request("MESSAGE", "sip:example.com")
		r.Body = "hello"
		c.SendBytewise(r.String() + r.String())
		for range 2 {
			if got := b.message(); got.m.Body() != "hello" {
				t.Errorf("body %q", got.m.Body())
			}
		}
	})
}

type answering struct{ *inbox }

func (a *answering) Malformed(m *sip.Message, _ error, src *Source) {
	src.Flow.Send(sip.AppendResponse(nil, m, 400, "Bad Request", "x"))
}

func TestSlow(t *testing.T) {
	cfg := Config{HeaderTimeout: 80 * time.Millisecond, BodyTimeout: 120 * time.Millisecond, HandshakeTimeout: 100 * time.Millisecond}
	ca := newPKI(t)
	cfg.Domains = []Domain{ca.domain(t, "example.com", "")}
	b := start(t, cfg)
	peer := siptest.NewPeer(t, siptest.PeerConfig{})
	trickle := func(t *testing.T, c *siptest.Conn, text string) {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; !c.Closed(); i++ {
			if i == 300 {
				t.Fatal("never closed")
			}
			c.TrySend(text[i%len(text) : i%len(text)+1])
			<-tick.C
		}
	}
	for _, tr := range []sipaddr.Transport{sipaddr.TCP, sipaddr.TLS} {
		t.Run("A41 header "+tr.String(), func(t *testing.T) {
			n := b.Stats().Slow
			c := peer.Dial(tr, b.at(tr))
			c.Send("OPTIONS sip:example.com SIP/2.0\r\n")
			trickle(t, c, "Subject: x\r\n")
			eventually(t, "counted", func() bool { return b.Stats().Slow == n+1 })
		})
		t.Run("A41 body "+tr.String(), func(t *testing.T) {
			n := b.Stats().Slow
			c := peer.Dial(tr, b.at(tr))
			r := c.Request("MESSAGE", "sip:example.com")
			r.Body = strings.Repeat("x", 5000)
			c.Send(r.String()[:len(r.String())-4999])
			trickle(t, c, "x")
			eventually(t, "counted", func() bool { return b.Stats().Slow == n+1 })
		})
	}
	t.Run("A40", func(t *testing.T) {
		c := peer.Dial(sipaddr.TCP, b.at(sipaddr.TLS))
		c.ExpectClosed()
		eventually(t, "counted", func() bool { return b.Stats().HandshakeTimeout == 1 })
	})
	t.Run("idle is not slow", func(t *testing.T) {
		c := peer.Dial(sipaddr.TLS, b.at(sipaddr.TLS))
		for range 3 {
			c.SendRequest(c.Request("OPTIONS", "sip:example.com"))
			b.message()
			timer := time.NewTimer(100 * time.Millisecond)
			<-timer.C
		}
	})
}

func TestNeverReads(t *testing.T) {
	ca := newPKI(t)
	b := start(t, Config{Domains: []Domain{ca.domain(t, "example.com", "")}, WriteTimeout: 400 * time.Millisecond, QueueBytes: 64 << 10})
	peer := siptest.NewPeer(t, siptest.PeerConfig{})
	for _, tr := range []sipaddr.Transport{sipaddr.TCP, sipaddr.TLS} {
		t.Run("A42 "+tr.String(), func(t *testing.T) {
			c := peer.Dial(tr, b.at(tr))
			c.SendRequest(c.Request("OPTIONS", "sip:example.com"))
			f := b.message().src.Flow
			c.Stall()
			c.SendRequest(c.Request("OPTIONS", "sip:example.com"))
			b.message()
			before := b.Stats()
			chunk := bytes.Repeat([]byte("x"), 8<<10)
			full := false
			for end := time.Now().Add(patience); ; {
				err := f.Send(chunk)
				full = full || err == ErrQueueFull
				if err == ErrClosed || time.Now().After(end) {
					break
				}
				if i, ok := b.Connection(id(f)); ok && i.Queued > queueBurst*64<<10 {
					t.Fatalf("%d bytes queued", i.Queued)
				}
			}
			if end := receive(t, b.box.closed, "the end"); end.err != errStalled || !full {
				t.Errorf("closed %+v, full %v", end, full)
			}
			if s := b.Stats(); s.QueueFull == before.QueueFull || s.Stalled == before.Stalled {
				t.Errorf("not counted: %+v", s)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	t.Run("A51", func(t *testing.T) {
		b := start(t, Config{MaxPerSource: 2, MaxConnections: 3})
		one, two := siptest.NewPeer(t, siptest.PeerConfig{}), siptest.NewPeer(t, siptest.PeerConfig{})
		to := b.at(sipaddr.TCP)
		first := one.Dial(sipaddr.TCP, to)
		one.Dial(sipaddr.TCP, to)
		refused := func(p *siptest.Peer) {
			if c, err := p.TryDial(sipaddr.TCP, to, ""); err == nil {
				c.ExpectClosed()
			}
		}
		refused(one)
		two.Dial(sipaddr.TCP, to)
		eventually(t, "three connections", func() bool { return b.Stats().Connections == 3 })
		refused(two)
		s := b.Stats()
		if s.RefusedSource != 1 || s.RefusedFull != 1 || s.Connections != 3 {
			t.Errorf("%+v", s)
		}
		first.Close()
		receive(t, b.box.closed, "the end")
		eventually(t, "room again", func() bool { return b.Stats().Connections == 2 })
		c := one.Dial(sipaddr.TCP, to)
		c.SendRequest(c.Request("OPTIONS", "sip:example.com"))
		b.message()
	})
	t.Run("F12", func(t *testing.T) {
		ca := newPKI(t)
		b := start(t, Config{Domains: []Domain{ca.domain(t, "example.com", "")}, MaxPending: 5, MaxHandshakes: 1})
		peer := siptest.NewPeer(t, siptest.PeerConfig{})
		for range 20 {
			// There is never a ClientHello, and soon a reset.
			_, _ = peer.TryDial(sipaddr.TCP, b.at(sipaddr.TLS), "")
		}
		c := peer.Dial(sipaddr.TLS, b.at(sipaddr.TLS))
		c.SendRequest(c.Request("OPTIONS", "sip:example.com"))
		b.message()
		if s := b.Stats(); s.RefusedPending+s.RefusedPendingSource < 15 || s.Pending > 5 {
			t.Errorf("%d refused, %d pending", s.RefusedPending, s.Pending)
		}
	})
	t.Run("A39", func(t *testing.T) {
		b := start(t, Config{})
		c := siptest.NewPeer(t, siptest.PeerConfig{}).Dial(sipaddr.TCP, b.at(sipaddr.TCP))
		c.Send(strings.Repeat("\r\n\r\n", 5000))
		c.SendRequest(c.Request("OPTIONS", "sip:example.com"))
		got := b.message()
		got.src.Flow.Send(sip.AppendResponse(nil, got.m, 200, "OK", "x"))
		c.ExpectResponse(200)
		if b.Stats().Pings != 5000 || c.Heard() > 2000 {
			t.Errorf("%d pings, %d bytes back", b.Stats().Pings, c.Heard())
		}
	})
	t.Run("panic", func(t *testing.T) {
		box := newInbox()
		box.handle = func(*sip.Message, *Source) { panic("a bug") }
		b := start(t, Config{Handler: box})
		c := siptest.NewPeer(t, siptest.PeerConfig{}).Dial(sipaddr.TCP, b.at(sipaddr.TCP))
		c.SendRequest(c.Request("OPTIONS", "sip:example.com"))
		if end := receive(t, box.closed, "the end"); end.err != errPanic || b.Stats().Panics != 1 {
			t.Errorf("%+v, %d", end, b.Stats().Panics)
		}
	})
	t.Run("listen", func(t *testing.T) {
		b := start(t, Config{})
		tr, err := New(Config{Listen: []Listen{{sipaddr.UDP, addrPort(siptest.Loopback(t), 0)}, {sipaddr.TCP, b.at(sipaddr.TCP)}}, Handler: newInbox()})
		if err != nil {
			t.Fatal(err)
		}
		var le *ListenError
		if err := tr.Open(); !errors.As(err, &le) || le.Index != 1 || !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("error %v", err)
		}
	})
}

func TestPing(t *testing.T) {
	p := newPair(t, func(cfg *Config) { cfg.PingInterval, cfg.PongTimeout = 30*time.Millisecond, 60*time.Millisecond })
	a := p.b.must(p.hop())
	c := p.peer.Accept()
	p.peer.Expect("a ping", func(r *siptest.Received) bool { return r.Conn == c && r.Message == nil })
	c.TrySend("\r\n")
	// It has answered once, so it is given up when it does not answer again.
	if end := receive(t, p.b.box.closed, "the end"); end.id != id(a.f) || end.err != errNoPong {
		t.Errorf("closed %+v", end)
	}
}
