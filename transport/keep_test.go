package transport

import (
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// pings is what fits a ping or a pong that a peer receives on a connection.
func pings(c *siptest.Conn) func(*siptest.Received) bool {
	return func(r *siptest.Received) bool { return r.Conn == c && r.Message == nil }
}

// TestKeepAnswered: an offer of keepalives is answered in the Via of the response, where it may be.
func TestKeepAnswered(t *testing.T) {
	p := newPair(t, func(cfg *Config) { cfg.Recommend = 30 * time.Second })
	tests := []struct {
		name, method, param, tag string
		want                     string
	}{
		{"a dialog", "INVITE", "keep", "", ";keep=30"},
		{"a subscription", "SUBSCRIBE", "KEEP", "", ";KEEP=30"},
		{"a registration", "REGISTER", "keep", "", ";keep=30"},
		{"no offer", "INVITE", "x", "", ";x"},
		{"inside a dialog", "INVITE", "keep", ";tag=1", ";keep"},
		{"neither dialog nor registration", "OPTIONS", "keep", "", ";keep"},
		{"an ACK", "ACK", "keep", "", ";keep"},
		{"a value already", "INVITE", "keep=5", "", ";keep=5"},
	}
	c := p.peer.Dial(sipaddr.TCP, p.b.at(sipaddr.TCP))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := c.Request(tt.method, "sip:example.com").SetSentBy("192.0.2.1", tt.param)
			r.To += tt.tag
			c.SendRequest(r)
			got := p.b.message()
			for what, b := range map[string][]byte{
				"response": sip.AppendResponse(nil, got.m, 200, "", "x"),
				"forwarded request": func() []byte {
					e := got.m.Edit()
					return e.AppendTo(nil)
				}(),
			} {
				m, err := sip.Parse(string(b))
				if err != nil {
					t.Fatal(err)
				}
				via, _ := m.TopVia()
				if !strings.Contains(via.Params+";", tt.want+";") {
					t.Errorf("%s: Via parameters %q, want %q among them", what, via.Params, tt.want)
				}
			}
		})
	}
	if n := p.b.Stats().KeepsAnswered; n != 3 {
		t.Errorf("%d offers were answered", n)
	}
	quiet := newPair(t, nil)
	_, got := quiet.offer(t, "p2.example.net", "keep")
	if b := string(sip.AppendResponse(nil, got.m, 200, "", "x")); strings.Contains(b, "keep=") {
		t.Errorf("unwilling, and yet %q", b)
	}
}

// TestKeepAgreed: a peer that agrees is pinged as often as it says, and has to answer from the first ping on.
func TestKeepAgreed(t *testing.T) {
	p := newPair(t, func(cfg *Config) {
		cfg.PingInterval, cfg.PongTimeout = time.Hour, 80*time.Millisecond
	})
	a := p.b.must(p.hop())
	c := p.peer.Accept()
	if !a.f.Keep() {
		t.Fatal("a dialed connection that is pinged offers nothing")
	}
	respond := func(param string) {
		c.Send("SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS p1.example.com;branch=z9hG4bK1;" + param + "\r\n" +
			"From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.net>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n")
		p.b.message()
	}
	respond("keep") // without a value: not willing
	respond("keep=x")
	if !a.f.Keep() {
		t.Fatal("the peer has not agreed")
	}
	respond("keep=1")
	if a.f.Keep() || p.b.Stats().KeepsAgreed != 1 {
		t.Error("the peer has agreed, and we offer on")
	}
	p.peer.Expect("a ping", pings(c))
	if end := receive(t, p.b.box.closed, "the end"); end.err != errNoPong {
		t.Errorf("closed %+v", end)
	}
}

