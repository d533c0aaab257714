package load

import (
	"math/rand/v2"
	"strconv"
	"time"
)

// instant is a time since the generator was made.
type instant = time.Duration

// never is later than everything.
const never = instant(1<<63 - 1)

// arrivals is the open loop: when which request is due, whatever became of those before.
type arrivals struct {
	steps   []Step
	left    int // that may still come; negative: any number
	poisson bool

	step  int     // that the next arrival belongs to
	began instant // when that step began
	n     int     // arrivals of the step that have come
	next  instant // when the next arrival is due; never: there is none
}

// begin starts the steps at now. calls is how many arrivals there are at most, 0 for any number.
func (a *arrivals) begin(steps []Step, calls int, poisson bool, now instant) {
	*a = arrivals{steps: steps, left: -1, poisson: poisson, began: now, next: never}
	if calls > 0 {
		a.left = calls
	}
	if len(steps) > 0 {
		a.next = now
		if poisson {
			a.next += a.gap()
		}
		a.turn()
	}
}

// gap is a time between two arrivals of independent callers.
func (a *arrivals) gap() time.Duration {
	return time.Duration(rand.ExpFloat64() / a.steps[a.step].Rate * float64(time.Second))
}

// pop takes the arrival that is due next and returns when it is, and the step that it belongs to.
func (a *arrivals) pop() (due instant, step int) {
	due, step = a.next, a.step
	a.n++
	if a.left > 0 {
		a.left--
	}
	if a.poisson {
		a.next += a.gap()
	} else {
		a.next = a.began + time.Duration(float64(a.n)/a.steps[a.step].Rate*float64(time.Second))
	}
	a.turn()
	return due, step
}

// turn goes on to the following step when this one is over.
func (a *arrivals) turn() {
	for a.left != 0 {
		s := a.steps[a.step]
		if s.Duration == 0 || a.next < a.began+s.Duration {
			return
		}
		if a.step++; a.step == len(a.steps) {
			break
		}
		a.began += s.Duration
		a.n, a.next = 0, a.began
		if a.poisson {
			a.next += a.gap()
		}
	}
	a.stop()
}

// stop ends the arrivals.
func (a *arrivals) stop() { a.next = never }

func itoa(n int) string { return strconv.Itoa(n) }
