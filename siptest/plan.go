package siptest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Plan holds what a thing was measured to take, in bytes, against the table of the memory plan in
// docs/performance.md: it may not be more than stands there, nor less than half, or the table is out of date.
func Plan(t testing.TB, thing string, measured int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repositoryRoot(t), "docs", "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	planned, err := plannedBytes(string(text), thing)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d bytes, planned are %d", thing, measured, planned)
	switch {
	case measured > planned:
		t.Errorf("%s takes %d bytes, and the memory plan in docs/performance.md has %d", thing, measured, planned)
	case measured < planned/2:
		t.Errorf("%s takes %d bytes: lower the %d of the memory plan in docs/performance.md", thing, measured, planned)
	}
}

// plannedBytes finds a row of the plan: "| thing | bytes | test |".
func plannedBytes(page, thing string) (int, error) {
	_, section, _ := strings.Cut(page, "\n## Memory plan\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) == 3 && strings.TrimSpace(cells[0]) == thing {
			n, err := strconv.Atoi(strings.ReplaceAll(strings.TrimSpace(cells[1]), ",", ""))
			if err != nil {
				return 0, fmt.Errorf("siptest: the memory plan has no number of bytes for %s: %w", thing, err)
			}
			return n, nil
		}
	}
	return 0, fmt.Errorf("siptest: the memory plan in docs/performance.md has no line for %s", thing)
}

// repositoryRoot is the directory of go.mod, above that of the test.
func repositoryRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		above := filepath.Dir(dir)
		if above == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = above
	}
}
