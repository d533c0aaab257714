package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/conformance"
	"github.com/tandem-sip/tandem/siptest"
)

// checking is a directory that `tandem check --make` has filled, and the flags that go with it.
type checking struct {
	dir   string
	uri   string
	flags []string
}

// newChecking runs `tandem check --make`.
func newChecking(t *testing.T, more ...string) *checking {
	t.Helper()
	target, prober, second := siptest.Loopback(t), siptest.Loopback(t), siptest.Loopback(t)
	c := &checking{dir: filepath.Join(t.TempDir(), "made"), uri: "sip:" + target.String()}
	c.flags = append([]string{"--domain", "example.com", "--second-domain", "example.org", "--listen", prober.String(), "--second", second.String(),
		"--dns", netip.AddrPortFrom(prober, 5300).String()}, more...)
	out, err := c.command(t, "--make", c.dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(c.dir, "README.txt"))
	if err != nil || string(text) != string(out) || !strings.Contains(string(out), "  tandem check --ca "+c.dir) {
		t.Errorf("README.txt is not what was printed, or does not say how to go on: %v\n%s", err, out)
	}
	if info, err := os.Stat(filepath.Join(c.dir, "ca.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is not 0600: %v", err)
	}
	return c
}

// command is `tandem check` with the flags and more.
func (c *checking) command(t *testing.T, more ...string) *exec.Cmd {
	return exec.CommandContext(t.Context(), binary, append(append(append([]string{"check"}, c.flags...), more...), c.uri)...)
}

// serve runs `tandem serve` on the configuration that was made, until the test ends.
func (c *checking) serve(t *testing.T) {
	t.Helper()
	s := &server{t: t, cmd: exec.CommandContext(t.Context(), binary, "serve", "--config", filepath.Join(c.dir, "tandem.yaml"))}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr, s.lines = w, bufio.NewScanner(r)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	s.until("msg=serving")
	drained := make(chan struct{})
	// ends when the program does, which the cleanup asks for
	go func() {
		defer close(drained)
		for s.lines.Scan() {
		}
	}()
	t.Cleanup(func() {
		s.cmd.Process.Kill() // it has calls that nobody ends
		s.cmd.Wait()
		<-drained
		r.Close()
	})
}

// waivers reads testdata/waivers.txt: an id and the reason why the prober does not pass it.
func waivers(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/waivers.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if id, reason, _ := strings.Cut(strings.TrimSpace(line), " "); id != "" && id != "#" {
			if all[id] = strings.TrimSpace(reason); all[id] == "" {
				t.Errorf("testdata/waivers.txt: %s has no reason", id)
			}
		}
	}
	return all
}

// TestCheck runs every case against a tandem that serves what `tandem check --make` wrote. Each passes or has
// a line in testdata/waivers.txt.
func TestCheck(t *testing.T) { check(t) }

// TestCheckOverSCTP is TestCheck over TLS over SCTP.
func TestCheckOverSCTP(t *testing.T) { check(t, "--transport", "tls-sctp") }

// check is TestCheck with more flags.
func check(t *testing.T, flags ...string) {
	c := newChecking(t, flags...)
	c.serve(t)
	junit := filepath.Join(t.TempDir(), "junit.xml")
	var out, problems bytes.Buffer
	cmd := c.command(t, "--ca", filepath.Join(c.dir, "ca.pem"), "--ca-key", filepath.Join(c.dir, "ca.key"), "--idle", "1s", "--json", "--junit", junit)
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	var r conformance.Report
	if e := json.Unmarshal(out.Bytes(), &r); e != nil {
		t.Fatalf("%v: %v\n%s%s", e, err, out.Bytes(), problems.Bytes())
	}
	if (err != nil) != (r.Failed > 0) {
		t.Errorf("%d cases failed, and the program ended with %v", r.Failed, err)
	}
	waived := waivers(t)
	for _, k := range r.Cases {
		t.Run(k.ID, func(t *testing.T) {
			reason, ok := waived[k.ID]
			switch {
			case k.Verdict == conformance.Passed && ok:
				t.Errorf("it passes; take its line out of testdata/waivers.txt")
			case k.Verdict == conformance.Failed, k.Verdict != conformance.Passed && !ok:
				t.Errorf("%s: %s (%s)\n%s", k.Verdict, k.Reason, reason, strings.Join(k.Seen, "\n"))
			}
		})
		delete(waived, k.ID)
	}
	for id := range waived {
		t.Errorf("testdata/waivers.txt has %s, for which there is no case", id)
	}
	if len(r.Cases) != len(conformance.Cases()) {
		t.Errorf("%d cases ran, want %d", len(r.Cases), len(conformance.Cases()))
	}
	text, err := os.ReadFile(junit)
	if err != nil {
		t.Fatal(err)
	}
	var suite struct {
		Tests int `xml:"tests,attr"`
	}
	if err := xml.Unmarshal(text, &suite); err != nil || suite.Tests != len(r.Cases) {
		t.Errorf("the JUnit report has %d tests: %v", suite.Tests, err)
	}
}

// TestCheckOutput looks at what people read, and at the exit codes.
func TestCheckOutput(t *testing.T) {
	c := newChecking(t)
	c.serve(t)
	ca := []string{"--ca", filepath.Join(c.dir, "ca.pem"), "--ca-key", filepath.Join(c.dir, "ca.key")}
	tests := []struct {
		name string
		args []string
		code int
		want []string // parts of the output, in this order
	}{
		{"passed", append(ca, "--case", "5923-9.2-1"), 0, []string{"honours the offer of an alias      yes", "passed        5923-9.2-1   MUST      The TLS server asks", "1 passed, 0 failed, 0 not testable"}},
		{"verbose", append(ca, "--case", "5923-9.2-3", "-v"), 0, []string{"no certificate", "-> connection 1: OPTIONS sip:example.com", "alias", "passed"}},
		{"no trigger", append(ca, "--case", "5923-9.2-3", "--trigger", "true"), 0, []string{"forwards what the trigger sends    no:", "not testable", "For the prober to see anything"}},
		{"trigger fails", append(ca, "--case", "5923-9.2-3", "--trigger", "echo no telephone; false"), 0, []string{"no telephone", "not testable"}},
		{"another authority", []string{"--case", "5923-9.2-1"}, 1, []string{"made an authority", "does it trust the prober's authority?", "It trusts the authority in "}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cmd := c.command(t, append(test.args, "--wait", "1s")...)
			cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+t.TempDir())
			out, err := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != test.code {
				t.Errorf("exit code %d, want %d: %v", code, test.code, err)
			}
			rest := string(out)
			for _, want := range test.want {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Errorf("%q is missing in\n%s", want, out)
					break
				}
				rest = after
			}
		})
	}
}

// TestCheckFails looks at the exit code and the text for a target that fails: one of which is said that it
// serves a domain for which it has no certificate.
func TestCheckFails(t *testing.T) {
	c := newChecking(t)
	c.serve(t)
	c.flags = append(c.flags, "--second-domain", "example.edu")
	out, err := c.command(t, "--ca", filepath.Join(c.dir, "ca.pem"), "--ca-key", filepath.Join(c.dir, "ca.key"), "--case", "5922-7.8-1").CombinedOutput()
	want := fmt.Sprintf("to server_name %q the target presented a certificate for other names", "example.edu")
	if err == nil || !strings.Contains(string(out), "FAILED        5922-7.8-1") || !strings.Contains(string(out), want) || !strings.Contains(string(out), "check: 1 case failed") {
		t.Errorf("%v\n%s", err, out)
	}
}
