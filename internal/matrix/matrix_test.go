package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/conformance"
)

// events are lines of `go test -json`, from "action package test".
func events(lines ...string) string {
	var b strings.Builder
	for _, l := range lines {
		f := strings.Fields(l)
		fmt.Fprintf(&b, "{\"Action\":%q,\"Package\":%q,\"Test\":%q}\n", f[0], module+f[1], f[2])
	}
	return b.String()
}

// few is a small ledger.
var few = []conformance.Clause{
	{ID: "5923-1-1", Level: "MUST", Side: "both", Requirement: "A is a|b."},
	{ID: "5923-1-2", Level: "SHOULD", Side: "client", Requirement: "B."},
	{ID: "5922-1-1", Level: "MUST NOT", Side: "server", Requirement: "C."},
}

func TestVerdicts(t *testing.T) {
	tests := []struct {
		name    string
		events  string
		waived  map[string]string
		outside map[string]string
		want    []string // verdicts of few
		problem string   // part of the error; "": none
	}{
		{"nothing ran", "", nil, nil, []string{"no test", "no test", "no test"}, "5923-1-1 is a MUST"},
		{"all passed", events("pass internal/node TestClauses/5923-1-1", "pass internal/node TestClauses/5923-1-2", "pass cmd/tandem TestCheck/5922-1-1"), nil, nil,
			[]string{"passed", "passed", "passed"}, ""},
		{"a part of a test is not it", events("pass internal/node TestClauses/5923-1-1/part"), nil, nil, []string{"no test", "no test", "no test"}, "5923-1-1"},
		{"one of two failed", events("pass internal/node TestClauses/5923-1-1", "fail cmd/tandem TestCheck/5923-1-1"), nil, nil, []string{"**failed**", "no test", "no test"}, "5923-1-1 failed"},
		{"failed in one of two runs", events("fail internal/node TestClauses/5923-1-1", "pass internal/node TestClauses/5923-1-1"), nil, nil, []string{"**failed**", "no test", "no test"}, "5923-1-1 failed"},
		{"skipped is not passed", events("skip internal/node TestClauses/5923-1-2"), nil, nil, []string{"no test", "**failed**", "no test"}, "5923-1-2 failed"},
		{"waived", events("pass internal/node TestClauses/5923-1-1"), map[string]string{"5922-1-1": "cannot be"}, nil, []string{"passed", "no test", "waived"}, ""},
		{"waived for nothing", events("pass internal/node TestClauses/5923-1-1", "pass internal/node TestClauses/5922-1-1"), map[string]string{"5922-1-1": "cannot be"}, nil,
			[]string{"passed", "no test", "passed"}, "take its line out"},
		{"the prober's waivers are not passed", events("pass cmd/tandem TestCheck/5923-1-1", "pass internal/node TestClauses/5922-1-1"), nil, map[string]string{"5923-1-1": "unseen"},
			[]string{"no test", "no test", "passed"}, "5923-1-1 is a MUST"},
		{"waiver without a reason", events("pass internal/node TestClauses/5923-1-1"), map[string]string{"5922-1-1": ""}, nil, []string{"passed", "no test", "no test"}, "has no reason"},
		{"waiver for no clause", events("pass internal/node TestClauses/5923-1-1", "pass internal/node TestClauses/5922-1-1"), map[string]string{"5999-1-1": "x"}, nil,
			[]string{"passed", "no test", "passed"}, "is for no clause"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := newMatrix(few)
			if test.waived != nil {
				m.waived = test.waived
			}
			if test.outside != nil {
				m.outside = test.outside
			}
			if err := m.read(strings.NewReader(test.events)); err != nil {
				t.Fatal(err)
			}
			for i, c := range few {
				if got := m.verdict(c.ID); got != test.want[i] {
					t.Errorf("%s is %q, want %q", c.ID, got, test.want[i])
				}
			}
			err := m.problems()
			if (err == nil) != (test.problem == "") || err != nil && !strings.Contains(err.Error(), test.problem) {
				t.Errorf("problems are %v, want %q", err, test.problem)
			}
		})
	}
}

func TestPage(t *testing.T) {
	m := newMatrix(few)
	readWaivers("# why\n\n5922-1-1 cannot be\n", m.waived)
	m.outside["5923-1-1"] = "unseen"
	if err := m.read(strings.NewReader(events("pass internal/node TestClauses/5923-1-1", "pass cmd/tandem TestCheck/5923-1-1", "pass cmd/tandem TestCheck/5923-1-2"))); err != nil {
		t.Fatal(err)
	}
	page := string(m.page())
	for _, want := range []string{
		"| RFC 5923 | MUST | 1 | 1 | 0 | 0 | 0 |\n",
		"| RFC 5922 | MUST NOT | 1 | 0 | 0 | 1 | 0 |\n",
		"## RFC 5923\n",
		"| 5923-1-1 | MUST | both | A is a\\|b. | `internal/node TestClauses`<br>not by the prober: unseen | passed |\n",
		"| 5923-1-2 | SHOULD | client | B. | `cmd/tandem TestCheck` | passed |\n",
		"| 5922-1-1 | MUST NOT | server | C. | cannot be | waived |\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing in\n%s", want, page)
		}
	}
	if err := m.read(strings.NewReader("FAIL\n")); err == nil {
		t.Error("text that is no events is taken")
	}
}

// TestRun writes the page of the real ledger and compares it with itself, and with another.
func TestRun(t *testing.T) {
	t.Chdir("../..")
	var all []string
	for _, c := range conformance.Ledger() {
		all = append(all, "pass internal/node TestClauses/"+c.ID)
	}
	dir := t.TempDir()
	file, page := filepath.Join(dir, "events"), filepath.Join(dir, "page.md")
	if err := os.WriteFile(file, []byte(events(all...)), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run(&out, "", []string{file}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(page, []byte(out.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(nil, page, []string{file}); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(page, []byte(out.String()+"edited"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(nil, page, []string{file}); err == nil || !strings.Contains(err.Error(), "go test -json") {
		t.Errorf("an edited page: %v", err)
	}
}
