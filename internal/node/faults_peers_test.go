package node_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// neverReads: a peer that takes nothing is given up; what was to go there has a final response, and what goes
// elsewhere does not wait.
func neverReads(t *testing.T) {
	s := newStand(t, plan{deaf: true})
	wall := newFarm(t, at(s.far.Addr(), sipaddr.TLS), s.ca.Domain(t, "example.net").TLS())
	wall.deaf.Store(true)
	good := s.other("example.org")
	a := newAsker(t, s.alice.Addr(), s.p.at(sipaddr.UDP))
	const n = 600
	var slowest time.Duration
	for i := range n {
		a.ask("sip:bob@example.net", 20_000, nil)
		if i%20 == 0 {
			begin := time.Now()
			s.sends("sip:bob@example.org", good)
			slowest = max(slowest, time.Since(begin))
		}
	}
	begin := time.Now()
	within(t, 25*time.Second, "every request has a final response", func() bool { return a.left() == 0 })
	t.Logf("%d requests to the peer that never reads are answered %v within %v; the slowest to another peer took %v",
		n, a.answers(), time.Since(begin), slowest)
	st := s.p.Stats().Transport
	if st.Dialed < 3 {
		t.Errorf("no connection was given up: %+v", st)
	}
	// The peer is well again.
	wall.deaf.Store(false)
	within(t, 15*time.Second, "the peer is used again", func() bool {
		r := s.asks("sip:bob@example.net")
		return s.alice.Expect("the answer", same(r.CallID, false)).StatusCode() == 200
	})
}

// other is the server of another domain, which answers everything.
func (s *stand) other(domain string) *siptest.Peer {
	s.t.Helper()
	p := siptest.NewPeer(s.t, siptest.PeerConfig{Name: domain, Cert: s.ca.Domain(s.t, domain), Handle: siptest.AnswerAll})
	p.Listen(sipaddr.TLS, 5061)
	s.names(domain, "h."+domain, p.Addr(), 5061)
	return p
}

// frozen: a peer whose kernel takes everything and that answers nothing. Transactions that time out in a row take
// the connection out of the table; it is probed, and closed when nothing comes.
func frozen(t *testing.T) {
	t.Run("no pong", func(t *testing.T) { t.Parallel(); stopsAnsweringPings(t) })
	t.Run("stopped process", func(t *testing.T) { t.Parallel(); stopped(t) })
	const timers = "timers: {t1: 10ms, t2: 20ms, t4: 20ms, pong: 400ms}\n" // 64*T1 is 640 ms
	for _, direction := range []alias.Direction{alias.Dialed, alias.Accepted} {
		t.Run("for good "+direction.String(), func(t *testing.T) {
			t.Parallel()
			s := newStand(t, plan{rest: timers})
			var conn *siptest.Conn
			if direction == alias.Accepted {
				conn = s.offered("p2.example.net")
			} else {
				conn = s.sends("sip:bob@example.net", s.far).Conn
			}
			id := s.row().Conn
			conn.Stall()
			begin := time.Now()
			for range 3 {
				s.asks("sip:bob@example.net")
			}
			within(t, 3*time.Second, "the connection is out of the table", func() bool { return len(s.p.rows()) == 0 })
			suspected := time.Since(begin)
			again := s.asks("sip:bob@example.net")
			if got := s.alice.Expect("the answer over another connection", same(again.CallID, false)); got.StatusCode() != 200 {
				t.Errorf("answered %d", got.StatusCode())
			}
			within(t, 5*time.Second, "the connection is closed", func() bool {
				for _, c := range s.p.tlsConns() {
					if c.ID == id {
						return false
					}
				}
				return true
			})
			t.Logf("out of the table after %v, closed after %v", suspected, time.Since(begin))
			if st := s.p.Stats().Transport; st.Suspected != 1 || st.Wedged != 1 {
				t.Errorf("%d connections were suspected and %d closed, want 1 and 1", st.Suspected, st.Wedged)
			}
		})
		t.Run("for a while "+direction.String(), func(t *testing.T) {
			t.Parallel()
			s := newStand(t, plan{rest: strings.Replace(timers, "400ms", "10s", 1)})
			var conn *siptest.Conn
			if direction == alias.Accepted {
				conn = s.offered("p2.example.net")
			} else {
				conn = s.sends("sip:bob@example.net", s.far).Conn
			}
			id := s.row().Conn
			conn.Stall()
			for range 3 {
				s.asks("sip:bob@example.net")
			}
			within(t, 3*time.Second, "the connection is out of the table", func() bool { return len(s.p.rows()) == 0 })
			conn.Resume() // and far answers what has come meanwhile
			eventually(t, "the row is back", func() bool { return len(s.p.rows()) == 1 })
			if r := s.row(); r.Conn != id || r.Direction != direction {
				t.Errorf("the row is %+v", r)
			}
			s.over(conn, "sip:bob@example.net", s.far)
		})
	}
}

