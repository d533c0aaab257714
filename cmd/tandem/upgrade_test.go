//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-sip/tandem/internal/devca"
)

// process is a running `tandem serve` that logs to a file, as does whatever follows it.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	dir  string
	file string // its configuration
	end  chan struct{}
}

// underLoad is how long load is offered: TANDEM_UNDER_LOAD, or three seconds.
func underLoad(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("TANDEM_UNDER_LOAD")
	if text == "" {
		return 3 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// launch starts serve with the settings and waits until it serves. files are inherited as systemd does it.
func launch(t *testing.T, settings string, env []string, files ...*os.File) *process {
	t.Helper()
	p := &process{t: t, dir: t.TempDir(), end: make(chan struct{})}
	if err := devca.Write(p.dir, "Test CA", []string{"example.com", "p1.example.com"}, []string{"example.net"}); err != nil {
		t.Fatal(err)
	}
	p.file = filepath.Join(p.dir, "tandem.yaml")
	p.configure(settings)
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.CommandContext(t.Context(), "sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, binary, "serve", "--config", p.file)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr, p.cmd.ExtraFiles = log, files
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Ends when the process does, with the test at the latest.
	go func() { defer close(p.end); _ = p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.end
	})
	p.until("msg=serving", 1)
	return p
}

func (p *process) configure(settings string) {
	p.t.Helper()
	if err := os.WriteFile(p.file, []byte(settings), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) log() string {
	b, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// until waits until the log has a text so often.
func (p *process) until(text string, times int) {
	p.t.Helper()
	for end := time.Now().Add(20 * time.Second); strings.Count(p.log(), text) < times; <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("the log has not %d times %q:\n%s", times, text, p.log())
		}
	}
}

// code waits for the end of the process.
func (p *process) code() int {
	p.t.Helper()
	select {
	case <-p.end:
	case <-time.After(40 * time.Second):
		p.t.Fatalf("it does not end:\n%s", p.log())
	}
	return p.cmd.ProcessState.ExitCode()
}

// upgrade has the process replaced, and ends the new one with the test.
func (p *process) upgrade() (pid int) {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGUSR2)
	p.until("has taken over", 1)
	m := regexp.MustCompile(`has taken over.* pid=(\d+)`).FindStringSubmatch(p.log())
	pid, err := strconv.Atoi(m[1])
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	return pid
}

// report is what `tandem load` says.
type report struct {
	Begun, Done, Failed int
	Reasons             map[string]int
}

// offer has `tandem load` call. What it returns waits for the end.
func offer(t *testing.T, args ...string) (wait func() report) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"load", "--json", "-q", "--timeout", "20s"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() (r report) {
		t.Helper()
		_ = cmd.Wait() // the report says what became of it
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatalf("%v: %s%s", err, out.Bytes(), errs.Bytes())
		}
		if r.Failed > 0 {
			t.Logf("%s", errs.Bytes())
		}
		return r
	}
}

// freeHost returns an address of loopback that nobody has: the tests of this package run at once.
func freeHost(t *testing.T) string {
	t.Helper()
	for range 100 {
		host := fmt.Sprintf("127.0.%d.%d", 64+time.Now().UnixNano()%64, 1+time.Now().UnixNano()/64%250)
		if l, err := net.Listen("tcp", host+":5060"); err == nil {
			_ = l.Close()
			return host
		}
	}
	t.Fatal("no loopback address is free")
	return ""
}

// upgradable is a configuration with whose dialogs nobody may go on who has no token: there is no relay_from.
func upgradable(host, agent, more string) string {
	return fmt.Sprintf("listen: [\"udp://%[1]s:5060\", \"tls://%[1]s:5061\"]\nadmin: %[1]s:8060\ntrust: {ca: [ca.pem]}\n"+
		"domains: [{name: example.com, certificate: example.com.pem, key: example.com.key, sent_by: p1.example.com}]\n"+
		"routes: [{match: {domain: example.com}, to: \"sip:%[2]s:5070;transport=udp\"}]\ntimers: {drain: 6s}\n"+
		"peers: [{name: far, identities: [example.net], dialog_identity: inherit}]\n%[3]s", host, agent, more)
}