// TestPingBothWays: whether a connection is pinged is up to who is at its far end, and not to who dialed.
func TestPingBothWays(t *testing.T) {
	p := newPair(t, func(cfg *Config) {
		cfg.PongTimeout = 100 * time.Millisecond
		cfg.Judge = func(ci ConnInfo) any { return ci.Peer != nil }
		cfg.PingPeer = func(user any) time.Duration {
			if user == true {
				return 30 * time.Millisecond
			}
			return 0
		}
	})
	c, got := p.offer(t, "p2.example.net", "alias")
	p.peer.Expect("a ping", pings(c))
	t.Run("its own pings are no pongs", func(t *testing.T) {
		// It pings, and never answers: that makes it no peer that answers.
		for range 10 {
			c.Send("\r\n\r\n")
			p.peer.Expect("a pong or a ping", pings(c))
			p.peer.Expect("a pong or a ping", pings(c))
		}
		if len(p.b.box.closed) > 0 {
			t.Errorf("closed %+v", receive(t, p.b.box.closed, "the end"))
		}
	})
	if got.src.Flow.Keep() {
		t.Error("keepalives are offered to whoever dialed")
	}
	c.Send("\r\n")
	if end := receive(t, p.b.box.closed, "the end"); end.err != errNoPong {
		t.Errorf("closed %+v", end)
	}
	stranger := siptest.NewPeer(t, siptest.PeerConfig{}).Dial(sipaddr.TCP, p.b.at(sipaddr.TCP))
	stranger.SendRequest(stranger.Request("OPTIONS", "sip:example.com"))
	p.b.message()
	if n := stranger.Heard(); n != 0 {
		t.Errorf("a stranger was sent %d bytes", n)
	}
}

// TestPingEachOther: two sides that ping each other over one connection answer each other, and neither takes a pong
// for a ping, or a ping for the want of a pong, in a way that matters.
func TestPingEachOther(t *testing.T) {
	ca := newPKI(t)
	const interval = 150 * time.Millisecond // more than ten in a second are not answered
	side := func(name string) *bench {
		return start(t, Config{
			Domains: []Domain{ca.domain(t, name, "")}, PongTimeout: time.Second,
			PingInterval: interval, // watch looks as often as that needs
			PingPeer:     func(any) time.Duration { return interval },
		})
	}
	a, b := side("example.com"), side("example.net")
	x := a.must(Hop{To: resolved(sipaddr.TLS, b.at(sipaddr.TLS)), Reference: "example.net"})
	begun := time.Now()
	eventually(t, "pings", func() bool { return a.Stats().PingsSent >= 12 && b.Stats().PingsSent >= 12 })
	most := uint64(time.Since(begun)/(interval*8/10)) + 2
	for _, s := range []Stats{a.Stats(), b.Stats()} {
		if s.NoPong != 0 || s.Suspected != 0 || s.PingsUnanswered != 0 || s.Connections != 1 {
			t.Errorf("%+v", s)
		}
		if s.PingsSent > most || s.Pings > 2*most {
			t.Errorf("%d pings sent and %d counted, where at most %d are due", s.PingsSent, s.Pings, most)
		}
	}
	if i, _ := a.Connection(id(x.f)); i.State != Open {
		t.Errorf("connection %+v", i)
	}
}

