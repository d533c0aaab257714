package main

import (
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	const base = "pkg: room\nBenchmarkX-2 10 5 ns/op 1000 B/op 2 allocs/op\nBenchmarkX-2 10 5 ns/op 1000 B/op 3 allocs/op\n"
	for name, c := range map[string]struct{ now, want string }{
		"same":                  {base, ""},
		"other processors":      {"pkg: room\nBenchmarkX-16 10 5 ns/op 1000 B/op 3 allocs/op\n", ""},
		"slower":                {"pkg: room\nBenchmarkX-2 10 500 ns/op 1000 B/op 2 allocs/op\n", ""},
		"one run of two":        {base + "BenchmarkX-2 10 5 ns/op 9000 B/op 4 allocs/op\n", ""},
		"one allocation more":   {"pkg: room\nBenchmarkX-2 10 5 ns/op 1000 B/op 4 allocs/op\n", "room X: 4 allocs/op, and 3 in the baseline"},
		"a few bytes":           {"pkg: room\nBenchmarkX-2 10 5 ns/op 1114 B/op 3 allocs/op\n", ""},
		"more than a few bytes": {"pkg: room\nBenchmarkX-2 10 5 ns/op 1115 B/op 3 allocs/op\n", "room X: 1115 B/op, and 1000 in the baseline"},
		"new name": {"pkg: room\nBenchmarkY-2 10 5 ns/op 1000 B/op 3 allocs/op\n",
			"room X: no B/op any more; renew the baseline if that is meant\nroom X: no allocs/op any more; renew the baseline if that is meant"},
		"other room": {strings.ReplaceAll(base, "room", "hall"),
			"room X: no B/op any more; renew the baseline if that is meant\nroom X: no allocs/op any more; renew the baseline if that is meant"},
	} {
		was, err := read(strings.NewReader(base), "base")
		if err != nil {
			t.Fatal(err)
		}
		now, err := read(strings.NewReader(c.now), "now")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(compare(was, now), "\n"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if _, err := read(strings.NewReader("PASS\n"), "empty"); err == nil {
		t.Error("a file without a benchmark is taken")
	}
}
