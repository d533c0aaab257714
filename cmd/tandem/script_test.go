package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/internal/devca"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata/script")

// binary is the program, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tandem-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "tandem")
	build := exec.Command("go", "build", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// TestScripts runs the commands of each transcript again and compares what they print. A line that
// begins with "$ " is a command; below it come its output, its errors after "! ", and its exit code
// in brackets when it isn't 0. Files are made by lines of the form "> NAME: LINE".
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(data))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(data) {
				t.Errorf("got:\n%s\nwant:\n%s", got, data)
			}
		})
	}
}

// play returns the transcript as it is now.
func play(t *testing.T, script string) string {
	dir := t.TempDir()
	if err := devca.Write(dir, "Test CA", []string{"example.com", "p1.example.com"}, []string{"example.net"}); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(script) {
		switch {
		case strings.HasPrefix(line, "#") || line == "\n":
			out.WriteString(line)
		case strings.HasPrefix(line, "> "):
			out.WriteString(line)
			name, text, _ := strings.Cut(line[2:], ": ")
			appendFile(t, filepath.Join(dir, name), text)
		case strings.HasPrefix(line, "$ tandem"):
			out.WriteString(line)
			command(t, &out, dir, strings.Fields(line)[2:])
		}
	}
	return out.String()
}

func appendFile(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// versionLine has what differs from one build to the next.
var versionLine = regexp.MustCompile(`^tandem \S+ go\S+ \S+/\S+`)

// command runs the binary in dir and writes what it did.
func command(t *testing.T, out *strings.Builder, dir string, args []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	for line := range strings.Lines(stdout.String()) {
		out.WriteString("  " + versionLine.ReplaceAllString(line, "tandem VERSION GO OS/ARCH"))
	}
	for line := range strings.Lines(stderr.String()) {
		out.WriteString("! " + line)
	}
	if exit != nil {
		fmt.Fprintf(out, "[%d]\n", exit.ExitCode())
	}
}