// TestUpgradeUnderLoad has a proxy replaced while calls go on over UDP and over TLS. None fails: datagrams of the
// old process's transactions reach it, dialogs that it began go on in the new one, and what its connections closed on is sent
// again. With four event loops a UDP listener has four sockets, and the next process reads them all.
func TestUpgradeUnderLoad(t *testing.T) {
	for _, tc := range []struct {
		name, target string
		env          []string
		sources      int
	}{{"UDP", "udp", nil, 3}, {"TLS", "tls", nil, 3}, {"UDP, four loops", "udp", []string{"GOMAXPROCS=8"}, 16}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			host, agent := freeHost(t), freeHost(t)
			p := launch(t, upgradable(host, agent, ""), tc.env)
			if n := udpSockets(t, host); len(tc.env) > 0 && n != 4 && runtime.GOOS == "linux" {
				t.Errorf("the listener for UDP has %d sockets", n)
			}
			target := map[string]string{"udp": "udp://" + host + ":5060", "tls": "tls://" + host + ":5061"}[tc.target]
			wait := offer(t, "--target", target, "--bind", agent+":5071", "--answer-at", "udp://"+agent+":5070", "--to", "sip:bob@example.com",
				"--from", "sip:alice@example.net", "--scenario", "call,callee-bye", "--hops", "1", "--rate", "100", "--duration", underLoad(t).String(),
				"--ring", "100ms", "--hold", "400ms", "--connections", strconv.Itoa(tc.sources), "--alias", "--server-name", "example.com",
				"--ca", filepath.Join(p.dir, "ca.pem"), "--cert", filepath.Join(p.dir, "example.net.pem"))
			<-time.After(underLoad(t) / 3) // so that calls are under way, and more come afterwards
			pid := p.upgrade()
			r := wait()
			if want := int(underLoad(t).Seconds() * 100); r.Failed != 0 || r.Done != r.Begun || r.Begun < want*9/10 {
				t.Errorf("%d begun, %d done, %d failed: %v\n%s", r.Begun, r.Done, r.Failed, r.Reasons, p.log())
			}
			if code := p.code(); code != 0 {
				t.Errorf("the old process ended with %d\n%s", code, p.log())
			}
			p.until("the process before this one has ended", 1)
			if strings.Contains(p.log(), "cut off") {
				t.Errorf("%s", p.log())
			}
			// The next one takes over from the second, asked for over the API, which was handed over as well.
			out, err := exec.CommandContext(t.Context(), binary, "upgrade", "--admin", host+":8060").CombinedOutput()
			m := regexp.MustCompile(`^process (\d+) has taken over\n$`).FindSubmatch(out)
			if err != nil || m == nil || string(m[1]) == strconv.Itoa(pid) {
				t.Fatalf("%v: %s", err, out)
			}
			third, err := strconv.Atoi(string(m[1]))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = syscall.Kill(third, syscall.SIGKILL) })
			ask(t, host+":5060", "OPTIONS", "sip:"+host, "SIP/2.0 200 ")
		})
	}
}

// udpSockets counts the sockets for UDP on port 5060 of a host, 0 where the system does not tell. It is told in the order of bytes that most machines have.
func udpSockets(t *testing.T, host string) int {
	t.Helper()
	b, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		return 0
	}
	ip := netip.MustParseAddr(host).As4()
	return strings.Count(string(b), fmt.Sprintf(": %02X%02X%02X%02X:%04X ", ip[3], ip[2], ip[1], ip[0], 5060))
}

// TestUpgradeRefused: a new process that cannot start, because of its configuration or because another listener is in
// use, leaves the old one serving.
func TestUpgradeRefused(t *testing.T) {
	t.Parallel()
	host, agent := freeHost(t), freeHost(t)
	good := upgradable(host, agent, "")
	p := launch(t, good, nil)
	taken, err := net.Listen("tcp", agent+":5080")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for i, tc := range []struct{ settings, said string }{
		{good + "nonsense: 1\n", "exit code 2"},
		{strings.Replace(good, "listen: [", "listen: [\"tcp://"+agent+":5080\", ", 1), "exit code 1"},
	} {
		p.configure(tc.settings)
		_ = p.cmd.Process.Signal(syscall.SIGUSR2)
		p.until("this process goes on", i+1)
		if !strings.Contains(p.log(), tc.said) {
			t.Errorf("the log does not say %q:\n%s", tc.said, p.log())
		}
		ask(t, host+":5060", "OPTIONS", "sip:"+host, "SIP/2.0 200 ")
		c, err := net.Dial("tcp", host+":5061")
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	out, err := exec.CommandContext(t.Context(), binary, "upgrade", "--admin", host+":8060").CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("this process goes on: ")) {
		t.Errorf("%v: %s", err, out)
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if code := p.code(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.log())
	}
}

// TestUpgradeTold: systemd is told which process it is to watch, by the old one, and that it is ready, by the new one; the
// watchdog is served throughout.
func TestUpgradeTold(t *testing.T) {
	t.Parallel()
	path, notified := systemd(t)
	host := freeHost(t)
	p := launch(t, upgradable(host, host, ""), []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=900000"})
	if got := notification(t, notified); got != "READY=1" {
		t.Errorf("told %q", got)
	}
	if got := notification(t, notified); got != "STATUS=serving: 0 connections, 0 transactions\nWATCHDOG=1" {
		t.Errorf("told %q", got)
	}
	pid := p.upgrade()
	// Each is told of in the order in which it was said; the watchdog is served by the old one until it is not watched.
	all := ""
	for range 50 {
		if all += "|" + notification(t, notified); strings.Contains(all, "|READY=1|STATUS=serving") {
			break
		}
	}
	said := regexp.MustCompile(`^(\|STATUS=[^|]*WATCHDOG=1)*\|MAINPID=` + strconv.Itoa(pid) + `\nREADY=1\nSTATUS=\|READY=1\|STATUS=serving: [^|]*WATCHDOG=1$`)
	if !said.MatchString(all) {
		t.Errorf("told %q", all)
	}
}

// reused opens a socket for UDP beside others with its address, in blocking mode as systemd does it.
func reused(t *testing.T, at string) *os.File {
	t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		cerr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return errors.Join(cerr, err)
	}}
	c, err := config.ListenPacket(t.Context(), "udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := c.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestSocketActivation has listeners opened by somebody else, as systemd does it, that for UDP twice: both sockets are read.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	host := freeHost(t)
	tcp, err := net.Listen("tcp", host+":5061")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, another := reused(t, host+":5060"), reused(t, host+":5060")
	stream, err := tcp.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	given := []string{"LISTEN_FDS=3", "LISTEN_FDNAMES=sips:sip:sip"}
	p := launch(t, upgradable(host, host, ""), given, stream, udp, another) // in use, were they to be opened
	for range 20 {                                                          // from different ports, so that none of the two is left out
		ask(t, host+":5060", "OPTIONS", "sip:"+host, "SIP/2.0 200 ")
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if code := p.code(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.log())
	}
}