// stopped: the same with a process that has been stopped while its kernel goes on, and goes on later.
func stopped(t *testing.T) {
	s := newStand(t, plan{deaf: true, rest: "timers: {t1: 10ms, t2: 20ms, t4: 20ms, pong: 400ms}\n"})
	child := s.childFarm()
	if got := s.answerTo("sip:bob@example.net"); got != 200 {
		t.Fatalf("answered %d", got)
	}
	child.stop(t)
	begin := time.Now()
	for range 3 {
		s.asks("sip:bob@example.net")
	}
	within(t, 3*time.Second, "the connection is out of the table", func() bool { return len(s.p.rows()) == 0 })
	out := time.Since(begin)
	within(t, 5*time.Second, "the connection is closed", func() bool { return s.p.Stats().Transport.Wedged == 1 })
	t.Logf("out of the table after %v, closed after %v", out, time.Since(begin))
	child.signal(t, syscall.SIGCONT)
	within(t, 10*time.Second, "the peer is used again", func() bool { return s.answerTo("sip:bob@example.net") == 200 })
}

// stopsAnsweringPings: an idle peer that stops answering pings is found out without any request.
func stopsAnsweringPings(t *testing.T) {
	s := newStand(t, plan{deaf: true, rest: "timers: {pong: 600ms}\n", peers: "[{name: partner, identities: [example.net], keepalive: 1s}]"})
	f := newFarm(t, at(s.far.Addr(), sipaddr.TLS), s.ca.Domain(t, "example.net").TLS())
	if got := s.answerTo("sip:bob@example.net"); got != 200 {
		t.Fatalf("answered %d", got)
	}
	within(t, 5*time.Second, "two pings are answered", func() bool { return f.pings.Load() >= 2 })
	f.mute.Store(true)
	begin := time.Now()
	within(t, 5*time.Second, "the connection is out of the table", func() bool { return len(s.p.rows()) == 0 })
	out := time.Since(begin)
	within(t, 5*time.Second, "the connection is closed", func() bool { return s.p.Stats().Transport.NoPong == 1 })
	t.Logf("out of the table after %v, closed after %v", out, time.Since(begin))
	f.mute.Store(false)
	if got := s.answerTo("sip:bob@example.net"); got != 200 {
		t.Errorf("answered %d over a new connection", got)
	}
}

// answerTo has alice ask, and gives the status of the answer; 0 when none came in time.
func (s *stand) answerTo(uri string) int {
	s.t.Helper()
	r := s.asks(uri)
	for end := time.Now().Add(time.Second); time.Now().Before(end); runtime.Gosched() {
		if all := s.alice.Received(); slices.ContainsFunc(all, same(r.CallID, false)) {
			return all[slices.IndexFunc(all, same(r.CallID, false))].StatusCode()
		}
	}
	return 0
}