// TestQuiet: a peer that was sent something and stays silent is asked before the next ping is due.
func TestQuiet(t *testing.T) {
	var q quiet
	at := time.Unix(1000, 0)
	for i, step := range []struct {
		heard, used int64
		after       time.Duration
		want        bool
	}{
		{10, 10, 0, false},
		{10, 10, time.Hour, false}, // idle
		{10, 20, time.Second, false},
		{10, 21, time.Second, false}, // further requests do not put it off
		{10, 21, time.Second, true},
		{30, 30, 0, false}, // an answer
		{30, 30, time.Hour, false},
		{40, 41, time.Second, false}, // an answer, and another request
		{40, 41, time.Second, false},
		{50, 51, time.Second, false}, // and so on
		{50, 51, time.Second, false},
		{50, 51, time.Second, true},
	} {
		at = at.Add(step.after)
		if got := q.waits(step.heard, step.used, at, 2*time.Second); got != step.want {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
}

// TestRecycle: an old connection leaves the table first, ends what it has begun, and a new one takes its place.
func TestRecycle(t *testing.T) {
	var left atomic.Int64
	left.Store(1)
	p := newPair(t, func(cfg *Config) {
		cfg.MaxAge, cfg.PongTimeout = 200*time.Millisecond, 40*time.Millisecond // the latter makes watch look often
		cfg.Outstanding = func(alias.ConnID) int { return int(left.Load()) }
	})
	first := p.b.must(p.hop())
	old := p.peer.Accept()
	if err := first.f.Send(request(first.f, "OPTIONS", "1")); err != nil {
		t.Fatal(err)
	}
	r := p.peer.ExpectRequest("OPTIONS")
	accepted, _ := p.offer(t, "p2.example.net:7000", "alias")
	eventually(t, "the old connection drains", func() bool { return p.b.Stats().Recycled > 0 })
	second := p.b.must(p.hop())
	if second.f.ID() == first.f.ID() || second.dec.Reason != alias.Closing {
		t.Errorf("the next request goes over connection %d, %s", second.f.ID(), second.dec.Reason)
	}
	if old.Closed() {
		t.Fatal("closed before its transaction has ended")
	}
	r.Reply(200)
	if got := p.b.message(); got.m.StatusCode() != 200 || id(got.src.Flow) != id(first.f) {
		t.Errorf("answer %q over %d", got.m.Raw(), id(got.src.Flow))
	}
	left.Store(0)
	if err := old.ExpectClosed(); err != io.EOF {
		t.Errorf("end %v, want a closure alert", err)
	}
	if accepted.Closed() {
		t.Error("an accepted connection was recycled")
	}
}

// TestHalted: a request that found a connection before the peer's closure alert is not sent on it after that,
// while answers still are.
func TestHalted(t *testing.T) {
	var left atomic.Int64
	left.Store(1)
	p := newPair(t, func(cfg *Config) {
		cfg.Outstanding = func(alias.ConnID) int { return int(left.Load()) }
	})
	c, got := p.offer(t, "p2.example.net", "alias")
	h := p.hop()
	h.To = resolved(sipaddr.TLS, addrPort(p.peer.Addr(), 5061))
	c.CloseWrite()
	eventually(t, "the alert has come", func() bool { i, _ := p.b.Connection(id(got.src.Flow)); return i.State == Draining })
	f := got.src.Flow // as though it had been found for a request before
	if err := f.Send(request(f, "OPTIONS", "late")); err != ErrClosed {
		t.Errorf("a request after the alert: %v", err)
	}
	if err := f.Send(sip.AppendResponse(nil, got.m, 200, "OK", "tag")); err != nil {
		t.Error(err)
	}
	c.ExpectResponse(200)
	left.Store(0)
	receive(t, p.b.box.closed, "the end")
}

// TestFrozenWhileNeeded: a peer that answers pings, and answers nothing since something was sent to it, is found out
// long before the next ping would be due.
func TestFrozenWhileNeeded(t *testing.T) {
	const pong = 400 * time.Millisecond
	p := newPair(t, func(cfg *Config) { cfg.PingInterval, cfg.PongTimeout = time.Hour, pong })
	a := p.b.must(p.hop())
	c := p.peer.Accept()
	c.Send("SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS p1.example.com;branch=z9hG4bK1;keep=3600\r\nFrom: <sip:a@example.com>;tag=1\r\n" +
		"To: <sip:b@example.net>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n")
	p.b.message()
	begun := time.Now()
	if err := a.f.Send(request(a.f, "OPTIONS", "1")); err != nil {
		t.Fatal(err)
	}
	p.peer.Expect("a ping", pings(c))
	eventually(t, "no request finds it", func() bool { return p.b.Stats().Suspected == 1 })
	suspected := time.Since(begun)
	end := receive(t, p.b.box.closed, "the end")
	closed := time.Since(begun)
	t.Logf("out of the table after %v, closed after %v, with a pong timeout of %v", suspected, closed, pong)
	if end.err != errNoPong || closed > 3*pong {
		t.Errorf("closed %+v after %v", end, closed)
	}
}
