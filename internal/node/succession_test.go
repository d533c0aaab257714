package node_test

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/node"
)

// made makes a node that nobody runs.
func made(t *testing.T, yaml string, opts node.Options) *node.Node {
	t.Helper()
	cfg, err := config.Parse([]byte("listen: [udp://127.0.0.1:0]\n"+yaml), t.TempDir(), "tandem.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.New(cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestHeritage: the secret of the dialog tokens and the hosts that dialogs go by pass from one process to the next, however
// many there are.
func TestHeritage(t *testing.T) {
	t.Parallel()
	first := made(t, "domains: [{name: example.com, sent_by: p1.example.com}]\n", node.Options{}).Heritage()
	if len(first.DialogKey) < 16 || first.DialogKeyBefore != nil || first.SentBy["example.com"] != "p1.example.com" {
		t.Fatalf("%+v", first)
	}
	second := made(t, "domains: [{name: example.com, sent_by: p2.example.com}]\n", node.Options{Heritage: first}).Heritage()
	if !bytes.Equal(second.DialogKey, first.DialogKey) || len(second.Former) != 1 || second.Former[0] != "p1.example.com" {
		t.Errorf("%+v", second)
	}
	third := made(t, "domains: [{name: example.com, sent_by: p3.example.com}, {name: example.net}]\n", node.Options{Heritage: second}).Heritage()
	if !bytes.Equal(third.DialogKey, first.DialogKey) || len(third.Former) != 2 || third.Former[0] != "p1.example.com" || third.Former[1] != "p2.example.com" {
		t.Errorf("%+v", third)
	}
}

// TestLogLevel: another level is in force for its time and no longer, and a reload does not end it.
func TestLogLevel(t *testing.T) {
	t.Parallel()
	level := new(slog.LevelVar)
	n := made(t, "log: {level: warn}\n", node.Options{Level: level})
	if now, configured, until := n.LogLevel(); now != slog.LevelWarn || configured != slog.LevelWarn || !until.IsZero() || level.Level() != slog.LevelWarn {
		t.Errorf("%v %v %v", now, configured, until)
	}
	n.SetLogLevel(slog.LevelError, time.Hour)
	n.SetLogLevel(slog.LevelDebug, 50*time.Millisecond)
	if now, _, until := n.LogLevel(); now != slog.LevelDebug || until.IsZero() || level.Level() != slog.LevelDebug {
		t.Errorf("%v %v", now, until)
	}
	for end := time.Now().Add(10 * time.Second); level.Level() != slog.LevelWarn; <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not end")
		}
	}
	n.SetLogLevel(slog.LevelDebug, time.Hour)
	n.ResetLogLevel()
	if now, _, until := n.LogLevel(); now != slog.LevelWarn || !until.IsZero() {
		t.Errorf("%v %v", now, until)
	}
}
