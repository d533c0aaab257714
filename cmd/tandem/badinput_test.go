package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/internal/devca"
)

// TestServeBadInput starts proxies that cannot serve. Each says which file, line and key is at fault and what
// to do, in one line, and exits at once.
func TestServeBadInput(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() }) // after the subtests, which run side by side
	const domain = "listen: [tls://127.0.0.1:0]\ntrust: {ca: [ca.pem]}\ndomains:\n  - name: example.com\n    certificate: {CERT}\n    key: {KEY}\n"
	pair := func(cert, key string) string {
		return strings.NewReplacer("{CERT}", cert, "{KEY}", key).Replace(domain)
	}
	for _, tt := range []struct {
		name, settings string
		code           int
		says           []string // on one line
	}{
		{"no such certificate", pair("absent.pem", "example.com.key"), 2, []string{"tandem.yaml:5: domains[0].certificate:", "absent.pem", "no such file", "give the path"}},
		{"a certificate that nobody may read", pair("secret.pem", "example.com.key"), 2, []string{"tandem.yaml:5: domains[0].certificate:", "secret.pem", "give"}},
		{"a directory for a certificate", pair("folder", "example.com.key"), 2, []string{"tandem.yaml:5: domains[0].certificate:", "folder", "give"}},
		{"garbage for a certificate", pair("garbage.pem", "example.com.key"), 2, []string{"tandem.yaml:5: domains[0].certificate:", "garbage.pem", "give a PEM file"}},
		{"a key for a certificate", pair("example.com.key", "example.com.key"), 2, []string{"tandem.yaml:5: domains[0].certificate:", "example.com.key", "give a PEM file"}},
		{"no such key", pair("example.com.pem", "absent.key"), 2, []string{"tandem.yaml:6: domains[0].key:", "absent.key", "no such file", "give the path"}},
		{"a key that does not fit", pair("example.com.pem", "example.net.key"), 2, []string{"tandem.yaml:6: domains[0].key:", "example.net.key", "does not belong to example.com.pem", "give the key"}},
		{"garbage for a key", pair("example.com.pem", "garbage.pem"), 2, []string{"tandem.yaml:6: domains[0].key:", "garbage.pem", "give a PEM file"}},
		{"no such authority", "listen: [tls://127.0.0.1:0]\ntrust:\n  ca: [absent.pem]\n", 2, []string{"tandem.yaml:3: trust.ca[0]:", "absent.pem", "give the path"}},
		{"unknown key", "listen: [udp://127.0.0.1:0]\n\ncolour: red\n", 2, []string{"tandem.yaml:3: colour: unknown key", "take it out"}},
		{"unknown key inside", "listen: [udp://127.0.0.1:0]\ntimers:\n  t9: 5s\n", 2, []string{"tandem.yaml:3: timers.t9: unknown key"}},
		{"not YAML", "listen: [udp://127.0.0.1:0\n  x: {\n", 2, []string{"tandem.yaml"}},
		{"an address that is taken", "listen:\n  - udp://127.0.0.1:0\n  - tcp://" + taken.Addr().String() + "\n", 1, []string{"tandem.yaml:3:", "listen[1]", taken.Addr().String(), "in use", "give another"}},
		{"an address of somebody else", "listen: [tcp://192.0.2.1:5060]\n", 1, []string{"tandem.yaml:1:", "listen[0]", "192.0.2.1:5060", "give another"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := devca.Write(dir, "Test CA", []string{"example.com"}, []string{"example.net"}); err != nil {
				t.Fatal(err)
			}
			for name, mode := range map[string]os.FileMode{"garbage.pem": 0o600, "secret.pem": 0} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte("garbage\n"), mode); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "tandem.yaml"), []byte(tt.settings), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, binary, "serve", "--config", "tandem.yaml")
			cmd.Dir = dir
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			var exit *exec.ExitError
			if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != tt.code {
				t.Fatalf("it ended with %v, want exit code %d\n%s", err, tt.code, &out)
			}
			told := false
			for line := range strings.Lines(out.String()) {
				all := true
				for _, word := range tt.says {
					all = all && strings.Contains(line, word)
				}
				told = told || all
			}
			if !told {
				t.Errorf("no line has all of %q:\n%s", tt.says, &out)
			}
			if strings.Contains(out.String(), "goroutine ") {
				t.Errorf("it panicked:\n%s", &out)
			}
		})
	}
}
