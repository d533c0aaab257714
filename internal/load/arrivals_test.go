package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// dues takes all arrivals.
func dues(steps []Step, calls int, poisson bool) (times []instant, ofStep []int) {
	var a arrivals
	a.begin(steps, calls, poisson, time.Second)
	for a.next != never {
		due, step := a.pop()
		times, ofStep = append(times, due), append(ofStep, step)
	}
	return times, ofStep
}

func TestArrivals(t *testing.T) {
	const ms = time.Millisecond
	times, steps := dues([]Step{{10, 300 * ms}, {20, 150 * ms}}, 0, false)
	if want := []instant{1000 * ms, 1100 * ms, 1200 * ms, 1300 * ms, 1350 * ms, 1400 * ms}; !slices.Equal(times, want) {
		t.Errorf("arrivals at %v, want %v", times, want)
	}
	if want := []int{0, 0, 0, 1, 1, 1}; !slices.Equal(steps, want) {
		t.Errorf("of steps %v, want %v", steps, want)
	}
	if times, _ := dues([]Step{{Rate: 1000}}, 5, false); len(times) != 5 || times[4] != 1004*ms {
		t.Errorf("five calls come at %v", times)
	}
	if times, _ := dues([]Step{{1000, time.Second}}, 5, false); len(times) != 5 {
		t.Errorf("%d calls come, want no more than 5", len(times))
	}
	if times, _ := dues([]Step{{3, time.Second}}, 0, false); len(times) != 3 {
		t.Errorf("%d calls come in a second at 3 a second", len(times))
	}
}

// TestPoisson: the gaps are as long as they should be on average, and as uneven as those of an exponential
// distribution, whose standard deviation is its mean. The bounds are ten standard errors.
func TestPoisson(t *testing.T) {
	const n = 100_000
	times, _ := dues([]Step{{Rate: 1000}}, n, true)
	var sum, squares float64
	for i := 1; i < n; i++ {
		gap := (times[i] - times[i-1]).Seconds()
		sum += gap
		squares += gap * gap
	}
	mean := sum / (n - 1)
	deviation := math.Sqrt(squares/(n-1) - mean*mean)
	if math.Abs(mean-0.001) > 0.00004 || math.Abs(deviation-0.001) > 0.0001 {
		t.Errorf("the gaps have a mean of %v s and a deviation of %v s, want 0.001 both", mean, deviation)
	}
}

// TestTimers compares the heap with a plain list.
func TestTimers(t *testing.T) {
	var heap timers
	legs := make([]*leg, 40)
	due := make(map[*leg]instant)
	for i := range legs {
		legs[i] = &leg{due: never}
	}
	for range 20_000 {
		l := legs[rand.IntN(len(legs))]
		at := instant(rand.IntN(1000))
		if rand.IntN(4) == 0 {
			at = never
			delete(due, l)
		} else {
			due[l] = at
		}
		heap.set(l, at)
		want := never
		for _, d := range due {
			want = min(want, d)
		}
		if heap.first() != want || len(heap) != len(due) {
			t.Fatalf("the first is due at %v of %d, want %v of %d", heap.first(), len(heap), want, len(due))
		}
	}
}

// TestStalledServer: a server that stands still for half a second delays everybody who calls meanwhile, so of ten
// seconds the slowest 5 % are spread over that half second. One at a time, a single answer would have been slow.
func TestStalledServer(t *testing.T) {
	const ms = time.Millisecond
	w := newWorld(t, Config{Mix: []Share{{Options, 1}}})
	w.tamper = only(200, sip.MethodOptions, func(w *world, text string) []delivery {
		if w.now >= 2000*ms && w.now < 2500*ms {
			return []delivery{{text: text, later: 2500*ms - w.now}}
		}
		return []delivery{{text: text}}
	})
	checkStall(t, w)
}

// TestLateGenerator: that the generator was held up itself is no excuse. What was due meanwhile counts from when
// it was due, and the lateness shows.
func TestLateGenerator(t *testing.T) {
	const ms = time.Millisecond
	w := newWorld(t, Config{Mix: []Share{{Options, 1}}})
	w.deafFrom, w.deafTo = 2000*ms, 2500*ms
	tally := checkStall(t, w)
	if late := tally.quantile(lateness, 98); late < 280*ms || late > 320*ms {
		t.Errorf("the 98th percentile of lateness is %v, want 300 ms", late)
	}
}

func checkStall(t *testing.T, w *world) *tally {
	t.Helper()
	const ms = time.Millisecond
	tally := w.place(1000, 100)
	if tally.done != 1000 {
		t.Fatalf("%d of 1000 done", tally.done)
	}
	for percent, want := range map[float64]time.Duration{50: 2 * ms, 94: 2 * ms, 96: 100 * ms, 98: 300 * ms, 99: 400 * ms} {
		if got := tally.quantile(optionsTo200, percent); got < want-20*ms || got > want+20*ms {
			t.Errorf("percentile %v is %v, want about %v", percent, got, want)
		}
	}
	return tally
}
