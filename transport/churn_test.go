package transport

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// TestChurn sends both ways between two domains while their connections are closed and cut, and
// looks at the tables when it is over.
func TestChurn(t *testing.T) {
	ca := newPKI(t)
	box := func() *inbox {
		b := newInbox()
		b.handle = func(m *sip.Message, src *Source) {
			if m.IsRequest() {
				if src.Peer == nil {
					t.Error("nobody authenticated")
				}
				src.Flow.Send(sip.AppendResponse(nil, m, 200, "OK", "x"))
			}
		}
		return b
	}
	one := start(t, Config{Handler: box(), Domains: []Domain{ca.domain(t, "example.com", "")}})
	two := start(t, Config{Handler: box(), Domains: []Domain{ca.domain(t, "example.net", "")}})
	var wg sync.WaitGroup
	send := func(from *bench, to *bench, reference string) {
		defer wg.Done()
		h := Hop{To: resolved(sipaddr.TLS, to.at(sipaddr.TLS)), Reference: reference}
		for i := range 150 {
			a := receive(t, from.ask(h), "a flow")
			if a.err != nil {
				t.Errorf("flow: %v", a.err)
				return
			}
			a.f.Send(request(a.f, "OPTIONS", itoa(i)))
			switch rand.IntN(20) {
			case 0:
				from.BeginClose(id(a.f), nil)
			case 1:
				a.f.conn.abort(nil)
			case 2:
				from.Explain(h)
				from.Connections()
				from.Stats()
			}
		}
	}
	for range 3 {
		wg.Add(2)
		// Each ends when it has sent all.
		go send(one, two, "example.net")
		// Each ends when it has sent all.
		go send(two, one, "example.com")
	}
	wg.Wait()
	for _, b := range []*bench{one, two} {
		for _, c := range b.Connections() {
			b.BeginClose(c.ID, nil)
		}
	}
	for _, b := range []*bench{one, two} {
		eventually(t, "nothing is left", func() bool {
			s := b.Stats()
			return s.Connections == 0 && s.Pending == 0 && s.AliasRows["example.com"]+s.AliasRows["example.net"] == 0 && s.Dialing == 0
		})
		closed := make(map[alias.ConnID]bool)
		for len(b.box.closed) > 0 {
			c := <-b.box.closed
			if closed[c.id] {
				t.Errorf("connection %d closed twice", c.id)
			}
			closed[c.id] = true
		}
		s := b.Stats()
		eventually(t, "each was told of", func() bool { return uint64(len(closed)+len(b.box.closed)) >= s.Dialed })
		b.mu.Lock()
		if b.held != 0 || b.dialing != 0 || len(b.perSource) != 0 || len(b.pending) != 0 {
			t.Errorf("held %d, dialing %d, sources %v, pending %d", b.held, b.dialing, b.perSource, len(b.pending))
		}
		b.mu.Unlock()
		d := b.domains.Load().list[0]
		d.mu.Lock()
		if len(d.conns)+len(d.plain)+len(d.dials)+len(d.leads) != 0 {
			t.Errorf("conns %d, plain %d, dials %d, leads %d", len(d.conns), len(d.plain), len(d.dials), len(d.leads))
		}
		d.mu.Unlock()
		if s.Panics != 0 || s.Malformed != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// TestCloseWhileBusy closes a transport in the middle of everything; Run returns all the same.
func TestCloseWhileBusy(t *testing.T) {
	p := newPair(t, nil)
	h := p.hop()
	done := make(chan struct{})
	// Ends when the transport is closed.
	go func() {
		defer close(done)
		for {
			a := <-p.b.ask(h)
			if a.err != nil {
				return
			}
			a.f.Send(request(a.f, "OPTIONS", "busy"))
		}
	}()
	eventually(t, "busy", func() bool { return p.b.Stats().Dialed > 0 })
	begun := time.Now()
	p.b.Close()
	receive(t, done, "the end")
	if d := time.Since(begun); d > 2*time.Second {
		t.Errorf("took %v", d)
	}
}
