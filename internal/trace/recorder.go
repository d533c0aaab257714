// Package trace keeps recent SIP messages, hands them to whoever follows, and sends copies of them elsewhere.
//
// A Recorder is told of each message that was received or sent. Of how many calls it keeps the messages depends
// on how much comes: all of them as long as its memory reaches back half a minute, and of ever fewer calls, but
// of those everything, when it does not. So it costs little under load, and by a Call-ID either the whole ladder is
// there or nothing. Credentials are taken out of what is kept (redact.go). What is kept is a copy: nothing refers
// to a message of the proxy.
package trace

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what a Recorder keeps. The zero value keeps nothing.
type Config struct {
	// Memory bounds what is kept, in bytes. 0: messages are handed to followers only.
	Memory int
	// ShowCredentials leaves the secrets in what is kept and handed out.
	ShowCredentials bool
	// Export is told of every message. It must not block. Nil: nobody is.
	Export func(*Message)
}

const (
	// reach is how far back the memory is to reach, before less is kept.
	reach = 30 * time.Second
	// overhead is what a message takes beside its bytes, at the most usual; a row that was considered takes rowSize.
	overhead = 768
	rowSize  = 320
	maxShift = 32
)

// Want says what is to be done with a message; 0 is nothing.
type Want uint8

const (
	keep   Want = 1 << iota // remember it
	follow                  // hand it to those who follow
	export                  // give it away
)

// Recorder keeps messages. Its methods may be called from any goroutine. It starts nothing.
type Recorder struct {
	seed maphash.Seed

	// The fields below are atomic.
	active    atomic.Bool // something may be wanted
	memory    atomic.Int64
	shown     atomic.Bool   // credentials
	shift     atomic.Uint32 // messages are kept of one call in 1<<shift
	everybody atomic.Bool   // of all calls, because a follower needs what came before
	followers atomic.Pointer[[]*Follower]
	exporter  atomic.Pointer[func(*Message)] // nil: none
	number    atomic.Uint64                  // of the latest message
	missed    atomic.Uint64                  // messages that followers were too slow for

	// following guards the queues of the followers, and what they are known to want.
	following sync.Mutex

	// mu guards the fields below, and the changes of followers.
	mu    sync.Mutex
	kept  []*Message // the oldest first
	bytes int        // that they take
	spent int        // bytes kept since the span began
	began time.Time  // of the span
	timer *time.Timer
}

// New makes a Recorder.
func New(cfg Config) *Recorder {
	r := &Recorder{seed: maphash.MakeSeed(), began: time.Now()}
	r.followers.Store(&[]*Follower{})
	r.Update(cfg)
	return r
}

// Update changes what is kept from now on. What does not fit any more is forgotten.
func (r *Recorder) Update(cfg Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.memory.Store(int64(cfg.Memory))
	r.shown.Store(cfg.ShowCredentials)
	r.exporter.Store(nil)
	if cfg.Export != nil {
		r.exporter.Store(&cfg.Export)
	}
	r.trimLocked()
	r.wakeLocked()
}

// wakeLocked works out whether anything may be wanted. r.mu is held.
func (r *Recorder) wakeLocked() {
	list := *r.followers.Load()
	before := false
	for _, f := range list {
		before = before || f.filter.Peer != ""
	}
	r.everybody.Store(before)
	r.active.Store(r.memory.Load() > 0 || len(list) > 0 || r.exporter.Load() != nil)
}

// Active reports whether any message may be wanted. It is one atomic load, for the way of each message.
func (r *Recorder) Active() bool { return r.active.Load() }

// Received tells what is to be done with a message of a call. A message of which nothing is wanted needs no Record.
func (r *Recorder) Received(callID string) Want { return wants(r, callID, maphash.String) }

// Sent is Received for a message that is about to be sent.
func (r *Recorder) Sent(b []byte) Want { return wants(r, CallIDOf(b), maphash.Bytes) }

func wants[Text string | []byte](r *Recorder, callID Text, hash func(maphash.Seed, Text) uint64) (w Want) {
	if r.memory.Load() > 0 {
		shift := r.shift.Load()
		if shift == 0 || r.everybody.Load() || hash(r.seed, callID)&(1<<shift-1) == 0 {
			w |= keep
		}
	}
	if r.exporter.Load() != nil {
		w |= export
	}
	for _, f := range *r.followers.Load() {
		if f.filter.CallID == "" || f.filter.CallID == string(callID) {
			return w | follow
		}
	}
	return w
}

