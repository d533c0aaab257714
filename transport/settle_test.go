package transport

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// settler is a bench that answers every request, and counts what it was sent.
type settler struct {
	*bench
	requests atomic.Int64
	seen     sync.Map // Call-ID of a request -> times it came
	answers  chan *sip.Message
}

func newSettler(t *testing.T, ca *pki, domain string) *settler {
	s := &settler{answers: make(chan *sip.Message, 10000)}
	box := newInbox()
	box.handle = func(m *sip.Message, src *Source) {
		if !m.IsRequest() {
			s.answers <- m
			return
		}
		s.requests.Add(1)
		n, _ := s.seen.LoadOrStore(m.CallID(), new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		if err := src.Flow.Send(sip.AppendResponse(nil, m, 200, "", "x")); err != nil {
			t.Errorf("answer: %v", err)
		}
	}
	s.bench = start(t, Config{
		Handler: box, Domains: []Domain{ca.domain(t, domain, "p."+domain)},
		SettleAfter: 100 * time.Millisecond, PongTimeout: 40 * time.Millisecond, // watch looks each 10 ms
	})
	return s
}

func (s *settler) hop(to *settler, reference string) Hop {
	return Hop{To: resolved(sipaddr.TLS, to.at(sipaddr.TLS)), Reference: reference}
}

// send sends a request and waits for its answer; it gives the connection.
func (s *settler) send(h Hop, callID string) uint64 {
	a := <-s.ask(h)
	if a.err != nil {
		s.t.Error(a.err)
		return 0
	}
	if err := a.f.Send(request(a.f, "OPTIONS", callID)); err != nil {
		s.t.Errorf("%s: %v", callID, err)
	}
	select {
	case <-s.answers:
	case <-time.After(patience):
		s.t.Errorf("%s was not answered", callID)
	}
	return a.f.ID()
}

// TestSimultaneousOpen: both sides dial at once. Both connections are usable, both sides choose the same one,
// and one is left; no request is lost and none comes twice.
func TestSimultaneousOpen(t *testing.T) {
	for round := range 4 {
		t.Run(fmt.Sprintf("F34 %d", round), func(t *testing.T) {
			ca := newPKI(t)
			a, b := newSettler(t, ca, "example.com"), newSettler(t, ca, "example.net")
			toB, toA := a.hop(b, "example.net"), b.hop(a, "example.com")
			both := func(name string) {
				var wg sync.WaitGroup
				barrier := make(chan struct{})
				for _, side := range []struct {
					s *settler
					h Hop
				}{{a, toB}, {b, toA}} {
					wg.Add(1)
					// Ends when the request was answered.
					go func() {
						defer wg.Done()
						<-barrier
						side.s.send(side.h, name+side.h.Reference)
					}()
				}
				close(barrier)
				wg.Wait()
			}
			// No row can be there before a request was sent, so both dial.
			fromA, fromB := a.ask(toB), b.ask(toA)
			first := [2]answer{<-fromA, <-fromB}
			if first[0].err != nil || first[1].err != nil {
				t.Fatal(first[0].err, first[1].err)
			}
			eventually(t, "two connections", func() bool { return len(a.Connections()) == 2 && len(b.Connections()) == 2 })
			for i, s := range []*settler{a, b} {
				if err := first[i].f.Send(request(first[i].f, "OPTIONS", fmt.Sprint("first", i))); err != nil {
					t.Error(err)
				}
				receive(t, s.answers, "the answer")
			}
			both("second")
			// From here on both choose the same.
			x, y := a.send(toB, "x"), b.send(toA, "y")
			ca1, _ := a.Connection(alias.ConnID(x))
			cb1, _ := b.Connection(alias.ConnID(y))
			if ca1.Local != cb1.Remote || ca1.Remote != cb1.Local {
				t.Errorf("one side uses %v-%v, the other %v-%v", ca1.Local, ca1.Remote, cb1.Local, cb1.Remote)
			}
			for i := 0; len(a.Connections()) > 1 || len(b.Connections()) > 1; i++ {
				if i > 10000 {
					t.Fatal("there are two connections still")
				}
				both(fmt.Sprint("while-settling-", i, "-"))
			}
			if a.send(toB, "last") != x || b.send(toA, "last") != y {
				t.Error("the connection that was chosen is not the one that stays")
			}
			for _, s := range []*settler{a, b} {
				s.seen.Range(func(k, n any) bool {
					if n := n.(*atomic.Int64).Load(); n != 1 {
						t.Errorf("%v came %d times", k, n)
					}
					return true
				})
				if rows := s.Aliases(); len(rows) != 1 {
					t.Errorf("%d rows", len(rows))
				}
			}
			if n := a.Stats().Settled + b.Stats().Settled; n != 1 {
				t.Errorf("%d connections were given back", n)
			}
		})
	}
}
