package transaction

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestWheel compares the wheel with a plain list of deadlines.
func TestWheel(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		var w wheel
		w.now = tick(r.Int64N(1 << 40))
		timers := make([]timer, 64)
		for range 2000 {
			switch tm := &timers[r.IntN(len(timers))]; r.IntN(4) {
			case 0, 1:
				w.stop(tm)
				at := w.now + tick(r.Int64N(1<<r.IntN(30)))
				if look := w.add(tm, at); look > max(at, w.now+1) || look <= w.now {
					t.Fatalf("add at %d: look at %d, now %d", at, look, w.now)
				}
				if tm.at < at || tm.at > max(at, w.now+1) {
					t.Fatalf("timer for %d is set at %d", at, tm.at)
				}
			case 2:
				w.stop(tm)
			case 3:
				checkAdvance(t, &w, timers, w.now+tick(r.Int64N(1<<r.IntN(24))))
			}
		}
		checkAdvance(t, &w, timers, w.now+1<<31)
		if w.next() != never {
			t.Fatalf("an empty wheel looks at %d", w.next())
		}
	}
}

// checkAdvance advances w to now and checks that exactly the timers until then fire, in their order.
func checkAdvance(t *testing.T, w *wheel, timers []timer, now tick) {
	t.Helper()
	var want []*timer
	for i := range timers {
		if timers[i].set && timers[i].at <= now {
			want = append(want, &timers[i])
		}
	}
	if next := w.next(); len(want) > 0 && next > now {
		t.Fatalf("wheel sleeps until %d", next)
	}
	last := w.now
	var got []*timer
	w.advance(now, func(tm *timer) {
		if tm.set || tm.at < last || tm.at != w.now {
			t.Fatalf("timer for %d fires at %d, after %d", tm.at, w.now, last)
		}
		last = tm.at
		got = append(got, tm)
	})
	if w.now != now || len(got) != len(want) {
		t.Fatalf("advance to %d came to %d and fired %d timers, want %d", now, w.now, len(got), len(want))
	}
	for _, tm := range got {
		if !slices.Contains(want, tm) {
			t.Fatalf("timer for %d fired at %d", tm.at, now)
		}
	}
}

// A timer may be set again while it fires.
func TestWheelAgain(t *testing.T) {
	var w wheel
	var tm timer
	w.add(&tm, 10)
	var fired []tick
	w.advance(100, func(tm *timer) {
		fired = append(fired, tm.at)
		w.add(tm, tm.at+40)
	})
	if !slices.Equal(fired, []tick{10, 50, 90}) || tm.at != 130 {
		t.Errorf("fired at %v, next at %d", fired, tm.at)
	}
}
