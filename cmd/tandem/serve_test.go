package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/internal/devca"
)

// server is a running `tandem serve`.
type server struct {
	t     *testing.T
	cmd   *exec.Cmd
	file  string         // its configuration
	lines *bufio.Scanner // of what it logs
	log   []string
}

// start runs serve with the settings, which have {DIR} for a directory with certificates.
func start(t *testing.T, settings string, env ...string) *server {
	t.Helper()
	dir, path := t.TempDir(), ""
	var args []string
	if settings != "" {
		if err := devca.Write(dir, "Test CA", []string{"example.com", "p1.example.com"}); err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(dir, "tandem.yaml")
		if err := os.WriteFile(path, []byte(settings), 0o600); err != nil {
			t.Fatal(err)
		}
		args = []string{"--config", path}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	s := &server{t: t, file: path, cmd: exec.CommandContext(ctx, binary, append([]string{"serve"}, args...)...)}
	s.cmd.Env = append(os.Environ(), env...)
	r, w := io.Pipe()
	s.cmd.Stderr = w
	// Whoever waits for a line of a process that was ended, or of a test that is over, is told that none comes.
	context.AfterFunc(ctx, func() { w.Close() })
	s.lines = bufio.NewScanner(r)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// until reads the log up to a line with text in it, and returns that line.
func (s *server) until(text string) string {
	s.t.Helper()
	for s.lines.Scan() {
		s.log = append(s.log, s.lines.Text())
		if strings.Contains(s.lines.Text(), text) {
			return s.lines.Text()
		}
	}
	s.t.Fatalf("the log ended without %q:\n%s", text, strings.Join(s.log, "\n"))
	return ""
}

// wait reads the log to its end and returns the exit code.
func (s *server) wait() int {
	s.t.Helper()
	done := make(chan struct{})
	// Ends when the test closes the pipe, at the latest.
	go func() {
		defer close(done)
		for s.lines.Scan() {
			s.log = append(s.log, s.lines.Text())
		}
	}()
	s.cmd.Wait()
	s.cmd.Stderr.(*io.PipeWriter).Close()
	<-done
	return s.cmd.ProcessState.ExitCode()
}

const onFreePorts = `listen:
  - udp://127.0.0.1:0
  - tcp://127.0.0.1:0
  - tls://127.0.0.1:0
trust: {ca: [ca.pem]}
domains:
  - {name: example.com, certificate: example.com.pem, key: example.com.key, sent_by: p1.example.com}
`

// TestServe starts the proxy as systemd would, asks it something, and stops it.
func TestServe(t *testing.T) {
	path, notified := systemd(t)
	state := func(want string) {
		t.Helper()
		if got := notification(t, notified); got != want {
			t.Errorf("notified of %q, want %q", got, want)
		}
	}

	s := start(t, onFreePorts, "NOTIFY_SOCKET="+path)
	udp := s.until("udp://")
	s.until("tcp://")
	s.until("tls://")
	s.until("msg=serving")
	state("READY=1")
	address := udp[strings.Index(udp, "udp://")+len("udp://"):]
	ask(t, address, "OPTIONS", "sip:"+address, "SIP/2.0 200 ")

	s.cmd.Process.Signal(syscall.SIGTERM)
	s.until("stopping")
	state("STOPPING=1")
	if code := s.wait(); code != 0 {
		t.Errorf("exit code %d, want 0\n%s", code, strings.Join(s.log, "\n"))
	}
}

// systemd listens to what systemd would be told, at path, until the test ends.
func systemd(t *testing.T) (path string, notified *net.UnixConn) {
	t.Helper()
	dir, err := os.MkdirTemp("", "tandem-") // the names of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "notify")
	notified, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = notified.Close() })
	return path, notified
}

// notification waits for what systemd would be told.
func notification(t *testing.T, notified *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 1000)
	notified.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := notified.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

// ask sends a request and compares the beginning of the first response.
func ask(t *testing.T, address, method, uri, want string) {
	t.Helper()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%[1]s %[2]s SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bKtest;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:test@example.com>;tag=1\r\nTo: <%[2]s>\r\nCall-ID: test\r\nCSeq: 1 %[1]s\r\n"+
		"Contact: <sip:test@%[3]s>\r\nContent-Length: 0\r\n\r\n", method, uri, conn.LocalAddr())
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatalf("%s was not answered: %v", method, err)
	}
	if !strings.HasPrefix(string(buf[:n]), want) {
		t.Errorf("%s was answered otherwise than with %s:\n%s", method, want, buf[:n])
	}
}

// TestServeSecondSignal stops a proxy in a hurry that has a call which nobody answers.
func TestServeSecondSignal(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s := start(t, onFreePorts+"routes: [{to: \"sip:"+silent.LocalAddr().String()+";transport=udp\"}]\n")
	udp := s.until("udp://")
	s.until("msg=serving")
	ask(t, udp[strings.Index(udp, "udp://")+len("udp://"):], "INVITE", "sip:bob@example.com", "SIP/2.0 100 ")
	silent.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, _, err := silent.ReadFrom(make([]byte, 4096)); err != nil {
		t.Fatalf("the INVITE did not arrive: %v", err)
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.until("stopping")
	stopped := time.Now()
	s.cmd.Process.Signal(syscall.SIGTERM)
	if code := s.wait(); code != 1 || !strings.Contains(strings.Join(s.log, "\n"), "second signal") {
		t.Errorf("exit code %d, want 1 and a reason\n%s", code, strings.Join(s.log, "\n"))
	}
	if took := time.Since(stopped); took > 10*time.Second {
		t.Errorf("stopping at once took %v", took)
	}
}

// TestServeAddressInUse looks at the exit code of a proxy that cannot listen.
func TestServeAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := start(t, "listen: [udp://127.0.0.1:0, \"tcp://"+taken.Addr().String()+"\"]\n")
	if code := s.wait(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	text := strings.Join(s.log, "\n")
	if !strings.Contains(text, "listen[1]") || !strings.Contains(text, "in use") {
		t.Errorf("what was said names no key or no reason:\n%s", text)
	}
}

// TestServeDefault starts the embedded default, which needs the usual ports.
func TestServeDefault(t *testing.T) {
	home := t.TempDir()
	s := start(t, "", "XDG_STATE_HOME="+home)
	line := s.until("development proxy")
	ca := filepath.Join(home, "tandem", "development", "ca.pem")
	if !strings.Contains(line, ca) {
		t.Errorf("the log does not say where the CA is: %s", line)
	}
	if _, err := os.Stat(ca); err != nil {
		t.Error(err)
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	// Another proxy may have the ports; that it says so is tested elsewhere.
	if code := s.wait(); code != 0 && !strings.Contains(strings.Join(s.log, "\n"), "in use") {
		t.Errorf("exit code %d\n%s", code, strings.Join(s.log, "\n"))
	}
}
