package load

import (
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// measure is something whose duration is recorded.
type measure uint8

const (
	inviteTo180 measure = iota
	inviteTo200
	reinviteTo200
	byeTo200
	optionsTo200
	registerTo200
	messageTo200
	challengedAfter // from when a request was due to each 401 or 407
	handshaking     // from when a further connection was due to when it could be used
	lateness        // from when a request was due to when it was sent: the generator's own
	measures
)

var measureNames = [measures]string{
	"invite_to_180", "invite_to_200", "reinvite_to_200", "bye_to_200", "options_to_200", "register_to_200", "message_to_200", "challenge", "handshake", "late",
}

// Durations from a microsecond to ten minutes are recorded with three digits; longer ones count as ten minutes.
const (
	longestRecorded = 10 * time.Minute
	recordedDigits  = 3
)

func newHistogram() *hdr.Histogram {
	return hdr.New(1, longestRecorded.Microseconds(), recordedDigits)
}

// record enters a duration.
func record(h *hdr.Histogram, d time.Duration) {
	// It cannot fail: the value is brought into the range.
	_ = h.RecordValue(min(max(d.Microseconds(), 1), longestRecorded.Microseconds()))
}

// tally is what became of the arrivals of one step. The generator's lock guards it.
type tally struct {
	step       Step
	begun      int
	done       int
	failed     int
	turnedAway int // of the failed: answered 503 with Retry-After
	challenged int // requests that were answered 401 or 407
	answered   int // of those: sent again with credentials
	reasons    map[string]int
	took       [measures]*hdr.Histogram
	began      instant // of its arrivals
	ended      instant // when the last of its calls was over
	lastBad    instant // when the last call was due that failed or was answered slowly
}

func newTally(s Step) *tally { return &tally{step: s, reasons: make(map[string]int)} }

// record enters how long something took.
func (t *tally) record(m measure, d time.Duration) {
	if t.took[m] == nil {
		t.took[m] = newHistogram()
	}
	record(t.took[m], d)
}

// quantile returns a quantile of what was recorded, such as 99; 0 when nothing was.
func (t *tally) quantile(m measure, percent float64) time.Duration {
	if t.took[m] == nil {
		return 0
	}
	return time.Duration(t.took[m].ValueAtQuantile(percent)) * time.Microsecond
}

// add adds what became of another step.
func (t *tally) add(o *tally) {
	t.begun, t.done, t.failed, t.turnedAway = t.begun+o.begun, t.done+o.done, t.failed+o.failed, t.turnedAway+o.turnedAway
	t.challenged, t.answered = t.challenged+o.challenged, t.answered+o.answered
	for reason, n := range o.reasons {
		t.reasons[reason] += n
	}
	for m, h := range o.took {
		if h == nil {
			continue
		}
		if t.took[m] == nil {
			t.took[m] = newHistogram()
		}
		t.took[m].Merge(h)
	}
	t.ended = max(t.ended, o.ended)
}
