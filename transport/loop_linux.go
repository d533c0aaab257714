package transport

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// loop waits for many sockets at once and handles what comes on its own goroutine, from the bytes to the answer. Go's
// poller would wake a goroutine for each socket, on whatever processor is idle, and a second one to write; at
// the rates of a trunk that costs more than all of SIP. docs/decisions/event-loop.md has the figures.
//
// A loop carries only what goes its usual way. A connection that ends, fails or begins to close is handed back to the
// goroutine that belongs to it, and to Go's poller.
type loop struct {
	t      *Transport
	number int // among the loops
	poll   int // descriptor of epoll
	bell   int // of an eventfd, which ends a wait
	done   chan struct{}
	batch  *batch

	datagrams, streams strain // what was left unread

	// The fields below are owned by the goroutine of the loop.
	events  []unix.EpollEvent
	seat    *seat // the processor where its turn began; nil: it is the only loop
	yielded time.Time
	look    time.Time // when to look at watched again

	// mu guards the fields below.
	mu      sync.Mutex
	slots   []carried // by the number that epoll returns
	free    []int32
	leaving []leaver
	rung    bool
	busy    bool // the loop is at work and will look at leaving and watched before it waits
	stopped bool
	watched map[*Conn]struct{} // those with a deadline
}

// leaver is a socket that a loop is to let go of. Its slot may be another's by the time that this is done.
type leaver struct {
	slot int32
	s    carried
}

// carried is a socket in a loop. Its methods are called by the goroutine of the loop.
type carried interface {
	// ready is told that the socket has bytes or an error, or takes bytes again. It reports whether it has left
	// some unread, as far as it can tell, and whether the loop is to carry it any more.
	ready(in, out bool) (more, stay bool)
	// left is the last call: the loop will not come back to it.
	left()
}

const (
	eventsAtOnce = 128
	bellSlot     = -1
)

// newLoops makes n loops. They do nothing before run.
func newLoops(t *Transport, n int) ([]*loop, error) {
	var loops []*loop
	for i := range n {
		l, err := newLoop(t, i)
		if err != nil {
			for _, l := range loops {
				l.release()
			}
			return nil, err
		}
		loops = append(loops, l)
	}
	return loops, nil
}

func newLoop(t *Transport, number int) (*loop, error) {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(poll)
		return nil, err
	}
	l := &loop{t: t, number: number, poll: poll, bell: bell, done: make(chan struct{}), batch: &t.batch,
		events: make([]unix.EpollEvent, eventsAtOnce), watched: make(map[*Conn]struct{})}
	if t.cfg.Loops > 1 {
		l.batch = new(batch)
	}
	if err := l.control(unix.EPOLL_CTL_ADD, bell, bellSlot, unix.EPOLLIN); err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

func (l *loop) release() {
	_ = unix.Close(l.poll)
	_ = unix.Close(l.bell)
}

func (l *loop) control(op, fd int, slot int32, events uint32) error {
	return unix.EpollCtl(l.poll, op, fd, &unix.EpollEvent{Events: events, Fd: slot})
}

// enter has the loop carry a socket from now on. It returns the number by which leave knows it.
func (l *loop) enter(fd int, s carried) (int32, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return 0, ErrClosed
	}
	var slot int32
	if n := len(l.free); n > 0 {
		slot, l.free = l.free[n-1], l.free[:n-1]
		l.slots[slot] = s
	} else {
		slot = int32(len(l.slots))
		l.slots = append(l.slots, s)
	}
	if err := l.control(unix.EPOLL_CTL_ADD, fd, slot, unix.EPOLLIN); err != nil {
		l.slots[slot], l.free = nil, append(l.free, slot)
		return 0, err
	}
	return slot, nil
}

// leave asks the loop to let go of a socket. Anybody may ask, as often as they like.
func (l *loop) leave(slot int32, s carried) {
	l.mu.Lock()
	l.leaving = append(l.leaving, leaver{slot, s})
	l.ringLocked()
	l.mu.Unlock()
}

