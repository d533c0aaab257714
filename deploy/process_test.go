//go:build deploy

package deploy

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a program that a test started.
type process struct {
	cmd   *exec.Cmd
	ended chan error

	// mu guards the field below.
	mu  sync.Mutex
	out bytes.Buffer
}

// Write takes what the program writes.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// start runs a program until the test ends at the latest.
func start(t *testing.T, program string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...), ended: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Ends when the program does.
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(10 * time.Second):
			_ = p.cmd.Process.Kill()
			<-p.ended
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s", filepath.Base(program), p)
		}
	})
	return p
}

// until waits until the program has written text, and returns what stands between it and the end of that word.
func (p *process) until(t *testing.T, text string) string {
	t.Helper()
	for range 200 {
		if _, rest, ok := strings.Cut(p.String(), text); ok && strings.ContainsAny(rest, " \n") {
			word, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
			word, _, _ = strings.Cut(word, "\n")
			return word
		}
		select {
		case err := <-p.ended:
			p.ended <- err
			t.Fatalf("it ended: %v\n%s", err, p)
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("it does not write %q:\n%s", text, p)
	return ""
}

// end waits until the program has ended, and fails the test where it did not end well.
func (p *process) end(t *testing.T) {
	t.Helper()
	select {
	case err := <-p.ended:
		p.ended <- err
		if err != nil {
			t.Errorf("it ended: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("it does not end:\n%s", p)
	}
}

// await looks until something is so, for ten seconds at most.
func await(t *testing.T, so func() bool, otherwise func() string) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 100 {
		if so() {
			return
		}
		<-tick.C
	}
	t.Fatal(otherwise())
}

// run runs a program to its end, and returns what it wrote. Where it fails, so does the test.
func run(t *testing.T, stdin []byte, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// built is the program, once for all tests; TestMain removes it.
var built = struct {
	sync.Mutex
	dir, name string
}{}

// tandem builds the program as it is delivered, or gives the one that was built.
func tandem(t *testing.T) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if built.name != "" {
		return built.name
	}
	name := filepath.Join(built.dir, "tandem")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", name, "../cmd/tandem")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	built.name = name
	return name
}

// TestMain gives the program a place to stand.
func TestMain(m *testing.M) {
	os.Exit(func() (code int) {
		dir, err := os.MkdirTemp("", "tandem-deploy-*")
		if err != nil {
			panic(err)
		}
		defer func() {
			if err := os.RemoveAll(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
				panic(err)
			}
		}()
		built.dir = dir
		return m.Run()
	}())
}