// targetFails: the next target of an SRV record is tried when the first one refuses, within 50 ms, and when it
// does not answer the connection, within the time for that (RFC 3263, Section 4.3).
func targetFails(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		best := time.Hour
		for range 3 {
			s := newStand(t, plan{})
			s.inOrder(siptest.Loopback(t), s.far.Addr())
			s.record(fmt.Sprintf("p2.example.net. 60 IN A %s", s.far.Addr()))
			// The connection to the second target is there, so that what is measured is the failover.
			conn := s.sends("sip:bob@p2.example.net;transport=tls", s.far).Conn
			begin := time.Now()
			s.over(conn, "sip:bob@example.net", s.far)
			best = min(best, time.Since(begin))
		}
		t.Logf("failover took %v, with looking up the name", best)
		if most := aim(50 * time.Millisecond); best > most {
			t.Errorf("failover took %v, want %v at most", best, most)
		}
	})
	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		const dial = time.Second
		s := newStand(t, plan{rest: "timers: {dial: 1s}\n"})
		hole := siptest.Loopback(t)
		full(t, at(hole, sipaddr.TLS))
		s.inOrder(hole, s.far.Addr())
		begin := time.Now()
		s.sends("sip:bob@example.net", s.far)
		d := time.Since(begin)
		t.Logf("failover took %v with a dial timeout of %v", d, dial)
		if d < dial/2 || d > dial+soon {
			t.Errorf("failover took %v, want about %v", d, dial)
		}
		// After a second failure the address is left alone for a while, so that the next request does not wait.
		s.sends("sip:bob@example.net", s.far)
		begin = time.Now()
		s.sends("sip:bob@example.net", s.far)
		if d := time.Since(begin); d > dial/2 {
			t.Errorf("the next request took %v", d)
		}
	})
	t.Run("reset after accepting", func(t *testing.T) {
		t.Parallel()
		s := newStand(t, plan{})
		bad := siptest.Loopback(t)
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at(bad, sipaddr.TLS)))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		// Ends when the listener is closed, at the end of the test.
		go func() {
			defer close(done)
			for {
				c, err := l.AcceptTCP()
				if err != nil {
					return
				}
				_ = c.SetLinger(0)
				_ = c.Close()
			}
		}()
		t.Cleanup(func() { _ = l.Close(); <-done })
		s.inOrder(bad, s.far.Addr())
		begin := time.Now()
		s.sends("sip:bob@example.net", s.far)
		t.Logf("failover took %v", time.Since(begin))
		if d := time.Since(begin); d > soon {
			t.Errorf("failover took %v", d)
		}
	})
}

// bothOpenAtOnce: two proxies that dial each other in the same moment have two connections. Both are usable, no
// request arrives twice, and from then on both sides keep to the same one.
func bothOpenAtOnce(t *testing.T) {
	two := 0
	for range 6 {
		f := newFigure4(t)
		agents := []*siptest.Peer{f.alice, f.bob}
		a1, a2 := newAsker(t, f.alice.Addr(), f.p1.at(sipaddr.UDP)), newAsker(t, f.bob.Addr(), f.p2.at(sipaddr.UDP))
		sent := 0
		burst := func(n int) {
			t.Helper()
			start := make(chan struct{})
			var run sync.WaitGroup
			for a, uri := range map[*asker]string{a1: "sip:bob@example.net", a2: "sip:alice@example.com"} {
				run.Go(func() {
					<-start
					for range n {
						a.ask(uri, 10, nil)
					}
				})
			}
			close(start)
			run.Wait()
			sent += n
			eventually(t, "all are answered", func() bool { return a1.left()+a2.left() == 0 })
			for _, a := range []*asker{a1, a2} {
				if got := a.answers(); got[200] != sent {
					t.Fatalf("of %d requests were answered %v", sent, got)
				}
			}
		}
		burst(5)
		conns := len(f.p1.tlsConns())
		if conns < 1 || conns > 2 || len(f.p2.tlsConns()) != conns {
			t.Fatalf("%d and %d connections between the two", conns, len(f.p2.tlsConns()))
		}
		two += conns - 1
		// What follows takes the connections that are there, each side the same one each time.
		for range 3 {
			before := carried(f.p1)
			burst(5)
			used := 0
			for id, n := range carried(f.p1) {
				if n != before[id] {
					used++
				}
			}
			if used != 1 {
				t.Errorf("%d of %d connections were used, both sides are to choose the same", used, conns)
			}
		}
		if n := f.p1.Handshakes() + f.p2.Handshakes(); n != 2*conns {
			t.Errorf("%d handshakes for %d connections", n, conns)
		}
		for _, p := range agents {
			seen := make(map[string]int)
			for _, r := range p.Received() {
				if r.Message != nil && r.IsRequest() {
					seen[r.CallID()]++
				}
			}
			for id, n := range seen {
				if n > 1 {
					t.Errorf("request %s arrived %d times", id, n)
				}
			}
			if len(seen) != sent {
				t.Errorf("%d requests arrived, %d were sent", len(seen), sent)
			}
		}
	}
	t.Logf("in %d of 6 rounds there were two connections", two)
}

// carried is what the connections of a proxy have sent.
func carried(p *proxy) map[alias.ConnID]uint64 {
	out := make(map[alias.ConnID]uint64)
	for _, c := range p.tlsConns() {
		out[c.ID] = c.BytesOut
	}
	return out
}

