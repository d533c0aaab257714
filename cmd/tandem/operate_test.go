package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// asks runs a command against a proxy's admin API, and returns what it prints and its exit code.
func (s *server) asks(admin string, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), binary, args...)
	cmd.Env = append(os.Environ(), "TANDEM_ADMIN="+admin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// connected starts a proxy with an admin API, a peer that has not come, and a connection over TCP.
func connected(t *testing.T) (s *server, admin string) {
	t.Helper()
	s = start(t, onFreePorts+"admin: 127.0.0.1:0\npeers: [{name: partner, identities: [partner.example]}]\n")
	_, tcp, _ := strings.Cut(s.until("tcp://"), "tcp://")
	_, admin, _ = strings.Cut(s.until("admin API"), "on=")
	s.until("msg=serving")
	conn, err := net.Dial("tcp", tcp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Write([]byte("\r\n\r\n")); err != nil { // a ping, which is answered when the connection is there
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	return s, admin
}

// TestOperate asks a running proxy everything that there is a command for, changes it, and stops it.
func TestOperate(t *testing.T) {
	t.Parallel()
	s, admin := connected(t)
	for _, c := range []struct {
		args []string
		want string // on stdout, or with a code on stderr
		code int
	}{
		{[]string{"connections"}, " 1  open   accepted   tcp", 0},
		{[]string{"connections", "--where", "state=closed"}, "ID  STATE", 0},
		{[]string{"connections", "list", "--sort=-id", "--limit", "0"}, "0 of 1", 0},
		{[]string{"status"}, "example.com", 0},
		{[]string{"status", "--ready"}, "", 0},
		{[]string{"status", "--ready", "--admin", "127.0.0.1:1"}, "nobody answers", 1},
		{[]string{"aliases"}, "LOCAL-DOMAIN  IP", 0},
		{[]string{"peers"}, "partner  idle", 0},
		{[]string{"transactions"}, "KIND  STATE", 0},
		{[]string{"explain", "sip:127.0.0.9:5070;transport=tcp", "--from", "example.com"}, "a connection would be dialed to tcp:127.0.0.9:5070", 0},
		{[]string{"explain", "tel:1"}, "is no SIP or SIPS URI", 2},
		{[]string{"explain", "sip:a", "--from", "example.org"}, "is not served here", 2},
		{[]string{"connections", "--sort", "colour"}, "sort is one of", 2},
		{[]string{"connections", "--where", "x"}, "FIELD=VALUE", 2},
		{[]string{"connections", "--admin", "nowhere"}, "no address of an admin API", 2},
		{[]string{"connections", "--admin", "http://192.0.2.1:1", "--token-file", s.file}, "for all to read", 2},
		{[]string{"connections", "close", "99"}, "there is no connection 99", 1},
		{[]string{"connections", "forget", "1"}, "connection 1: no request finds it any more", 0},
		{[]string{"connections", "close", "1"}, "connection 1: ", 0},
		{[]string{"reload"}, s.file + " is in force", 0},
	} {
		stdout, stderr, code := s.asks(admin, c.args...)
		text := stdout
		if c.code != 0 {
			text = stderr
		}
		if code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%v: exit code %d, want %d and %q\n%s%s", c.args, code, c.code, c.want, stdout, stderr)
		}
	}
	for _, noun := range []string{"connections", "aliases", "peers", "transactions"} {
		stdout, _, _ := s.asks(admin, noun, "--json")
		var page struct {
			Items []any `json:"items"`
			Total *int  `json:"total"`
		}
		if err := json.Unmarshal([]byte(stdout), &page); err != nil || page.Items == nil || page.Total == nil {
			t.Errorf("%s --json: %v\n%s", noun, err, stdout)
		}
	}

	if err := os.WriteFile(s.file, []byte("colour: red\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := s.asks(admin, "reload"); code != 1 || !strings.Contains(stderr, s.file+":1: colour") {
		t.Errorf("reload of a broken file: %d %s", code, stderr)
	}
	if stdout, stderr, code := s.asks(admin, "drain"); code != 0 || !strings.Contains(stdout, "stopped") {
		t.Errorf("drain: %d %s%s", code, stdout, stderr)
	}
	if code := s.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, strings.Join(s.log, "\n"))
	}
	if _, stderr, code := s.asks(admin, "peers"); code != 1 || !strings.Contains(stderr, "is `tandem serve` running") {
		t.Errorf("of nobody: %d %s", code, stderr)
	}
}

// TestPlain: what a peer wrote does nothing to a terminal.
func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"": "-", "example.net": "example.net", "bücher": "bücher", "a\x1b[2Jb": `"a\x1b[2Jb"`, "a\tb\nc": `"a\tb\nc"`, `a"b`: `"a\"b"`, "\x9b1m": `"\x9b1m"`,
		strings.Repeat("x", 100): strings.Repeat("x", maxCell) + "...",
	} {
		if got := plain(in); got != want {
			t.Errorf("%q is shown as %s, want %s", in, got, want)
		}
	}
	if got := whole("a\x1b[2Jb\u009bc\nd"); got != "a?[2Jb?c?d" {
		t.Errorf("a sentence is shown as %q", got)
	}
}
