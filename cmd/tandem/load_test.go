package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tandem-sip/tandem/internal/devca"
	"github.com/tandem-sip/tandem/internal/load"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// loaded runs `tandem load` and returns its report, its errors and its exit code. seen is given a line of progress
// at a time.
func loaded(t *testing.T, seen func(*os.Process), args ...string) (r load.Report, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"load", "--json"}, args...)...)
	var out bytes.Buffer
	cmd.Stdout = &out
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for buf := make([]byte, 4<<10); ; {
		n, err := errs.Read(buf)
		text.Write(buf[:n])
		if seen != nil && bytes.Contains(buf[:n], []byte("offered")) {
			seen(cmd.Process)
		}
		if err != nil {
			break
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v in %q, errors:\n%s", err, &out, &text)
	}
	return r, text.String(), cmd.ProcessState.ExitCode()
}

func loadAt(t *testing.T) string {
	return netip.AddrPortFrom(siptest.Loopback(t), 5060).String()
}

// TestLoad: the exit code says whether more calls failed than may, and standard error which and how it went.
func TestLoad(t *testing.T) {
	t.Parallel()
	at := loadAt(t)
	r, stderr, code := loaded(t, nil, "--target", at, "--answer-at", at, "--calls", "30", "--rate", "300", "--hops", "0", "--scenario", "call:2,options", "--poisson")
	if code != 0 || r.Done != 30 || r.Failed != 0 || r.Scenario != "call:2 options:1" || r.Arrivals != "poisson" || !strings.Contains(stderr, "  failed 0  open 0  p50 ") {
		t.Errorf("exit code %d, report %+v, errors:\n%s", code, r, stderr)
	}
	r, stderr, code = loaded(t, nil, "--target", at, "--answer-at", at, "--calls", "3", "--hops", "1", "-q")
	if code != 1 || r.Failed != 3 || !strings.Contains(stderr, "request: Via count, in call ") || !strings.HasSuffix(stderr, "\nload: 3 of 3 calls failed\n") {
		t.Errorf("exit code %d, report %+v, errors:\n%s", code, r, stderr)
	}
	_, stderr, code = loaded(t, nil, "--target", at, "--answer-at", at, "--calls", "3", "--hops", "1", "-q", "--max-failed", "3")
	if code != 0 {
		t.Errorf("exit code %d with three failures that may be, errors:\n%s", code, stderr)
	}
}

// TestLoadTLS uses several certificates of a directory, in which that of the authority lies as well.
func TestLoadTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := devca.Write(dir, "Load CA", []string{"a.example.com"}, []string{"b.example.com"}); err != nil {
		t.Fatal(err)
	}
	for _, transport := range []string{"tls", "tls-sctp"} {
		at := transport + "://" + loadAt(t)
		r, stderr, code := loaded(t, nil, "--target", at, "--answer-at", at, "--calls", "20", "--connections", "4",
			"--cert", dir, "--ca", filepath.Join(dir, "ca.pem"), "--server-name", "a.example.com", "--alias")
		if code != 0 || r.Done != 20 || r.Target != at || r.Messages.ConnectionsDialed != 4 || r.Messages.ConnectionsTaken != 4 {
			t.Errorf("exit code %d, report %+v, errors:\n%s", code, r, stderr)
		}
	}
}

// TestLoadPassword: challenges are answered with the password of a file, whose last line end is not part of it.
func TestLoadPassword(t *testing.T) {
	t.Parallel()
	peer := siptest.NewPeer(t, siptest.PeerConfig{Name: "registrar", Handle: func(r *siptest.Received) {
		const digest = `Digest username="7-auth", realm="r", nonce="n", uri="sip:example.com", response="1d3681c1f17a097d4259aa74a0dcf081"`
		if line, _ := r.Header("Authorization"); line == digest {
			r.Reply(200)
			return
		}
		r.Reply(401, `WWW-Authenticate: Digest realm="r", nonce="n"`)
	}})
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("open sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, stderr, code := loaded(t, nil, "--target", peer.Listen(sipaddr.UDP, 5060).String(), "--scenario", "register", "--calls", "1", "--identities", "1",
		"--from", "sip:alice@example.com", "--auth-user", "7-auth", "--password-file", file)
	if code != 0 || r.Done != 1 || r.Challenged != 1 || r.ChallengesAnswered != 1 {
		t.Errorf("exit code %d, report %+v, errors:\n%s", code, r, stderr)
	}
	if strings.Contains(stderr, "sesame") {
		t.Errorf("the password is shown:\n%s", stderr)
	}
}

// TestLoadInterrupted ends it by SIGINT: there is a report all the same.
func TestLoadInterrupted(t *testing.T) {
	t.Parallel()
	at := loadAt(t)
	var once sync.Once                                                                                     // a second signal would end it at once
	r, stderr, code := loaded(t, func(p *os.Process) { once.Do(func() { _ = p.Signal(syscall.SIGINT) }) }, // it may have ended
		"--target", at, "--answer-at", at, "--duration", "1h", "--hold", "1h")
	if code != 0 || !r.Interrupted || r.Begun == 0 || r.Done != r.Begun {
		t.Errorf("exit code %d, report %+v, errors:\n%s", code, r, stderr)
	}
}