// partnerIsSomebodyElse: the row of a connection does not stand for whoever has its address later.
func partnerIsSomebodyElse(t *testing.T) {
	s := newStand(t, plan{deaf: true})
	conn := s.offered("p2.example.net")
	s.over(conn, "sip:bob@example.net", s.far)
	conn.Reset()
	eventually(t, "the row is gone", func() bool { return len(s.p.rows()) == 0 })
	evil := siptest.NewPeer(t, siptest.PeerConfig{Name: "evil", Addr: s.far.Addr(), Cert: s.ca.Domain(t, "evil.example"), Handle: siptest.AnswerAll})
	evil.Listen(sipaddr.TLS, 5061)
	back := s.dials(evil)
	s.offer(evil, back, "p2.example.net", "alias")
	if r := s.row(); r.Identities.Contains("example.net") || r.Resolved != s.resolved(evil, 5061) {
		t.Fatalf("the row is %+v", r)
	}
	if got := s.fails("sip:bob@example.net"); got.StatusCode() != 503 {
		t.Errorf("answered %d, want 503", got.StatusCode())
	}
	quiet(evil)
	if n := s.p.Stats().Transport.AuthFailed; n != 1 {
		t.Errorf("%d servers failed to authenticate, want 1", n)
	}
}

// certificateSwapped: who answers the next connection is authenticated anew, and gets nothing when it is somebody
// else: RFC 5922, Section 7.3.
func certificateSwapped(t *testing.T) {
	s := newStand(t, plan{})
	conn := s.sends("sip:bob@example.net", s.far).Conn
	s.far.StopListening(sipaddr.TLS)
	evil := siptest.NewPeer(t, siptest.PeerConfig{Name: "evil", Addr: s.far.Addr(), Cert: s.ca.Domain(t, "evil.example"), Handle: siptest.AnswerAll})
	evil.Listen(sipaddr.TLS, 5061)
	s.over(conn, "sip:bob@example.net", s.far) // the connection that is there is still the right one
	conn.Reset()
	eventually(t, "the row is gone", func() bool { return len(s.p.rows()) == 0 })
	for range 2 {
		got := s.fails("sip:bob@example.net")
		if warning, _ := got.Header("Warning"); got.StatusCode() != 503 || !strings.Contains(warning, "evil.example") {
			t.Errorf("answered %d with the Warning %q", got.StatusCode(), warning)
		}
	}
	eventually(t, "nothing is left open to it", func() bool { return len(s.p.tlsConns()) == 0 })
	quiet(evil)
	for _, c := range evil.Conns() {
		if c.Heard() != 0 {
			t.Errorf("%d bytes were sent to somebody else", c.Heard())
		}
	}
	s.noRows()
}

// corruptRecord: a spoilt record ends the connection with bad_record_mac and nothing of it is acted upon.
func corruptRecord(t *testing.T) {
	for _, forth := range []bool{true, false} {
		t.Run(map[bool]string{true: "request", false: "response"}[forth], func(t *testing.T) {
			t.Parallel()
			s := newStand(t, plan{})
			middle := siptest.Loopback(t)
			r := newRelay(t, at(middle, sipaddr.TLS), at(s.far.Addr(), sipaddr.TLS))
			s.inOrder(middle)
			conn := s.sends("sip:bob@example.net", s.far).Conn
			before := len(s.far.Received())
			spoil := &r.back
			if forth {
				spoil = &r.forth
			}
			spoil.Store(100)
			begin := time.Now()
			ask := s.asks("sip:bob@example.net")
			got := s.alice.Expect("the answer", same(ask.CallID, false))
			if got.StatusCode() != 200 || time.Since(begin) > soon {
				t.Errorf("answered %d after %v, want 200 over a new connection", got.StatusCode(), time.Since(begin))
			}
			err := conn.ExpectClosed()
			t.Logf("%v after %v", err, time.Since(begin))
			if forth && !strings.Contains(fmt.Sprint(err), "bad record MAC") || !forth && !strings.Contains(fmt.Sprint(err), "bad record MAC") && err == io.EOF {
				t.Errorf("the connection ended with %v", err)
			}
			eventually(t, "far has had the request, again when its answer was spoilt", func() bool {
				n := 0
				for _, r := range s.far.Received()[before:] {
					if r.Message != nil && r.CallID() == ask.CallID {
						n++
					} else if r.Message == nil && strings.Trim(r.Text, "\r\n") != "" {
						t.Errorf("far got %q", r.Text)
					}
				}
				return n == map[bool]int{true: 1, false: 2}[forth]
			})
			if rows := s.p.rows(); len(rows) != 1 {
				t.Errorf("%d rows", len(rows))
			}
		})
	}
}
