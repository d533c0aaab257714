package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestTrace follows what comes to a running proxy, in each form that there is, and looks at it again afterwards.
func TestTrace(t *testing.T) {
	t.Parallel()
	s := start(t, onFreePorts+"admin: 127.0.0.1:0\n")
	s.until("udp://")
	udp := s.log[len(s.log)-1]
	udp = udp[strings.Index(udp, "udp://")+len("udp://"):]
	line := s.until("admin API")
	admin := line[strings.Index(line, "on=")+len("on="):]
	s.until("msg=serving")
	if _, stderr, code := s.asks(admin, "trace", "--once"); code != 1 || !strings.Contains(stderr, "no such call is kept") {
		t.Errorf("of nothing: %d %s", code, stderr)
	}
	file := filepath.Join(t.TempDir(), "all.pcapng")
	ladder, capture := follow(t, admin, "--user", "bob"), follow(t, admin, "--pcap", file, "--json")

	conn, err := net.Dial("udp", udp)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, user := range []string{"alice", "bob"} {
		fmt.Fprintf(conn, "OPTIONS sip:%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%[3]s;rport\r\nMax-Forwards: 70\r\nFrom: <sip:%[3]s@example.org>;tag=1\r\n"+
			"To: <sip:%[1]s>\r\nCall-ID: %[3]s@test\r\nCSeq: 1 OPTIONS\r\nAuthorization: Basic c2VjcmV0\r\nContent-Length: 0\r\n\r\n", udp, conn.LocalAddr(), user)
		if _, err := conn.Read(make([]byte, 2000)); err != nil {
			t.Fatal(err)
		}
	}
	if text := ladder.until("200 OK"); !strings.Contains(text, "Call-ID: bob@test") || !strings.Contains(text, "|-OPTIONS sip:127.0.0.1:") || strings.Contains(text, "alice@test") {
		t.Errorf("the ladder is\n%s", text)
	}
	if text := capture.until(`"call_id":"bob@test","cseq":1,"method":"OPTIONS","status":200`); strings.Count(text, "\n") != 4 {
		t.Errorf("as JSON it is\n%s", text)
	}
	ladder.end()
	capture.end()
	data, err := os.ReadFile(file)
	if err != nil || bytes.Count(data, []byte("OPTIONS sip:")) != 2 || bytes.Count(data, []byte("SIP/2.0 200 OK")) != 2 || !bytes.Contains(data, []byte("Basic xxxxxxxx\r\n")) {
		t.Errorf("the capture is %v %q", err, data)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the capture can be read by others: %v, %v", info.Mode(), err)
	}

	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"--once"}, "Call-ID: bob@test", 0},
		{[]string{"--once", "--limit", "1"}, "200 OK", 0},
		{[]string{"--once", "--call-id", "alice@test"}, "|<-200 OK", 0},
		{[]string{"--once", "--user", "bob", "--json"}, `"direction":"sent"`, 0},
		{[]string{"--once", "--pcap", "-", "--peer", "127.0.0.1"}, "OPTIONS sip:", 0},
		{[]string{"--once", "--call-id", "erin@test"}, "no message of that Call-ID is kept", 1},
		{[]string{"--once", "--user", "erin"}, "no such call is kept", 1},
		{[]string{"--pcap", "/nowhere/x"}, "no such file", 2},
	} {
		stdout, stderr, code := s.asks(admin, append([]string{"trace"}, c.args...)...)
		text := stdout
		if c.code != 0 {
			text = stderr
		}
		if code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%v: exit code %d, want %d and %q\n%s%s", c.args, code, c.code, c.want, stdout, stderr)
		}
	}
	if stdout, _, _ := s.asks(admin, "trace", "--once", "--limit", "1"); strings.Contains(stdout, "alice@test") {
		t.Errorf("--limit 1 shows\n%s", stdout)
	}
}

// following is a `tandem trace` that runs.
type following struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// follow begins to follow.
func follow(t *testing.T, admin string, args ...string) *following {
	t.Helper()
	f := &following{t: t, cmd: exec.CommandContext(t.Context(), binary, append([]string{"trace", "--admin", admin}, args...)...)}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := f.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f.lines = bufio.NewScanner(out)
	if first := bufio.NewScanner(errs); !first.Scan() || !strings.HasPrefix(first.Text(), "following") {
		t.Fatalf("it says %q", first.Text())
	}
	return f
}

// until returns what it prints up to the line with a text.
func (f *following) until(text string) (all string) {
	f.t.Helper()
	for f.lines.Scan() {
		all += f.lines.Text() + "\n"
		if strings.Contains(f.lines.Text(), text) {
			return all
		}
	}
	f.t.Fatalf("it ends without %q:\n%s", text, all)
	return all
}

// end interrupts it.
func (f *following) end() {
	f.t.Helper()
	if err := f.cmd.Process.Signal(syscall.SIGINT); err != nil {
		f.t.Fatal(err)
	}
	if err := f.cmd.Wait(); err != nil {
		f.t.Errorf("%v: %v", f.cmd.Args, err)
	}
}
