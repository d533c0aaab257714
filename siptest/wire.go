package siptest

import (
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// Wire is what went over the connections of the peers of one test, in the order in which it happened.
type Wire struct {
	began time.Time

	mu      sync.Mutex // guards the field below
	entries []string
}

const (
	wireEntries = 60   // shown on failure
	wireText    = 1500 // bytes of each
)

// wires are the logs of the tests that run.
var wires sync.Map // testing.TB -> *Wire

// wireOf finds or makes the log of a test.
func wireOf(t testing.TB) *Wire {
	w, there := wires.LoadOrStore(t, &Wire{began: time.Now()})
	if !there {
		t.Cleanup(func() { wires.Delete(t) })
	}
	return w.(*Wire)
}

// add notes one event; text may have several lines.
func (w *Wire) add(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if len(s) > wireText {
		s = s[:wireText] + fmt.Sprintf("... (%d bytes)", len(s))
	}
	s = strings.ReplaceAll(strings.ReplaceAll(strings.TrimRight(s, "\r\n"), "\r\n", "\n"), "\n", "\n        ")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.entries = append(w.entries, fmt.Sprintf("%7.3f %s", time.Since(w.began).Seconds(), s))
}

// String lists the last events with their times in seconds.
func (w *Wire) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.entries
	var b strings.Builder
	if n := len(all) - wireEntries; n > 0 {
		fmt.Fprintf(&b, "(%d earlier events)\n", n)
		all = all[n:]
	}
	b.WriteString(strings.Join(all, "\n"))
	return b.String()
}

// Token gives n random characters that may stand in tags, branches and Call-IDs.
func Token(n int) string {
	text := ""
	for len(text) < n {
		text += strings.ToLower(rand.Text())
	}
	return text[:n]
}
