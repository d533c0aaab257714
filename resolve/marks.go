package resolve

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-sip/tandem/sipaddr"
)

// The rule by which addresses that fail are set back, and what it is made for:
//
//   - An address is put behind the others of an answer, never taken out. The last address is always
//     there, and when all fail the order is that of DNS.
//   - One failed call moves nothing. It takes a second failure, at least markGap after the first, within
//     markWindow of it, and with no success between them. So neither a call that fails in many branches
//     at once nor a stranger's single odd call decides for everybody.
//   - The first time lasts markFirst, and each further failure doubles it, up to markMost. When it is
//     over, one caller gets the address in its place and so tries it; the others wait for what comes of
//     that, for another markProbe at most. A dead server thus costs one caller now and then, not all.
//   - An address that nobody tries is forgotten after a while, so silence cannot keep it back for ever.
//   - One success wipes all of it out (RFC 3263, Section 2: recovered elements must get their load back).
const (
	markGap    = 250 * time.Millisecond
	markWindow = time.Minute
	markFirst  = 2 * time.Second
	markMost   = time.Minute
	markProbe  = 2 * time.Second
	maxMarks   = 1024
)

// mark is what is known of an address that failed.
type mark struct {
	counted time.Time     // the last failure that counted
	until   time.Time     // set back until then; zero: in its place
	wait    time.Duration // how long it was set back the last time
}

// forgotten tells whether the failures lie so far back that they no longer count.
func (m *mark) forgotten(now time.Time) bool { return now.Sub(m.counted) > markWindow+m.wait }

// marks are the addresses that failed lately.
type marks struct {
	n       atomic.Int32 // len(m), so that nobody takes the lock for nothing
	setBack atomic.Uint64
	mu      sync.RWMutex // guards the fields below
	m       map[sipaddr.Resolved]*mark
	swept   time.Time // when old marks were last thrown out because there were too many
}

// Failed notes that a request to the address failed: no connection, no answer in time, or a 503, as in
// RFC 3263, Section 4.3. It must not be called for a failure that a single request can bring about by what it says.
func (r *Resolver) Failed(a sipaddr.Resolved) { r.marks.failed(a, time.Now()) }

// Worked notes that the address gave an answer, be it a refusal. It costs next to nothing while no address
// fails.
func (r *Resolver) Worked(a sipaddr.Resolved) { r.marks.worked(a) }

// failed counts a failure at now.
func (ms *marks) failed(a sipaddr.Resolved, now time.Time) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	m := ms.m[a]
	switch {
	case m == nil || m.forgotten(now): // the first, or the first in a long time
		if m == nil && !ms.room(now) {
			return
		}
		if ms.m == nil {
			ms.m = make(map[sipaddr.Resolved]*mark)
		}
		ms.m[a] = &mark{counted: now}
		ms.n.Store(int32(len(ms.m)))
	case now.Sub(m.counted) < markGap:
	default:
		m.counted = now
		m.wait = min(max(2*m.wait, markFirst), markMost)
		m.until = now.Add(m.wait)
		ms.setBack.Add(1)
	}
}

// room makes room for one more mark, if only old ones are in the way. It looks for them once in a second,
// so that many failures at many addresses stay cheap.
func (ms *marks) room(now time.Time) bool {
	if len(ms.m) < maxMarks {
		return true
	}
	if now.Sub(ms.swept) < time.Second {
		return false
	}
	ms.swept = now
	for a, m := range ms.m {
		if m.forgotten(now) {
			delete(ms.m, a)
		}
	}
	return len(ms.m) < maxMarks
}

// worked forgets the failures of an address.
func (ms *marks) worked(a sipaddr.Resolved) {
	if ms.n.Load() == 0 {
		return
	}
	ms.mu.RLock()
	_, ok := ms.m[a]
	ms.mu.RUnlock()
	if !ok {
		return
	}
	ms.mu.Lock()
	defer ms.mu.Unlock()
	delete(ms.m, a)
	ms.n.Store(int32(len(ms.m)))
}

// arrange puts addresses that fail behind the others. The slice that it is given is left as it is.
func (ms *marks) arrange(all []sipaddr.Resolved, now time.Time) []sipaddr.Resolved {
	if len(all) < 2 || ms.n.Load() == 0 {
		return all
	}
	if !ms.anyBack(all, now) {
		return all
	}
	ms.mu.Lock()
	defer ms.mu.Unlock()
	front := make([]sipaddr.Resolved, 0, len(all))
	var behind []sipaddr.Resolved
	for _, a := range all {
		// Only the address that is tried first can be probed: those behind it are rarely reached.
		if ms.back(a, now, len(front) == 0) {
			behind = append(behind, a)
		} else {
			front = append(front, a)
		}
	}
	return append(front, behind...)
}

// anyBack tells whether one of the addresses is to stand behind others.
func (ms *marks) anyBack(all []sipaddr.Resolved, now time.Time) bool {
	ms.mu.RLock()
	defer ms.mu.RUnlock()
	for _, a := range all {
		if ms.back(a, now, false) {
			return true
		}
	}
	return false
}

// back tells whether an address is to stand behind others. When its time is over, the caller that asks
// with probe has it in its place, and the next ones have not until the outcome is known. Callers hold mu, for
// writing if probe is set.
func (ms *marks) back(a sipaddr.Resolved, now time.Time, probe bool) bool {
	m := ms.m[a]
	if m == nil || m.until.IsZero() || m.forgotten(now) {
		return false
	}
	if now.Before(m.until) || !probe {
		return true
	}
	m.until = now.Add(markProbe)
	return false
}

// explain is arrange for people: it says which addresses are set back, and starts no probe.
func (ms *marks) explain(all []sipaddr.Resolved, steps []Step, now time.Time) ([]sipaddr.Resolved, []Step) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	var front, behind []sipaddr.Resolved
	for _, a := range all {
		if len(all) < 2 || !ms.back(a, now, false) {
			front = append(front, a)
			continue
		}
		behind = append(behind, a)
		left := max(0, ms.m[a].until.Sub(now))
		steps = append(steps, Step{Question: a.String(), Type: "mark", Answer: "set back after failures", TTL: left})
	}
	return append(front, behind...), steps
}
