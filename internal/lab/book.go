package lab

import (
	"fmt"
	"sync"
	"time"
)

// The directions of calls: from example.com to example.net, and back.
const (
	forward = iota
	backward
)

// lingering is how long both ends remember a call that is over, for what is sent again.
const lingering = 5 * time.Second

// shownFailures is how many failures of one direction are kept as text.
const shownFailures = 10

// call is one call, shared by the legs at its two ends.
type call struct {
	direction   int
	id          string // its Call-ID
	calleeHangs bool   // the one who is called hangs up

	// The book's mu guards the fields below.
	open int       // ends that have not ended
	over time.Time // when the last end ended, or the call failed; zero before that
}

// tally is what became of the calls of one direction.
type tally struct {
	begun, done, failed int
	answered            int
	ringing             []time.Duration // INVITE to 180
	answering           []time.Duration // INVITE to 200
	failures            []string        // the first of them
}

// book is the list of the calls in progress and what became of the others.
type book struct {
	mu            sync.Mutex // mu guards the fields below, and the calls
	calls         map[string]*call
	tallies       [2]tally
	strange       []string // messages that belong to no call
	strangeCount  int
	firstAnswered [2]chan struct{} // closed when the first call of a direction is answered
}

func newBook() *book {
	return &book{calls: make(map[string]*call), firstAnswered: [2]chan struct{}{make(chan struct{}), make(chan struct{})}}
}

// begin enters a call. It reports false when already as many are in progress as the lab can bear.
func (b *book) begin(direction int, id string, calleeHangs bool) (*call, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := &b.tallies[direction]
	t.begun++
	if len(b.calls) >= maxOpen {
		t.failed++
		t.note("too many calls in progress (%d): the machine cannot keep up with the rate", maxOpen)
		return nil, false
	}
	c := &call{direction: direction, id: id, calleeHangs: calleeHangs, open: 2}
	b.calls[id] = c
	return c, true
}

// maxOpen is how many calls may be in progress.
const maxOpen = 20000

// find returns a call in progress.
func (b *book) find(id string) *call {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls[id]
}

// rang notes the time from INVITE to 180.
func (b *book) rang(c *call, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := &b.tallies[c.direction]
	t.ringing = append(t.ringing, took)
}

// answered notes the time from INVITE to 200.
func (b *book) answered(c *call, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := &b.tallies[c.direction]
	t.answering = append(t.answering, took)
	if t.answered++; t.answered == 1 {
		close(b.firstAnswered[c.direction])
	}
}

// endedOne notes that one end is through with a call, and went through all of it.
func (b *book) endedOne(c *call, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.open--; c.open == 0 && c.over.IsZero() {
		c.over = now
		b.tallies[c.direction].done++
		delete(b.calls, c.id)
	}
}

// fail notes that a call went wrong. Only the first thing that goes wrong with it counts.
func (b *book) fail(c *call, now time.Time, format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !c.over.IsZero() {
		return
	}
	c.over = now
	t := &b.tallies[c.direction]
	t.failed++
	t.note("call "+c.id+": "+format, args...)
	delete(b.calls, c.id)
}

func (t *tally) note(format string, args ...any) {
	if len(t.failures) < shownFailures {
		t.failures = append(t.failures, fmt.Sprintf(format, args...))
	}
}

// stray notes a message that no call expects.
func (b *book) stray(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.strangeCount++; len(b.strange) < shownFailures {
		b.strange = append(b.strange, fmt.Sprintf(format, args...))
	}
}

// state says whether a call is over, and whether that is so long ago that it can be forgotten.
func (b *book) state(c *call, now time.Time) (over, forget bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !c.over.IsZero(), !c.over.IsZero() && now.Sub(c.over) > lingering
}

// counts returns what became of the calls so far.
func (b *book) counts() (t [2]tally, open int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, from := range b.tallies {
		t[i] = tally{begun: from.begun, done: from.done, failed: from.failed, answered: from.answered}
	}
	return t, len(b.calls)
}
