package sctp

import (
	"sync"
	"time"
)

// deadline is a time that can be moved and waited for.
type deadline struct {
	// mu guards the fields below.
	mu      sync.Mutex
	timer   *time.Timer
	expired chan struct{} // closed when the time has come; nil until somebody asks
	set     time.Time     // zero: never
}

// wait gives a channel that is closed when the time has come. After it was moved, ask again.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.expired == nil {
		d.expired = make(chan struct{})
		d.arm()
	}
	return d.expired
}

// move sets another time, the zero time for never. Who waits for the old one goes on waiting for that, unless
// the new one has come already.
func (d *deadline) move(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.set = t
	if d.expired == nil {
		return
	}
	select {
	case <-d.expired:
		d.expired = make(chan struct{})
	default:
	}
	d.arm()
}

// arm starts the timer for the channel that there is; mu is held.
func (d *deadline) arm() {
	if d.set.IsZero() {
		return
	}
	expired := d.expired
	if left := time.Until(d.set); left > 0 {
		var own *time.Timer
		own = time.AfterFunc(left, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.timer == own {
				close(expired)
				d.timer = nil
			}
		})
		d.timer = own
		return
	}
	close(expired)
}
