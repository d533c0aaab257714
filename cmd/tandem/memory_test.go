package main

import (
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/internal/config"
)

func TestPercentFor(t *testing.T) {
	m := config.Memory{GCPercent: 100, GCHeadroom: 24 << 20}
	for _, c := range []struct {
		name  string
		m     config.Memory
		alive uint64
		want  int
	}{
		{"nothing yet", m, 0, 600},
		{"less than the least", m, 1 << 20, 600},
		{"small", m, 8 << 20, 300},
		{"as much as the headroom", m, 24 << 20, 100},
		{"large", m, 10 << 30, 100},
		{"no headroom", config.Memory{GCPercent: 50}, 1 << 20, 50},
		{"largest headroom", config.Memory{GCPercent: 10, GCHeadroom: 1 << 30}, 0, 25600},
	} {
		if got := percentFor(c.m, c.alive); got != c.want {
			t.Errorf("%s: %d percent, want %d", c.name, got, c.want)
		}
	}
}

// goal returns at how large a heap the next collection comes, in bytes.
func goal() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// keep is what the collector is made to find alive.
var keep [][]byte

// TestCollectorFollows: the next collection comes after the headroom while little is alive, and as usual when much is.
func TestCollectorFollows(t *testing.T) {
	t.Setenv("GOGC", "") // the collector that go test runs with is none of its business
	t.Setenv("GOMEMLIMIT", "")
	log := slog.New(slog.DiscardHandler)
	c := &collector{}
	t.Cleanup(func() { c.release(); keep = nil })
	const headroom = 32 << 20
	// within collects until the next one is due between two amounts above what is alive: the percentage is set
	// some time after the end of a collection.
	within := func(least, most float64) {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for {
			runtime.GC()
			more := float64(goal()) - float64(alive())
			if more >= least && more <= most {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the next collection comes after %.1f MiB, and %d are alive", more/(1<<20), alive())
			}
		}
	}
	c.apply(config.Memory{GCPercent: 100, GCHeadroom: headroom}, log)
	within(0.8*headroom, 1.2*headroom)
	for range 64 {
		keep = append(keep, make([]byte, 1<<20))
	}
	within(0.9*(64<<20), 1.4*(64<<20))
	keep = nil
	within(0.8*headroom, 1.2*headroom)

	// A reload changes it, and what it takes back goes back.
	c.apply(config.Memory{GCPercent: 400, Limit: 512 << 20}, log)
	if got := debug.SetGCPercent(400); got != 400 {
		t.Errorf("%d percent without a headroom, want 400", got)
	}
	if got := debug.SetMemoryLimit(-1); got != 512<<20 {
		t.Errorf("the limit is %d", got)
	}
	c.apply(config.Memory{GCPercent: 400}, log)
	if got := debug.SetMemoryLimit(-1); got < 1<<60 {
		t.Errorf("the limit is still %d", got)
	}
}

// TestCollectorAndEnvironment: what the environment says, stands.
func TestCollectorAndEnvironment(t *testing.T) {
	t.Setenv("GOGC", "70")
	t.Setenv("GOMEMLIMIT", "1GiB")
	was, limit := debug.SetGCPercent(70), debug.SetMemoryLimit(1<<30) // as the runtime does at the start
	t.Cleanup(func() { debug.SetGCPercent(was); debug.SetMemoryLimit(limit) })
	var text strings.Builder
	c := &collector{}
	c.apply(config.Memory{GCPercent: 300, GCHeadroom: 64 << 20, Limit: 128 << 20}, slog.New(slog.NewTextHandler(&text, nil)))
	runtime.GC()
	if got := debug.SetGCPercent(70); got != 70 {
		t.Errorf("%d percent, want 70", got)
	}
	if got := debug.SetMemoryLimit(-1); got != 1<<30 {
		t.Errorf("the limit is %d", got)
	}
	for _, want := range []string{"GOGC is set", "GOMEMLIMIT is set"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the log does not say that %s: %s", want, text.String())
		}
	}
	c.release()
	if got := debug.SetGCPercent(70); got != 70 {
		t.Errorf("%d percent after the end, want 70", got)
	}
}

// TestServeMemory has the settings of memory changed by a reload.
func TestServeMemory(t *testing.T) {
	s := start(t, onFreePorts, "GOGC=", "GOMEMLIMIT=")
	s.until("msg=serving")
	for _, c := range []struct{ memory, want string }{
		{"{limit: 1MiB}", "memory.limit: 1MiB is too little to work with"},
		{"{limit: 256MiB, gc_percent: 50, gc_headroom: 0}", "msg=reloaded"},
	} {
		if err := os.WriteFile(s.file, []byte(onFreePorts+"memory: "+c.memory+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.cmd.Process.Signal(syscall.SIGHUP)
		s.until(c.want)
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	if code := s.wait(); code != 0 {
		t.Errorf("exit code %d, want 0\n%s", code, strings.Join(s.log, "\n"))
	}
}
