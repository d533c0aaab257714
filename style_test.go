package tandem_test

import (
	"bufio"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// rule judges one Go file.
type rule func(*source) []finding

// rules are the rules that look at one file at a time, by the name that their cases have.
var rules = map[string]rule{
	"length":        checkLength,
	"citations":     checkCitations,
	"doc comments":  checkDocComments,
	"goroutines":    checkGoroutines,
	"TODO":          checkTODO,
	"dead code":     checkDeadCode,
	"package names": checkPackageName,
	"words":         checkWords,
	"error texts":   checkErrorTexts,
	"sleeps":        checkSleeps,
}

// TestStyle holds the rules of the house over every Go file, and lists the files that grow long.
func TestStyle(t *testing.T) {
	sources := repositorySources(t)
	for name, check := range rules {
		t.Run(name, func(t *testing.T) {
			for _, s := range sources {
				report(t, check(s))
			}
		})
	}
	for _, s := range sources {
		if n := strings.Count(s.text, "\n"); n > warnLines {
			t.Logf("%s has %d lines: look for the second concept", s.path, n)
		}
	}
}

// Lines of a file: above the first number look for the second concept, the second is the wall.
const (
	warnLines = 500
	maxLines  = 800
)

// checkLength finds files that are too long to read at once.
func checkLength(s *source) []finding {
	if n := strings.Count(s.text, "\n"); n > maxLines {
		return []finding{{s.path, n, fmt.Sprintf("%d lines, and %d is the wall; move the second concept to a file of its own", n, maxLines)}}
	}
	return nil
}

// homeless are names that say nothing about a package's task.
var homeless = []string{"util", "utils", "common", "helper", "helpers", "types", "misc"}

// checkPackageName finds packages and directories without a concept.
func checkPackageName(s *source) []finding {
	for _, name := range []string{strings.TrimSuffix(s.file.Name.Name, "_test"), path.Base(s.room)} {
		if slices.Contains(homeless, name) {
			return []finding{s.at(s.file.Package, "a package called %q has no task; name the concept that its functions belong to", name)}
		}
	}
	return nil
}

// TestSkips holds that a test is skipped only for a reason written in testdata/skips.txt, and that each
// line there is still of use.
func TestSkips(t *testing.T) {
	text, err := fs.ReadFile(repository(t), "testdata/skips.txt")
	if err != nil {
		t.Fatal(err)
	}
	allowed, found := readSkips(string(text))
	report(t, found)
	report(t, checkSkips(allowed, repositorySources(t)))
}

// readSkips reads the list of skips: a line has a file, a function in it, and the reason.
func readSkips(text string) (map[string]int, []finding) {
	allowed := make(map[string]int)
	var found []finding
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 5 {
			found = append(found, finding{"testdata/skips.txt", n, "a line has the form \"FILE FUNCTION reason in a few words\""})
			continue
		}
		allowed[fields[0]+" "+fields[1]] = n
	}
	return allowed, found
}

// TestStyleCases proves each rule with sources that break it and sources that only look so.
func TestStyleCases(t *testing.T) {
	for _, test := range slices.Concat(fileCases, commentCases, codeCases) {
		t.Run(test.rule+"/"+test.name, func(t *testing.T) {
			name := test.path
			if name == "" {
				name = "room/file.go"
			}
			text := test.text
			if !strings.Contains(text, "package ") {
				text = "package room\n" + text
			}
			sources, err := readSources(fstest.MapFS{name: &fstest.MapFile{Data: []byte(text)}})
			if err != nil {
				t.Fatal(err)
			}
			expect(t, rules[test.rule](sources[0]), test.want...)
		})
	}
}

// styleCase is one small source and what a rule says of it.
type styleCase struct {
	rule string
	name string
	path string // room/file.go when empty
	text string // "package room" is put before it when it names no package
	want []string
}

// fileCases are cases of the rules in this file.
var fileCases = []styleCase{
	{"length", "at the wall", "", "package room\n" + strings.Repeat("\n", maxLines-1), nil},
	{"length", "over it", "", "package room\n" + strings.Repeat("\n", maxLines), []string{"801 lines"}},
	{"package names", "a concept", "", "package room", nil},
	{"package names", "util", "util/x.go", "package util", []string{"a package called \"util\""}},
	{"package names", "directory", "sip/common/x.go", "package sip", []string{"a package called \"common\""}},
	{"package names", "test package", "room/x_test.go", "package helpers_test", []string{"a package called \"helpers\""}},
}

// TestSkipsCases proves the rules about skipped tests.
func TestSkipsCases(t *testing.T) {
	sources, err := readSources(fstest.MapFS{
		"a_test.go": {Data: []byte("package a\nfunc TestA(t *testing.T) { t.Skip(\"no\") }\nfunc TestB(t *testing.T) { t.Run(\"\", func(t *testing.T) { t.SkipNow() }) }\nfunc TestC(t *testing.T) { t.Skipf(\"\") }")},
	})
	if err != nil {
		t.Fatal(err)
	}
	allowed, found := readSkips("# reasons\na_test.go TestC needs IPv6 on loopback\na_test.go TestGone because it was so\na_test.go TestA bad\n")
	expect(t, append(found, checkSkips(allowed, sources)...), "skips.txt:4: a line has the form",
		"a_test.go:2: TestA skips", "a_test.go:3: TestB skips", "skips.txt:3: nothing in a_test.go TestGone skips")
}
