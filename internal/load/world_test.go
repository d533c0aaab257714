package load

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// world is a generator whose both ends are joined by a line in memory, in a time that passes by itself.
type world struct {
	t      *testing.T
	e      *engine
	now    instant
	places [2]place
	out    outbox
	air    []flight
	delay  time.Duration
	sent   []string // all that was sent

	// tamper is given what an end sends and returns what arrives, and how much later. Nil: all as it was.
	tamper func(w *world, from side, text string) []delivery
	// deaf says from when to when nobody ticks.
	deafFrom, deafTo instant
}

type delivery struct {
	text  string
	later time.Duration
}

type flight struct {
	at   instant
	to   side
	text string
}

type noAlarm struct{}

func (noAlarm) set(instant) {}

var worldAddrs = [2]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:5060"), netip.MustParseAddrPort("192.0.2.2:5060")}

func newWorld(t *testing.T, cfg Config) *world {
	t.Helper()
	cfg.Target = Endpoint{sipaddr.UDP, worldAddrs[calleeSide]}
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, e: newEngine(cfg, noAlarm{}), delay: time.Millisecond}
	for s := range w.places {
		w.places[s] = newPlace(side(s), sipaddr.UDP, worldAddrs[s])
	}
	w.e.callers = identities("sip:alice@a.example.com", cfg.Identities)
	w.e.callees = identities("sip:bob@b.example.net", cfg.Identities)
	w.e.origins = []*origin{{place: w.places[callerSide], host: "192.0.2.1", path: path{to: worldAddrs[calleeSide]}}}
	return w
}

// do has something done with the lock, and sends what comes of it.
func (w *world) do(f func()) {
	w.e.enter(&w.out)
	f()
	w.e.leave()
	start := 0
	for _, item := range w.out.items {
		text := string(w.out.data[start:item.end])
		start = item.end
		w.sent = append(w.sent, text)
		from := callerSide
		if item.path.to == worldAddrs[callerSide] {
			from = calleeSide
		}
		arrives := []delivery{{text: text}}
		if w.tamper != nil {
			arrives = w.tamper(w, from, text)
		}
		for _, d := range arrives {
			w.air = append(w.air, flight{w.now + w.delay + d.later, 1 - from, d.text})
		}
	}
	w.out.items, w.out.data = w.out.items[:0], w.out.data[:0]
	slices.SortStableFunc(w.air, func(a, b flight) int { return int(a.at - b.at) })
}

// hear has a message arrive at a side.
func (w *world) hear(to side, text string) {
	w.t.Helper()
	m, err := sip.Parse(text)
	if err == nil {
		err = m.Validate()
	}
	if err != nil {
		w.t.Fatalf("%v:\n%s", err, text)
	}
	w.do(func() { w.e.receive(m, &w.places[to], path{to: worldAddrs[1-to]}, w.now) })
}

// run lets time pass up to a moment.
func (w *world) run(until instant) {
	w.t.Helper()
	for {
		tick := min(w.e.arrivals.next, w.e.timers.first())
		if tick >= w.deafFrom && tick < w.deafTo {
			tick = w.deafTo
		}
		next := tick
		if len(w.air) > 0 {
			next = min(next, w.air[0].at)
		}
		if next > until {
			w.now = until
			w.do(func() { w.e.tick(until) })
			return
		}
		w.now = max(w.now, next)
		if len(w.air) > 0 && w.air[0].at <= w.now {
			f := w.air[0]
			w.air = w.air[1:]
			w.hear(f.to, f.text)
			continue
		}
		for more := true; more; {
			w.do(func() { more = w.e.tick(w.now) })
		}
	}
}

// place offers calls and lets the time pass until they are over.
func (w *world) place(calls int, rate float64) *tally {
	w.t.Helper()
	w.do(func() { w.e.offer([]Step{{Rate: rate}}, calls, w.now) })
	for range 200 {
		w.run(w.now + time.Second)
		if over, open := w.e.settled(); over && open == 0 {
			return w.e.tallies[0]
		}
	}
	w.t.Fatalf("%d calls are not over after 200 s", w.e.open)
	return nil
}

// count counts what was sent that begins so.
func (w *world) count(prefix string) int {
	n := 0
	for _, text := range w.sent {
		if strings.HasPrefix(text, prefix) {
			n++
		}
	}
	return n
}

// is says whether a message is a request of the method, or a response with the status to such a request.
func is(text string, status int, method string) bool {
	m, err := sip.Parse(text)
	return err == nil && m.StatusCode() == status && m.Method() == method
}

// only is tampering with the messages that are so.
func only(status int, method string, f func(w *world, text string) []delivery) func(*world, side, string) []delivery {
	return func(w *world, _ side, text string) []delivery {
		if is(text, status, method) {
			return f(w, text)
		}
		return []delivery{{text: text}}
	}
}

// instead is tampering that replaces a text in such messages.
func instead(status int, method, old, new string) func(*world, side, string) []delivery {
	return only(status, method, func(w *world, text string) []delivery {
		if !strings.Contains(text, old) {
			w.t.Fatalf("no %q in:\n%s", old, text)
		}
		return []delivery{{text: strings.Replace(text, old, new, 1)}}
	})
}

// dropped is tampering that loses such messages.
func dropped(status int, method string) func(*world, side, string) []delivery {
	return only(status, method, func(*world, string) []delivery { return nil })
}
