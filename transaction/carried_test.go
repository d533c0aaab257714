package transaction

import (
	"fmt"
	"testing"
	"time"
)

// TestCarried: the end of a connection costs what it carries, whatever others do meanwhile.
func TestCarried(t *testing.T) {
	l := New(Config{User: &testUser{}})
	busy := source(tls(7, "a"))
	for i := range 50_000 {
		l.Receive(parse(t, request("OPTIONS", fmt.Sprintf("pc.example.org;branch=z9hG4bKx%d", i))), busy)
	}
	one := source(tls(8, "b"))
	l.Receive(parse(t, request("OPTIONS", "pc.example.org;branch=z9hG4bKone")), one)
	if l.Outstanding(7) != 50_000 || l.Outstanding(8) != 1 {
		t.Fatalf("%d and %d outstanding", l.Outstanding(7), l.Outstanding(8))
	}
	best := func(f func()) time.Duration {
		least := time.Hour
		for range 5 {
			begun := time.Now()
			f()
			least = min(least, time.Since(begun))
		}
		return least
	}
	all := best(func() { l.Outstanding(0) })
	for what, f := range map[string]func(){
		"the end of a connection":  func() { l.FlowClosed(9, nil) },
		"a look at a connection":   func() { l.Outstanding(8) },
		"a look at another's work": func() { l.Outstanding(9) },
	} {
		if took := best(f); took > all/10 {
			t.Errorf("%s took %v, and a look at all transactions %v", what, took, all)
		}
	}
}

// TestCarriedModel compares what connections carry with what the table says, whatever happens.
func TestCarriedModel(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, l *Layer, u *testUser) {
		agree := func(when string) {
			t.Helper()
			want := make(map[*core]uint64)
			for i := range l.shards {
				s := &l.shards[i]
				for _, c := range s.live {
					if c == nil {
						continue
					}
					conn := uint64(0)
					if c.client != nil {
						conn = c.client.path.id
					} else {
						conn = c.server.src.Flow.ID()
					}
					if conn != 0 && c.machine.outstanding() {
						want[c] = conn
					}
				}
				for _, e := range s.carried.slots {
					if e.ref == 0 {
						continue
					}
					c := s.live[e.ref]
					conn := c.carriage.conn
					if s.carriedBy(conn) != c {
						t.Errorf("%s: connection %d does not find what it carries", when, conn)
					}
					for ; c != nil; c = c.carriage.next {
						if want[c] != conn || c.carriage.conn != conn || c.carriage.next != nil && c.carriage.next.carriage.prev != c {
							t.Errorf("%s: a transaction stands with connection %d, not %d", when, conn, want[c])
						}
						delete(want, c)
					}
				}
			}
			if len(want) != 0 {
				t.Errorf("%s: %d transactions are missing", when, len(want))
			}
		}
		conns := []*testFlow{tls(4, "a"), tls(5, "b"), udp()}
		branches := make([]string, 30)
		for i := range branches {
			f, method := conns[i%3], []string{"INVITE", "OPTIONS"}[i/3%2]
			l.Receive(parse(t, request(method, fmt.Sprintf("pc.example.org;branch=z9hG4bK%d", i))), source(f))
			branches[i] = NewBranch()
			if _, err := l.Start([]byte(request(method, "p.example.net;branch="+branches[i])), branches[i], method, f, u); err != nil {
				t.Fatal(err)
			}
		}
		agree("begun")
		for i := 0; i < 10; i++ {
			method := []string{"INVITE", "OPTIONS"}[i/3%2]
			resp := "SIP/2.0 200 OK\r\n" + request(method, "p.example.net;branch="+branches[i])
			resp = resp[:16] + resp[16+indexLine(resp[16:]):]
			l.Receive(parse(t, resp), source(conns[i%3]))
		}
		agree("answered")
		l.FlowClosed(4, nil)
		agree("one is closed")
		after(time.Second)
		agree("later")
		l.mustDrain(t, u)
		agree("at the end")
		for i := range l.shards {
			if n := l.shards[i].carried.used; n != 0 {
				t.Errorf("%d connections are known still", n)
			}
		}
	})
}

// indexLine returns where the second line of a text begins.
func indexLine(text string) int {
	for i := range text {
		if text[i] == '\n' {
			return i + 1
		}
	}
	return len(text)
}
