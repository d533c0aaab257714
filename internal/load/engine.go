package load

import (
	"crypto/rand"
	"strconv"
	"strings"
	"sync"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// alarm rings at a time; only the last one that was set counts.
type alarm interface{ set(at instant) }

// engine is all calls of a generator. It reads no clock and no socket: it is told messages and the time, and puts
// what is to be sent into the outbox of whoever told it.
type engine struct {
	cfg     Config
	run     string // begins every Call-ID and tag
	order   []*script
	callers []string // URIs
	callees []string
	users   []string // that callers answer challenges with; none: that of their URI
	alarm   alarm

	mu       sync.Mutex // mu guards the fields below, and all that they hold
	out      *outbox    // of whoever holds the lock
	calls    map[string]*call
	open     int // of the calls, those that are not over
	memories []memory
	spare    []*call
	timers   timers
	armed    instant // when the alarm rings

	arrivals arrivals
	placed   uint64
	tallies  []*tally
	origins  []*origin // that callers may use
	taken    *tally    // of calls that somebody else placed
	counters Counters
	failures failures
	interval *hdr.Histogram // answers since the last progress
	leaving  bool           // calls hang up at once
	slow     time.Duration  // an answer that took longer is noted in its tally; 0: none is
	scratch  []byte         // bodies
	scratch2 []byte         // messages
}

// Counters are what does not belong to one call, or does not make it fail.
type Counters struct {
	RequestsSent      int `json:"requests_sent"`      // new ones, with ACK
	Repeated          int `json:"repeated"`           // messages that were sent again, for want of an answer or because they were asked for again
	RepeatsReceived   int `json:"repeats_received"`   // requests and final responses that came again
	Late              int `json:"late"`               // messages for calls that had ended or failed
	UnknownRequests   int `json:"unknown_requests"`   // of no call, and refused or answered
	UnknownResponses  int `json:"unknown_responses"`  // to nothing that is remembered
	Malformed         int `json:"malformed"`          // what is no SIP message
	ConnectionsDialed int `json:"connections_dialed"` // all but those over UDP, with those after loss
	ConnectionsTaken  int `json:"connections_accepted"`
	Handshakes        int `json:"handshakes"`         // of connections beside those that are called over
	ConnectionsFailed int `json:"connections_failed"` // dials and handshakes
	ConnectionsLost   int `json:"connections_lost"`   // that the far side ended
	Unsent            int `json:"unsent"`             // messages that the socket did not take
}

func newEngine(cfg Config, a alarm) *engine {
	e := &engine{
		cfg: cfg, run: strings.ToLower(rand.Text()[:10]), order: rotation(cfg.Mix), alarm: a,
		calls: make(map[string]*call), armed: never, interval: newHistogram(),
		failures: failures{seen: make(map[string]int)},
	}
	e.arrivals.stop()
	e.taken = newTally(Step{})
	return e
}

// placeholder stands for the number of an identity.
const placeholder = "{n}"

// identities returns the URIs of n users.
func identities(pattern string, n int) []string {
	numbered := strings.Contains(pattern, placeholder)
	uris := make([]string, n)
	for i := range uris {
		switch {
		case numbered:
			uris[i] = strings.ReplaceAll(pattern, placeholder, strconv.Itoa(i))
		case n == 1:
			uris[i] = pattern
		default:
			at := strings.IndexByte(pattern, '@')
			if at < 0 {
				at = len(pattern)
			}
			uris[i] = pattern[:at] + strconv.Itoa(i) + pattern[at:]
		}
	}
	return uris
}

// enter takes the lock; what is to be sent goes to out until leave.
func (e *engine) enter(out *outbox) {
	e.mu.Lock()
	e.out = out
}

// leave gives the lock back and has the alarm ring when there is something to do earlier than before.
func (e *engine) leave() {
	if next := min(e.timers.first(), e.arrivals.next); next < e.armed {
		e.armed = next
		e.alarm.set(next)
	}
	e.out = nil
	e.mu.Unlock()
}

// arrivalsAtOnce is how many arrivals are begun under one lock, and timersAtOnce how many ends are given their time.
const (
	arrivalsAtOnce = 32
	timersAtOnce   = 64
)

// tick does what is due at now, and says whether there is more.
func (e *engine) tick(now instant) (more bool) {
	for range timersAtOnce {
		if e.timers.first() > now {
			break
		}
		e.wake(e.timers[0], now)
	}
	for range arrivalsAtOnce {
		if e.arrivals.next > now {
			break
		}
		due, step := e.arrivals.pop()
		e.arrive(e.tallies[step], due, now)
	}
	e.forget(now)
	e.armed = never // leave sets it again
	return e.timers.first() <= now || e.arrivals.next <= now
}

// offer begins steps of arrivals at now. What became of them is in the tallies.
func (e *engine) offer(steps []Step, calls int, now instant) {
	e.tallies = nil
	for _, s := range steps {
		e.tallies = append(e.tallies, newTally(s))
	}
	e.arrivals.begin(steps, calls, e.cfg.Poisson, now)
	for i, began := 0, now; i < len(steps); i++ {
		e.tallies[i].began = began
		began += steps[i].Duration
	}
}

// settled says whether no arrival is to come, and how many calls are not over.
func (e *engine) settled() (over bool, open int) { return e.arrivals.next == never, e.open }

// hangUp ends the arrivals, and has all calls end that wait for their time to do so, now and later.
func (e *engine) hangUp(now instant) {
	e.arrivals.stop()
	e.leaving = true
	for _, l := range append(timers(nil), e.timers...) {
		if l.actAt != never {
			e.hurry(l, now)
			e.set(l)
		}
	}
}

// hurry has an end hang up at once.
func (e *engine) hurry(l *leg, now instant) { l.act, l.actAt = len(l.actions)-1, now }

// set brings the end's place among the timers up to date.
func (e *engine) set(l *leg) { e.timers.set(l, l.next()) }

// arrive begins what was due. now may be later than that.
func (e *engine) arrive(t *tally, due, now instant) {
	n := e.placed
	e.placed++
	t.begun++
	t.record(lateness, now-due)
	s := e.order[n%uint64(len(e.order))]
	switch {
	case len(e.origins) == 0:
		e.lose(t, s.method+": no connection to the target", now)
		return
	case e.open >= maxOpen:
		e.lose(t, s.method+": too many calls in progress", now)
		return
	}
	o := e.origins[n%uint64(len(e.origins))]
	number := strconv.FormatUint(n, 36)
	c := e.newCall(e.run+"-"+number+"@"+o.host, s, t)
	c.open, c.due = 1, due
	l := &c.legs[callerSide]
	l.phase, l.at, l.path = inviting, &o.place, o.path
	l.tag = e.run + "c" + number
	caller, callee := e.callers[n%uint64(len(e.callers))], e.callees[n%uint64(len(e.callees))]
	l.contact = o.contactOf(caller)
	if len(e.users) > 0 {
		l.user = e.users[n%uint64(len(e.users))]
	}
	l.from, l.to, l.target = "<"+caller+">;tag="+l.tag, "<"+callee+">", callee
	if s.method == "REGISTER" {
		l.to, l.target = "<"+caller+">", registrarOf(caller)
	}
	e.start(l, s.method, s.first, due, now)
	e.set(l)
}

// registrarOf returns the URI that a user is registered with: RFC 3261, Section 10.2.
func registrarOf(uri string) string {
	scheme, rest, _ := strings.Cut(uri, ":")
	if _, host, found := strings.Cut(rest, "@"); found {
		rest = host
	}
	return scheme + ":" + rest
}

// lose counts an arrival that did not even begin.
func (e *engine) lose(t *tally, reason string, now instant) {
	t.failed++
	t.reasons[reason]++
	t.ended, t.lastBad = now, max(t.lastBad, now)
	e.failures.note(reason, func() string { return "" })
}

// answered notes how long the first answer of an arrival took.
func (e *engine) answered(c *call, m measure, took time.Duration) {
	c.tally.record(m, took)
	if e.slow > 0 && took > e.slow {
		c.tally.lastBad = max(c.tally.lastBad, c.due)
	}
	record(e.interval, took)
}
