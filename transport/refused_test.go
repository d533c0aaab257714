package transport

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/siptest"
)

// logText is a log that may be read while it is written.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestRefusedIsSaid: an operator sees at the usual level of the log why a peer gets nowhere, in both roles, but
// not for each time that it tries.
func TestRefusedIsSaid(t *testing.T) {
	ca, out := newPKI(t), &logText{}
	b := start(t, Config{Domains: []Domain{ca.domain(t, "example.com", "")}, Logger: slog.New(slog.NewTextHandler(out, nil))})
	bad := siptest.NewCA(t).Domain(t, "example.net")
	for range 3 {
		c, err := tls.Dial("tcp", netip.AddrPortFrom(b.ip, 5061).String(), &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{bad.TLS()}})
		if err == nil { // TLS 1.3: the refusal comes behind the handshake
			_, err = c.Read(make([]byte, 1))
			_ = c.Close()
		}
		if err == nil {
			t.Fatal("it was not refused")
		}
	}
	s := newServer(t, func(string) *siptest.Cert { return bad })
	for range 3 {
		if a := b.flow(s.hop("example.net", "")); a.err == nil {
			t.Fatal("it was not refused")
		}
	}
	for _, what := range []string{`msg="handshake failed"`, `msg="dial failed"`} {
		eventually(t, what, func() bool { return strings.Contains(out.String(), what) })
		if n := strings.Count(out.String(), what); n == 3 || !strings.Contains(out.String(), "leads to no trusted CA") {
			t.Errorf("%s stands %d times in the log:\n%s", what, n, out.String())
		}
	}
}

// TestLately: what was said aloud is said again when its time is over.
func TestLately(t *testing.T) {
	var l lately
	now := time.Unix(1_700_000_000, 0)
	for _, step := range []struct {
		after time.Duration
		want  slog.Level
	}{{0, slog.LevelWarn}, {0, slog.LevelDebug}, {refusedEvery - 1, slog.LevelDebug}, {refusedEvery, slog.LevelWarn}} {
		if got := l.level(now.Add(step.after)); got != step.want {
			t.Errorf("after %v: %v, want %v", step.after, got, step.want)
		}
	}
}
