package trace

import (
	"errors"
	"slices"
	"strings"
)

// Filter says which calls a follower wants: those for which all that is set is so. The zero value is all calls.
type Filter struct {
	CallID string
	// User is the user part of From, To or the Request-URI.
	User string
	// Peer is the name of a configured peer, an identity that was proved, or the IP address at the far end.
	Peer string
}

// matches reports whether a message itself is what the filter wants.
func (f *Filter) matches(m *Message) bool {
	return (f.CallID == "" || f.CallID == m.CallID) && (f.User == "" || m.hasUser(f.User)) && (f.Peer == "" || m.hasPeer(f.Peer))
}

func (m *Message) hasUser(user string) bool {
	return m.FromUser == user || m.ToUser == user || m.RequestURI != "" && userOf(m.RequestURI) == user
}

func (m *Message) hasPeer(peer string) bool {
	if m.Peer == peer || m.Remote.Addr().String() == peer {
		return true
	}
	for id := range strings.FieldsSeq(m.Identity) {
		if strings.EqualFold(id, peer) {
			return true
		}
	}
	return false
}

// Limits of followers.
const (
	maxFollowers = 16
	queueLength  = 4096    // messages that wait for a slow follower
	queueBytes   = 4 << 20 // and the bytes of them
	maxFollowed  = 4096    // calls that a follower is known to want
)

// ErrBusy says that there are followers enough.
var ErrBusy = errors.New("trace: too many follow already")

// Follower is handed messages as they come. One goroutine reads it.
type Follower struct {
	r      *Recorder
	filter Filter
	wake   chan struct{} // holds one

	// The fields below are guarded by the Recorder's following.
	queue  []*Message
	bytes  int
	missed int
	wanted map[string]struct{} // Call-IDs that have matched; nil when the filter says which by itself
	order  []string            // of them, the oldest first
}

// Follow begins to follow the calls of a filter. The follower is closed after use.
func (r *Recorder) Follow(f Filter) (*Follower, error) {
	fo := &Follower{r: r, filter: f, wake: make(chan struct{}, 1)}
	if f.User != "" || f.Peer != "" {
		fo.wanted = make(map[string]struct{})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	list := *r.followers.Load()
	if len(list) >= maxFollowers {
		return nil, ErrBusy
	}
	list = append(slices.Clone(list), fo)
	r.followers.Store(&list)
	r.wakeLocked()
	return fo, nil
}

// Close ends following.
func (f *Follower) Close() {
	r := f.r
	r.mu.Lock()
	defer r.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(*r.followers.Load()), func(o *Follower) bool { return o == f })
	r.followers.Store(&list)
	r.wakeLocked()
}

// Ready is sent to when there is something for Next to return.
func (f *Follower) Ready() <-chan struct{} { return f.wake }

// Next returns what has come since it was last called, and how many messages were left out because it was not called
// in time.
func (f *Follower) Next() (list []*Message, missed int) {
	f.r.following.Lock()
	defer f.r.following.Unlock()
	list, missed = f.queue, f.missed
	f.queue, f.bytes, f.missed = nil, 0, 0
	return list, missed
}

// offer hands a message to a follower who wants it. The first of a call brings what is kept of that call before.
func (f *Follower) offer(m *Message, r *Recorder) {
	if f.wanted == nil {
		if f.filter.matches(m) {
			r.following.Lock()
			f.putLocked(m)
			r.following.Unlock()
		}
		return
	}
	r.following.Lock()
	_, known := f.wanted[m.CallID]
	if known {
		f.putLocked(m)
	}
	r.following.Unlock()
	if known || m.CallID == "" || !f.filter.matches(m) {
		return
	}
	before := r.Ladder(m.CallID)
	r.following.Lock()
	defer r.following.Unlock()
	if _, known := f.wanted[m.CallID]; known { // meanwhile, by another goroutine, which has taken what was before
		f.putLocked(m)
		return
	}
	if len(f.order) == maxFollowed {
		delete(f.wanted, f.order[0])
		f.order = f.order[1:]
	}
	f.wanted[m.CallID] = struct{}{}
	f.order = append(f.order, m.CallID)
	for _, b := range before {
		if b.Number < m.Number {
			f.putLocked(b)
		}
	}
	f.putLocked(m)
}

// putLocked queues a message. r.following is held.
func (f *Follower) putLocked(m *Message) {
	if len(f.queue) >= queueLength || len(f.queue) > 0 && f.bytes+len(m.Raw) > queueBytes {
		f.missed++
		f.r.missed.Add(1)
	} else {
		f.queue = append(f.queue, m)
		f.bytes += len(m.Raw)
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}
