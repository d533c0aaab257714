package load_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/internal/load"
	"github.com/tandem-sip/tandem/sipaddr"
)

var update = flag.Bool("update", false, "rewrite testdata/report.txt")

// shape lists the fields of a JSON value with their types. Of a list it shows the first element.
func shape(path string, v any) []string {
	switch v := v.(type) {
	case map[string]any:
		lines := []string{path + " object"}
		for name, field := range v {
			lines = append(lines, shape(path+"."+name, field)...)
		}
		return lines
	case []any:
		lines := []string{path + " list"}
		if len(v) > 0 {
			lines = append(lines, shape(path+"[]", v[0])...)
		}
		return lines
	case nil:
		return []string{path + " null"}
	}
	return []string{fmt.Sprintf("%s %T", path, v)}
}

// TestReportShape holds the names and types of what --json prints: programs rely on them.
func TestReportShape(t *testing.T) {
	s := newSite(t)
	cfg := s.config(sipaddr.UDP, s.callee)
	cfg.Vias = 9 // every call fails, so that there is a failure to show
	cfg.Calls = 2
	failed := run(t, cfg)
	cfg.Vias, cfg.Mix, cfg.Calls = 1, everyScenario(), 0
	cfg.Steps = []load.Step{{Rate: 100, Duration: 100e6}, {Rate: 200, Duration: 100e6}}
	r := run(t, cfg)
	if len(r.Steps) != 2 || r.Steps[0].Begun != 10 || r.Steps[1].Begun != 20 || r.Begun != 30 {
		t.Errorf("steps: %+v", r.Steps)
	}
	r.Failures, r.Reasons = failed.Failures, failed.Reasons
	r.Capacity = &load.Capacity{Rate: 1, Tries: []load.Result{{}}}
	r.Overload = &load.Overload{}
	var out bytes.Buffer
	if err := r.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(out.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	lines := shape("", v)
	slices.Sort(lines)
	got := strings.Join(lines, "\n") + "\n"
	const file = "testdata/report.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the report's shape is:\n%s\nwant:\n%s", got, want)
	}
}

// TestReportText: a person is shown what was offered, what became of it, how long it took, and why calls failed.
func TestReportText(t *testing.T) {
	s := newSite(t)
	cfg := s.config(sipaddr.UDP, s.callee)
	cfg.Vias, cfg.Calls = 9, 2
	var out strings.Builder
	if err := run(t, cfg).WriteText(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"call, even to udp://", "2 begun, 0 done, 2 failed; 0.0/s done", "failed for:\n          2  request: Via count\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report reads:\n%s\nwant in it: %s", &out, want)
		}
	}
	cfg.Vias = 1
	r := run(t, cfg)
	out.Reset()
	if err := r.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 begun, 2 done, 0 failed; ", "invite to 180            2 ", "bye to 200               2 ", "late                     4 "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report reads:\n%s\nwant in it: %s", &out, want)
		}
	}
	if err := r.WriteText(full{}); !errors.Is(err, errFull) {
		t.Errorf("written where there is no room: %v", err)
	}
	if err := r.WriteJSON(full{}); !errors.Is(err, errFull) {
		t.Errorf("written where there is no room: %v", err)
	}
}

var errFull = errors.New("no room")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
