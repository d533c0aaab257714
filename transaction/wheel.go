package transaction

import "math/bits"

// tick is a point in time as a wheel counts it: the number of resolutions since the layer was made.
type tick int64

// never is after every tick.
const never tick = 1<<63 - 1

const (
	wheelBits   = 6
	wheelSlots  = 1 << wheelBits
	wheelLevels = 7 // 64^7 ticks of 1 ms are 139 years
)

// timer is the place of one transaction in a wheel. A transaction has one, set for whichever of its
// machine's timers comes first.
type timer struct {
	prev, next *timer
	at         tick // meaningful while set
	level      uint8
	slot       uint8
	set        bool
	owner      *core
}

// wheel is a hierarchical timer wheel: level n has slots of 64^n ticks, and holds the timers that agree
// with now in all digits (base 64) above the n-th. Setting, stopping and finding the next are O(1).
// It is pure; its owner locks.
type wheel struct {
	now      tick
	occupied [wheelLevels]uint64 // one bit a slot
	slots    [wheelLevels][wheelSlots]*timer
}

// add sets t to fire at the given tick, at the earliest at the next one. It returns when the wheel must be
// looked at for it, which may be before that tick, but never later.
func (w *wheel) add(t *timer, at tick) (look tick) {
	at = max(at, w.now+1)
	level := (bits.Len64(uint64(at^w.now)) - 1) / wheelBits
	slot := (at >> (level * wheelBits)) & (wheelSlots - 1)
	t.at, t.level, t.slot, t.set = at, uint8(level), uint8(slot), true
	head := w.slots[level][slot]
	t.prev, t.next = nil, head
	if head != nil {
		head.prev = t
	}
	w.slots[level][slot] = t
	w.occupied[level] |= 1 << slot
	return at >> (level * wheelBits) << (level * wheelBits)
}

// stop takes t out, if it is in.
func (w *wheel) stop(t *timer) {
	if !t.set {
		return
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else if w.slots[t.level][t.slot] = t.next; t.next == nil {
		w.occupied[t.level] &^= 1 << t.slot
	}
	t.prev, t.next, t.set = nil, nil, false
}

// next returns when the wheel must be looked at next, or never.
func (w *wheel) next() tick {
	_, _, at := w.nextSlot()
	return at
}

// nextSlot returns the slot that comes first and its first tick.
func (w *wheel) nextSlot() (level, slot int, at tick) {
	for level = range wheelLevels {
		shift := level * wheelBits
		digit := uint64(w.now>>shift) & (wheelSlots - 1)
		// Slots up to the present one are empty. In Go, a shift by 64 gives 0.
		if ahead := w.occupied[level] & (^uint64(0) << (digit + 1)); ahead != 0 {
			slot = bits.TrailingZeros64(ahead)
			base := w.now >> (shift + wheelBits) << (shift + wheelBits)
			return level, slot, base | tick(slot)<<shift
		}
	}
	return 0, 0, never
}

// advance moves the wheel to now and calls fire for each timer that is due by then, earliest first. The
// timers are out of the wheel when fire is called, and may be added again.
func (w *wheel) advance(now tick, fire func(*timer)) {
	for {
		level, slot, at := w.nextSlot()
		if at > now {
			w.now = max(w.now, now)
			return
		}
		w.now = at
		t := w.slots[level][slot]
		w.slots[level][slot] = nil
		w.occupied[level] &^= 1 << slot
		for t != nil {
			next := t.next
			t.prev, t.next, t.set = nil, nil, false
			if t.at <= w.now {
				fire(t)
			} else {
				w.add(t, t.at)
			}
			t = next
		}
	}
}
