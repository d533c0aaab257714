package transaction

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what the machines do into the scripts, for review")

// TestScripts runs the state machines through testdata/*.txt. A script holds cases:
//
//	case timer A doubles: client-invite unreliable T1=100ms
//	0s     start          -> send-request | calling A=100ms B=6.4s
//	100ms  timer A        -> send-request | calling A=300ms B=6.4s
//
// A line is a time, an event, what the machine does, and after the bar the state and the timers, each with
// the time at which it fires. Every timer that fires must have its line: a line that comes after the next
// timer's time fails.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		var sc *script
		for i, line := range lines {
			at := fmt.Sprintf("%s:%d", file, i+1)
			switch {
			case line == "" || strings.HasPrefix(line, "#"):
				continue
			case strings.HasPrefix(line, "case "):
				if sc, err = newScript(line); err != nil {
					t.Fatalf("%s: %v", at, err)
				}
				continue
			case sc == nil:
				t.Fatalf("%s: a line before the first case", at)
			}
			left, want, _ := strings.Cut(line, "->")
			got, err := sc.run(left)
			if err != nil {
				t.Errorf("%s: %v", at, err)
				continue
			}
			if got != strings.Join(strings.Fields(want), " ") && !*update {
				t.Errorf("%s: %s\n got %s\nwant %s", at, strings.TrimSpace(left), got, strings.TrimSpace(want))
			}
			lines[i] = fmt.Sprintf("%-8s %-14s -> %s", strings.Fields(left)[0], strings.Join(strings.Fields(left)[1:], " "), got)
		}
		if *update {
			if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// script is a case that is being run.
type script struct {
	m      machine
	timers Timers
	now    instant
}

// newScript reads the line that begins a case.
func newScript(line string) (*script, error) {
	_, spec, ok := strings.Cut(line, ": ")
	words := strings.Fields(spec)
	if !ok || len(words) < 2 {
		return nil, fmt.Errorf("want \"case name: kind reliability\", have %q", line)
	}
	sc := &script{}
	kind := Kind(0)
	for kind < kinds && kind.String() != words[0] {
		kind++
	}
	if kind == kinds || words[1] != "reliable" && words[1] != "unreliable" {
		return nil, fmt.Errorf("no such machine: %q", spec)
	}
	for _, w := range words[2:] {
		name, value, _ := strings.Cut(w, "=")
		d, err := time.ParseDuration(value)
		if err != nil {
			return nil, err
		}
		fields := map[string]*time.Duration{"T1": &sc.timers.T1, "T2": &sc.timers.T2, "T4": &sc.timers.T4, "D": &sc.timers.D, "Cancel": &sc.timers.Cancel}
		if fields[name] == nil {
			return nil, fmt.Errorf("no such timer: %q", name)
		}
		*fields[name] = d
	}
	sc.timers = sc.timers.withDefaults()
	sc.m = newMachine(kind, words[1] == "reliable")
	return sc, nil
}

// run gives the machine the event of a line and says what it did.
func (sc *script) run(line string) (string, error) {
	words := strings.Fields(line)
	if len(words) < 2 {
		return "", fmt.Errorf("want a time and an event, have %q", line)
	}
	now, err := time.ParseDuration(words[0])
	if err != nil || now < sc.now {
		return "", fmt.Errorf("bad time %q", words[0])
	}
	sc.now = now
	due := sc.m.due()
	if due != 0 && due < now {
		return "", fmt.Errorf("timer %s fires at %v, before this line", sc.nextTimer(), due)
	}
	ev := event{}
	arg := ""
	if len(words) > 2 {
		arg = words[2]
	}
	switch words[1] {
	case "timer":
		if due != now || sc.nextTimer() != arg {
			return "", fmt.Errorf("timer %s does not fire now; next is %s at %v", arg, sc.nextTimer(), due)
		}
		ev.kind = evTick
	case "tick":
		ev.kind = evTick
	case "response", "respond":
		ev.kind = evMessage
		if words[1] == "respond" {
			ev.kind = evRespond
		}
		if ev.status, err = strconv.Atoi(arg); err != nil {
			return "", err
		}
	default:
		kinds := map[string]eventKind{"start": evStart, "request": evMessage, "ack": evAck, "cancel": evCancel, "failed": evFailed, "closed": evClosed}
		kind, ok := kinds[words[1]]
		if !ok {
			return "", fmt.Errorf("no such event: %q", words[1])
		}
		ev.kind = kind
	}
	acts := sc.m.step(&sc.timers, ev, now).String()
	if acts == "" {
		acts = "-"
	}
	out := acts + " | " + sc.m.state.String()
	again, until := sc.m.timers()
	if sc.m.again != 0 {
		out += fmt.Sprintf(" %s=%v", again, sc.m.again)
	}
	if sc.m.until != 0 {
		out += fmt.Sprintf(" %s=%v", until, sc.m.until)
	}
	return out, nil
}

// nextTimer names the timer that fires next.
func (sc *script) nextTimer() string {
	again, until := sc.m.timers()
	if sc.m.again != 0 && sc.m.due() == sc.m.again {
		return again
	}
	if sc.m.until == 0 {
		return "none"
	}
	return until
}