// watch has the loop look at the deadlines of c from time to time.
func (l *loop) watch(c *Conn) {
	l.mu.Lock()
	if len(l.watched) == 0 {
		l.ringLocked()
	}
	l.watched[c] = struct{}{}
	l.mu.Unlock()
}

func (l *loop) ringLocked() {
	if !l.rung && !l.busy {
		l.rung = true
		one := [8]byte{7: 1}
		_, _ = unix.Write(l.bell, one[:])
	}
}

// stop ends the loop once it carries nothing any more.
func (l *loop) stop() {
	l.mu.Lock()
	l.stopped = true
	l.ringLocked()
	l.mu.Unlock()
}

// run carries until stop was called.
func (l *loop) run() {
	defer close(l.done)
	defer l.release()
	ready := make([]carried, eventsAtOnce)
	timeout := -1
	for {
		n, err := l.wait(timeout)
		if err != nil {
			n = 0 // interrupted
		}
		l.mu.Lock()
		l.busy = true
		for i := range n {
			ready[i] = nil
			if slot := l.events[i].Fd; slot != bellSlot {
				ready[i] = l.slots[slot]
			} else {
				var b [8]byte
				_, _ = unix.Read(l.bell, b[:])
				l.rung = false
			}
		}
		l.mu.Unlock()

		l.batch.begin()
		l.begin()
		datagrams, streams := false, n == len(l.events)
		for i := range n {
			if s := ready[i]; s != nil {
				ev := l.events[i].Events
				out := ev&unix.EPOLLOUT != 0
				more, stay := s.ready(ev&^unix.EPOLLOUT != 0, out)
				if !stay {
					l.leave(l.events[i].Fd, s)
				}
				if _, ok := s.(*udpSocket); ok {
					datagrams = datagrams || more
				} else {
					streams = streams || more
				}
				ready[i] = nil
			}
		}
		l.batch.end()
		l.end()
		l.datagrams.turned(datagrams)
		l.streams.turned(streams)

		l.yield()
		var stopped bool
		if timeout, stopped = l.tidy(); stopped {
			return
		}
	}
}

// wait waits for events. Where something seemed to have been left unread it looks first whether that is so.
func (l *loop) wait(timeout int) (int, error) {
	if l.datagrams.left() || l.streams.left() {
		if n, err := unix.EpollWait(l.poll, l.events, 0); n > 0 || err != nil {
			return n, err
		}
		l.datagrams.turned(false)
		l.streams.turned(false)
	}
	return unix.EpollWait(l.poll, l.events, timeout)
}

// tidy lets go of what is leaving and looks at deadlines. It returns how long to wait at most, in milliseconds.
func (l *loop) tidy() (timeout int, stopped bool) {
	var gone []carried
	var late []*Conn
	l.mu.Lock()
	for _, x := range l.leaving {
		if x.s != nil && l.slots[x.slot] == x.s {
			gone = append(gone, x.s)
			l.slots[x.slot], l.free = nil, append(l.free, x.slot)
			if c, ok := x.s.(*Conn); ok {
				delete(l.watched, c)
			}
		}
	}
	clear(l.leaving)
	l.leaving = l.leaving[:0]
	if len(l.watched) > 0 {
		if now := time.Now(); !now.Before(l.look) {
			l.look = now.Add(l.t.cfg.lookEvery())
			for c := range l.watched {
				over, keep := c.overdue(now)
				if !keep {
					delete(l.watched, c)
				}
				if over {
					late = append(late, c)
				}
			}
		}
	}
	timeout = -1
	if len(l.watched) > 0 {
		timeout = max(1, int(l.t.cfg.lookEvery()/time.Millisecond))
	}
	stopped = l.stopped && len(l.free) == len(l.slots) && len(late) == 0
	l.busy = len(late) > 0
	if l.busy {
		timeout = 0
	}
	l.mu.Unlock()
	for _, s := range gone {
		s.left()
	}
	for _, c := range late {
		c.tooLate()
	}
	return timeout, stopped
}
