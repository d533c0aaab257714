package load

import (
	"slices"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// TestScenarios plays each scenario between two ends that are joined directly: every call ends well, each request is
// sent as often as it should be, and everything is timed.
func TestScenarios(t *testing.T) {
	for _, test := range []struct {
		scenario Scenario
		sent     map[string]int // for each call
		timed    map[measure]int
	}{
		{Call, map[string]int{"INVITE": 1, "ACK": 1, "BYE": 1, "SIP/2.0 180": 1, "SIP/2.0 200": 2},
			map[measure]int{inviteTo180: 1, inviteTo200: 1, byeTo200: 1, lateness: 2}},
		{CalleeBye, map[string]int{"INVITE": 1, "ACK": 1, "BYE sip:alice": 1, "SIP/2.0 180": 1, "SIP/2.0 200": 2},
			map[measure]int{inviteTo180: 1, inviteTo200: 1, byeTo200: 1, lateness: 2}},
		{Reinvite, map[string]int{"INVITE": 2, "ACK": 2, "BYE sip:bob": 1, "SIP/2.0 180": 1, "SIP/2.0 200": 3},
			map[measure]int{inviteTo180: 1, inviteTo200: 1, reinviteTo200: 1, byeTo200: 1, lateness: 3}},
		{CalleeReinvite, map[string]int{"INVITE sip:alice": 1, "INVITE": 2, "ACK": 2, "BYE sip:alice": 1, "SIP/2.0 200": 3},
			map[measure]int{inviteTo180: 1, inviteTo200: 1, reinviteTo200: 1, byeTo200: 1, lateness: 3}},
		{Options, map[string]int{"OPTIONS": 1, "SIP/2.0 200": 1}, map[measure]int{optionsTo200: 1, lateness: 1}},
		{Register, map[string]int{"REGISTER sip:a.example.com SIP": 1, "SIP/2.0 200": 1}, map[measure]int{registerTo200: 1, lateness: 1}},
		{Message, map[string]int{"MESSAGE": 1, "SIP/2.0 200": 1}, map[measure]int{messageTo200: 1, lateness: 1}},
	} {
		for _, hold := range []time.Duration{0, 300 * time.Millisecond} {
			t.Run(string(test.scenario)+" "+hold.String(), func(t *testing.T) {
				w := newWorld(t, Config{Mix: []Share{{test.scenario, 1}}, Hold: hold, Ring: hold / 10, Vias: 1, Identities: 3})
				const calls = 20
				tally := w.place(calls, 50)
				if tally.begun != calls || tally.done != calls || tally.failed != 0 {
					t.Fatalf("%d begun, %d done, %d failed, want %d, all done: %q", tally.begun, tally.done, tally.failed, calls, w.e.failures.shown)
				}
				for prefix, n := range test.sent {
					if got := w.count(prefix); got != n*calls {
						t.Errorf("%q was sent %d times, want %d", prefix, got, n*calls)
					}
				}
				for m := range measures {
					got := 0
					if tally.took[m] != nil {
						got = int(tally.took[m].TotalCount())
					}
					if got != test.timed[m]*calls {
						t.Errorf("%s was recorded %d times, want %d", measureNames[m], got, test.timed[m]*calls)
					}
				}
				if c := w.e.counters; c.Repeated+c.RepeatsReceived+c.Late+c.UnknownRequests+c.UnknownResponses != 0 {
					t.Errorf("counters: %+v", c)
				}
			})
		}
	}
}

// TestHold: the last action comes when the call has held as long as it should, an earlier one before, and the time is
// counted from when it was due.
func TestHold(t *testing.T) {
	w := newWorld(t, Config{Mix: []Share{{Reinvite, 1}}, Hold: 400 * time.Millisecond, Ring: 100 * time.Millisecond})
	sentAt := make(map[string]instant)
	w.tamper = func(w *world, _ side, text string) []delivery {
		m, _ := sip.Parse(text)
		cseq, _ := m.CSeq()
		sentAt[m.Method()+itoa(int(cseq.Seq))+" "+itoa(m.StatusCode())] = w.now
		return []delivery{{text: text}}
	}
	w.place(1, 1)
	ms := time.Millisecond
	for name, want := range map[string]instant{
		"INVITE1 180": 1 * ms, "INVITE1 200": 101 * ms, "ACK1 0": 102 * ms,
		"INVITE2 0": 302 * ms, "BYE3 0": 502 * ms, "BYE3 200": 503 * ms,
	} {
		if sentAt[name] != want {
			t.Errorf("%s was sent at %v, want %v", name, sentAt[name], want)
		}
	}
}

// TestMix: scenarios come as often as they should, and spread.
func TestMix(t *testing.T) {
	var got []Scenario
	for _, s := range rotation([]Share{{Call, 3}, {Options, 1}}) {
		got = append(got, s.scenario)
	}
	if want := []Scenario{Call, Call, Options, Call}; !slices.Equal(got, want) {
		t.Errorf("rotation: %v, want %v", got, want)
	}
}

// TestLoss loses every message once: each is sent again by the timers, and all calls end well.
func TestLoss(t *testing.T) {
	for _, scenario := range Scenarios() {
		t.Run(string(scenario), func(t *testing.T) {
			w := newWorld(t, Config{Mix: []Share{{scenario, 1}}, Hold: 10 * time.Second})
			seen := make(map[string]bool)
			w.tamper = func(_ *world, _ side, text string) []delivery {
				if !seen[text] {
					seen[text] = true
					return nil
				}
				return []delivery{{text: text}}
			}
			tally := w.place(3, 1)
			if tally.done != 3 {
				t.Errorf("%d of 3 calls were done: %q", tally.done, w.e.failures.shown)
			}
			if w.e.counters.Repeated == 0 || w.e.counters.RepeatsReceived == 0 {
				t.Errorf("counters: %+v, want repeats", w.e.counters)
			}
		})
	}
}

// TestTwice has every message arrive twice: nothing happens twice, and the copies are counted.
func TestTwice(t *testing.T) {
	for _, scenario := range Scenarios() {
		t.Run(string(scenario), func(t *testing.T) {
			w := newWorld(t, Config{Mix: []Share{{scenario, 1}}, Hold: 100 * time.Millisecond})
			w.tamper = func(_ *world, _ side, text string) []delivery {
				return []delivery{{text: text}, {text: text, later: time.Millisecond}}
			}
			tally := w.place(5, 10)
			if tally.done != 5 || tally.failed != 0 {
				t.Errorf("%d of 5 calls were done: %q", tally.done, w.e.failures.shown)
			}
			if w.e.counters.RepeatsReceived == 0 {
				t.Errorf("counters: %+v, want repeats", w.e.counters)
			}
		})
	}
}

// TestOvertaking has the BYE, or another INVITE, arrive before the ACK.
func TestOvertaking(t *testing.T) {
	for _, scenario := range []Scenario{Call, Reinvite} {
		overtaking(t, scenario)
	}
}

func overtaking(t *testing.T, scenario Scenario) {
	w := newWorld(t, Config{Mix: []Share{{scenario, 1}}})
	w.tamper = only(0, sip.MethodAck, func(_ *world, text string) []delivery {
		return []delivery{{text: text, later: 20 * time.Millisecond}}
	})
	if tally := w.place(3, 10); tally.done != 3 {
		t.Errorf("%d of 3 calls were done: %q", tally.done, w.e.failures.shown)
	}
}

// TestForgetting: what is over is forgotten after a while, and used again.
func TestForgetting(t *testing.T) {
	w := newWorld(t, Config{})
	w.place(50, 1000)
	if len(w.e.calls) != 50 {
		t.Errorf("%d calls are remembered right after, want 50", len(w.e.calls))
	}
	w.run(w.now + lingering + time.Second)
	if len(w.e.calls) != 0 || len(w.e.memories) != 0 || len(w.e.timers) != 0 || len(w.e.spare) != 50 {
		t.Errorf("%d calls, %d memories, %d timers, %d to use again, want 0, 0, 0, 50", len(w.e.calls), len(w.e.memories), len(w.e.timers), len(w.e.spare))
	}
	if tally := w.place(50, 1000); tally.done != 50 {
		t.Errorf("%d of 50 calls were done with used memory: %q", tally.done, w.e.failures.shown)
	}
}