// Record does what Received or Sent has told. m has everything but what is read from raw, of which a copy is made; it belongs to
// the Recorder from then on.
func Record[Bytes string | []byte](r *Recorder, w Want, m *Message, raw Bytes) {
	if w == 0 {
		return
	}
	b := append([]byte(nil), raw...)
	if !r.shown.Load() {
		redact(b)
	}
	m.Raw = b
	if w == export {
		m.CallID = string(CallIDOf(b)) // which is all that is needed
	} else {
		m.read()
	}
	m.Number = r.number.Add(1)
	if w&keep != 0 {
		r.remember(m)
	}
	if w&follow != 0 {
		for _, f := range *r.followers.Load() {
			f.offer(m, r)
		}
	}
	if give := r.exporter.Load(); w&export != 0 && give != nil {
		(*give)(m)
	}
}

// size is what a message takes, about.
func (m *Message) size() int {
	n := overhead + len(m.Raw)
	if m.Decision != nil {
		n += rowSize * len(m.Decision.Considered)
	}
	return n
}

// remember keeps a message, and less from now on if too much comes.
func (r *Recorder) remember(m *Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, m)
	r.bytes += m.size()
	r.spent += m.size()
	if limit := int(r.memory.Load()); r.spent > limit {
		// It would be overwritten before its time: half of the calls, at once, because what comes may be an attack.
		if time.Since(r.began) < reach && r.shift.Load() < maxShift {
			r.halveLocked()
			if r.timer == nil {
				r.timer = time.AfterFunc(reach, r.more)
			}
		}
		r.spent, r.began = 0, time.Now()
	}
	r.trimLocked()
}

// halveLocked keeps messages of half as many calls, and forgets those of the others, so that no part of a call stays
// behind. r.mu is held.
func (r *Recorder) halveLocked() {
	mask := uint64(1)<<r.shift.Add(1) - 1
	r.bytes = 0
	r.kept = slices.DeleteFunc(r.kept, func(m *Message) bool {
		if maphash.String(r.seed, m.CallID)&mask != 0 {
			return true
		}
		r.bytes += m.size()
		return false
	})
}

// more has twice as many calls kept, if there is room for them, and looks again later until all are.
func (r *Recorder) more() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.began) >= reach {
		if r.shift.Load() > 0 && r.spent < int(r.memory.Load())/2 {
			r.shift.Add(^uint32(0))
		}
		r.spent, r.began = 0, time.Now()
	}
	r.timer = nil
	if r.shift.Load() > 0 {
		r.timer = time.AfterFunc(reach/8, r.more)
	}
}

// trimLocked forgets the oldest messages until the rest fits. r.mu is held.
func (r *Recorder) trimLocked() {
	limit := int(r.memory.Load())
	for r.bytes > limit && len(r.kept) > 0 {
		r.bytes -= r.kept[0].size()
		r.kept[0] = nil
		r.kept = r.kept[1:]
	}
	if len(r.kept) == 0 {
		r.kept = nil
	}
}

// Close stops what keeping has begun. Nothing is to be recorded any more.
func (r *Recorder) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active.Store(false)
	r.shift.Store(0)
	if r.timer != nil {
		r.timer.Stop()
	}
}

// snapshot returns the messages that are kept, the oldest first.
func (r *Recorder) snapshot() []*Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*Message(nil), r.kept...)
}

// Ladder returns the messages of a call that are kept, in the order of their times.
func (r *Recorder) Ladder(callID string) (list []*Message) {
	for _, m := range r.snapshot() {
		if m.CallID == callID {
			list = append(list, m)
		}
	}
	sortByTime(list)
	return list
}

// Stats says what a Recorder does.
type Stats struct {
	Kept   int    // messages
	Bytes  int    // that they take
	OneIn  uint64 // of how many calls one is kept; 0: none is
	Oldest time.Time
	Missed uint64 // messages that followers were too slow for
	Follow int    // followers
}

// Stats returns what r does.
func (r *Recorder) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Stats{Kept: len(r.kept), Bytes: r.bytes, Missed: r.missed.Load(), Follow: len(*r.followers.Load())}
	if r.memory.Load() > 0 {
		s.OneIn = 1 << r.shift.Load()
	}
	if len(r.kept) > 0 {
		s.Oldest = r.kept[0].Time
	}
	return s
}

// CallIDOf finds the Call-ID in the bytes of a message that is about to be sent, nil when it has none.
func CallIDOf(b []byte) []byte {
	if i := bytes.Index(b, usualCallID); i >= 0 {
		b = b[i+len(usualCallID):]
		return bytes.TrimSpace(b[:max(0, bytes.IndexByte(b, '\n'))])
	}
	for line := range bytes.Lines(b) { // some spelling of a peer's
		if len(line) <= len("\r\n") {
			break
		}
		name, value, found := bytes.Cut(line, []byte(":"))
		if name = bytes.TrimSpace(name); found && (bytes.EqualFold(name, []byte("Call-ID")) || bytes.EqualFold(name, []byte("i"))) {
			return bytes.TrimSpace(value)
		}
	}
	return nil
}

var usualCallID = []byte("\nCall-ID: ")
