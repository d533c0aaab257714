package admin

import (
	"encoding/json"
	"sync"
	"time"
)

// Limits of streams of events.
const (
	maxWatchers  = 16
	tickInterval = time.Second
	keptTicks    = 300 // for those who come, those who come back, and those who are late
)

// ticks takes stock each second, once for all who watch, and only while somebody does. Who watches reads from one
// ring at a pace of its own, so that nothing is kept for anybody.
type ticks struct {
	take func() *reading

	// mu guards the fields below.
	mu       sync.Mutex
	watchers int
	stopped  bool
	ring     [][]byte      // the last ticks, as JSON
	last     uint64        // the number of the last tick; the first is 1
	fresh    chan struct{} // closed when there is a new tick, or no more will come
	end      chan struct{} // closed when nobody watches any more; nil: nobody does
	before   []*reading    // the last one at the end; those before it for the times of the last 10 s

	running sync.WaitGroup
}

func newTicks(take func() *reading) *ticks {
	return &ticks{take: take, fresh: make(chan struct{})}
}

// join lets somebody watch, behind the tick since if that can be. It returns the number of the tick after which to begin,
// and false at the end when there are too many already. leave follows when it was true.
func (t *ticks) join(since uint64, resume bool) (at uint64, resumed, ok bool) {
	now := t.take()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped || t.watchers == maxWatchers {
		return 0, false, false
	}
	t.watchers++
	if t.end == nil {
		if n := len(t.before); n == 0 || now.at.Sub(t.before[n-1].at) > keptTicks*tickInterval {
			// What was so long ago that nobody goes on from it is no beginning either.
			t.before, t.ring = []*reading{now}, nil
		}
		t.end = make(chan struct{})
		end := t.end
		// Ends when nobody watches any more, or stop is called, which waits for it.
		t.running.Go(func() { t.run(end) })
	}
	at = t.last - uint64(len(t.ring))
	if resume && since >= at && since <= t.last {
		return since, true, true
	}
	return at, false, true
}

// leave is called by everybody who has joined.
func (t *ticks) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watchers--
	if t.watchers == 0 && t.end != nil {
		close(t.end)
		t.end = nil
	}
}

// stop ends all streams and returns when nothing runs any more.
func (t *ticks) stop() {
	t.mu.Lock()
	if !t.stopped {
		t.stopped = true
		close(t.fresh)
		if t.end != nil {
			close(t.end)
			t.end = nil
		}
	}
	t.mu.Unlock()
	t.running.Wait()
}

// after returns the ticks behind the one with the number at, and what is closed when there are more. It reports false when
// there will be none, and when the one who asks is too late.
func (t *ticks) after(at uint64) (list [][]byte, fresh <-chan struct{}, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	missed := t.last - at
	if t.stopped || missed > uint64(len(t.ring)) {
		return nil, nil, false
	}
	return append(list, t.ring[len(t.ring)-int(missed):]...), t.fresh, true
}

// run takes stock until end is closed.
func (t *ticks) run(end <-chan struct{}) {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	for {
		select {
		case <-end:
			return
		case <-ticker.C:
			t.tick(end)
		}
	}
}

// tick takes stock once.
func (t *ticks) tick(end <-chan struct{}) {
	now := t.take()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.end != end {
		return // somebody else does it by now, or nobody
	}
	data, err := json.Marshal(now.since(t.before))
	if err != nil {
		panic("admin: a tick is no JSON: " + err.Error()) // a bug of ours
	}
	t.before = append(t.before, now)
	if len(t.before) > latencyTicks {
		t.before = t.before[1:]
	}
	t.ring = append(t.ring, data)
	if len(t.ring) > keptTicks {
		t.ring = t.ring[1:]
	}
	t.last++
	close(t.fresh)
	t.fresh = make(chan struct{})
}
