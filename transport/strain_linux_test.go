package transport

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// slow is a Handler that takes its time.
type slow struct {
	counter
	t    atomic.Pointer[Transport]
	seen chan bool // whether the Transport was overloaded when a message was handled
}

func (h *slow) Message(m *sip.Message, src *Source) {
	for began := time.Now(); time.Since(began) < 2*time.Millisecond; {
	}
	h.seen <- h.t.Load().Overloaded()
}

// TestOverloaded: while messages wait all the time a Transport is overloaded, and not any more when none do.
func TestOverloaded(t *testing.T) {
	ca := newPKI(t)
	from := serving(t, Config{Handler: &counter{}, Domains: []Domain{ca.domain(t, "example.com", "")}}, siptest.Loopback(t))
	const messages = 400
	h := &slow{seen: make(chan bool, messages)}
	ip := siptest.Loopback(t)
	h.t.Store(serving(t, Config{Handler: h, Loops: 1, Domains: []Domain{ca.domain(t, "example.net", "")}}, ip))
	ch := make(chan answer, 1)
	from.Flow(Hop{To: resolved(sipaddr.UDP, addrPort(ip, 5060))}, func(f Flow, d alias.Decision, err error) { ch <- answer{f, d, err} })
	a := receive(t, ch, "a flow")
	if a.err != nil {
		t.Fatal(a.err)
	}
	if h.t.Load().Overloaded() {
		t.Error("overloaded before anything came")
	}
	for range messages {
		if err := a.f.Send(request(a.f, "MESSAGE", "bench")); err != nil {
			t.Fatal(err)
		}
	}
	if receive(t, h.seen, "the first message") {
		t.Error("overloaded by the first message")
	}
	deadline := time.After(10 * time.Second)
	for overloaded := false; !overloaded; {
		select {
		case overloaded = <-h.seen:
		case <-deadline:
			t.Fatal("never overloaded")
		}
	}
	eventually(t, "not overloaded when nothing waits", func() bool { return !h.t.Load().Overloaded() })
}
