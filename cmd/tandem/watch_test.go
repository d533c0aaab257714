package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// watching is a command with --watch that runs.
type watching struct {
	t             *testing.T
	cmd           *exec.Cmd
	lines, errors *bufio.Scanner
}

// watch runs a command until Ctrl-C.
func watch(t *testing.T, admin string, args ...string) *watching {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	w := &watching{t: t, cmd: exec.CommandContext(ctx, binary, append(args, "--watch", "--every", "100ms", "--admin", admin)...)}
	pipe := func(to *io.Writer) *bufio.Scanner {
		r, pw, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(); pw.Close() })
		*to = pw
		return bufio.NewScanner(r)
	}
	w.lines, w.errors = pipe(&w.cmd.Stdout), pipe(&w.cmd.Stderr)
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return w
}

// until reads lines up to one with text in it.
func (w *watching) until(s *bufio.Scanner, text string) string {
	w.t.Helper()
	for s.Scan() {
		if strings.Contains(s.Text(), text) {
			return s.Text()
		}
	}
	w.t.Fatalf("%q does not come", text)
	return ""
}

// end interrupts it.
func (w *watching) end() {
	w.t.Helper()
	if err := w.cmd.Process.Signal(syscall.SIGINT); err != nil {
		w.t.Fatal(err)
	}
	if err := w.cmd.Wait(); err != nil {
		w.t.Errorf("after Ctrl-C: %v", err)
	}
}

// TestWatch watches a proxy that is not there yet, comes, changes, and goes: as a table, and as JSON.
func TestWatch(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin := l.Addr().String()
	l.Close()
	table, documents := watch(t, admin, "peers"), watch(t, admin, "peers", "--json")
	for _, w := range []*watching{table, documents} {
		w.until(w.errors, "nobody answers at http://"+admin)
	}
	s := start(t, onFreePorts+"admin: "+admin+"\npeers: [{name: partner, identities: [partner.example]}]\n")
	s.until("msg=serving")
	for _, w := range []*watching{table, documents} {
		w.until(w.errors, "it answers again")
	}
	table.until(table.lines, "partner  idle")
	table.until(table.lines, "partner  idle") // and again
	for range 3 {
		var page struct{ Items []struct{ Name string } }
		line := documents.until(documents.lines, "items")
		if err := json.Unmarshal([]byte(line), &page); err != nil || len(page.Items) != 1 || page.Items[0].Name != "partner" {
			t.Errorf("one line is no document: %v\n%s", err, line)
		}
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.wait()
	for _, w := range []*watching{table, documents} {
		w.until(w.errors, "nobody answers")
		w.end()
	}
	if _, stderr, code := s.asks(admin, "peers", "--watch", "--sort", "colour", "--admin", "nowhere"); code != 2 {
		t.Errorf("what is asked wrongly is not waited for: %d %s", code, stderr)
	}
}
