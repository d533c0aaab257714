package browser

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"
)

// binary builds the program once.
var binary = sync.OnceValues(func() (string, error) {
	if at := os.Getenv("TANDEM_BIN"); at != "" {
		return filepath.Abs(at)
	}
	dir, err := os.MkdirTemp("", "tandem-browser-")
	if err != nil {
		return "", err
	}
	at := filepath.Join(dir, "tandem")
	cmd := exec.Command("go", "build", "-o", at, "./cmd/tandem")
	cmd.Dir, cmd.Stderr = "../..", os.Stderr
	return at, cmd.Run()
})

// process is a running program.
type process struct {
	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended

	mu   sync.Mutex // mu guards the field below
	text bytes.Buffer
}

// start runs the program until the test ends at the latest.
func start(t testing.TB, args ...string) *process {
	t.Helper()
	at, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(at, args...), done: make(chan struct{})}
	out, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout = io.Discard
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Ends when the program has.
	go func() {
		defer close(p.done)
		for in := bufio.NewScanner(out); in.Scan(); {
			p.mu.Lock()
			p.text.Write(append(in.Bytes(), '\n'))
			p.mu.Unlock()
		}
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%v wrote:\n%s", args, p.text.String())
		}
	})
	return p
}

// kill ends the program at once.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// says waits for what the program writes, and returns the matches.
func (p *process) says(pattern string) [][]string {
	p.t.Helper()
	find := regexp.MustCompile(pattern)
	tick, end := time.NewTicker(20*time.Millisecond), time.NewTimer(20*time.Second)
	defer tick.Stop()
	defer end.Stop()
	for {
		p.mu.Lock()
		found := find.FindAllStringSubmatch(p.text.String(), -1)
		p.mu.Unlock()
		if len(found) > 0 {
			return found
		}
		select {
		case <-tick.C:
		case <-p.done:
			p.t.Fatalf("it ended without saying %s: %s", pattern, p.text.String())
		case <-end.C:
			p.t.Fatalf("it does not say %s: %s", pattern, p.text.String())
		}
	}
}
