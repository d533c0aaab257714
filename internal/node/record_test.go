package node_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/node"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// logged is a log that a test reads.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// decisions returns the lines about requests that were sent or could not be.
func (l *logged) decisions(t *testing.T) (list []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(l.text.Bytes()) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		if m["decision"] != nil {
			list = append(list, m)
		}
	}
	return list
}

// TestDecisionIsLogged: the debug log says of each request where it went and why; the log of any other level does not.
func TestDecisionIsLogged(t *testing.T) {
	t.Parallel()
	at := siptest.Loopback(t)
	agent := siptest.NewPeer(t, siptest.PeerConfig{Name: "agent"})
	agent.Listen(sipaddr.UDP, 5060)
	far := siptest.NewPeer(t, siptest.PeerConfig{Name: "far", Handle: siptest.AnswerAll})
	far.Listen(sipaddr.TCP, 5060)
	file := filepath.Join(t.TempDir(), "tandem.yaml")
	yaml := fmt.Sprintf(`listen: [udp://%[1]s:5060, tcp://%[1]s:5060]
access: {relay_from: [%[2]s]}
routes:
  - {match: {domain: nobody.example}, to: "sip:%[1]s:9;transport=tcp"}
  - {to: "sip:%[3]s:5060;transport=tcp"}
`, at, agent.Addr(), far.Addr())
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Log.Level = slog.LevelDebug
	log, level := &logged{}, new(slog.LevelVar)
	n, _ := begin(t, cfg, node.Options{Logger: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: level})), Level: level})
	asks := func(uri string, status int) string {
		conn := agent.Dial(sipaddr.UDP, n.Listening()[0].Addr)
		r := conn.SendRequest(conn.Request(sip.MethodMessage, uri))
		agent.ExpectResponse(status)
		return r.CallID
	}
	first, second := asks("sip:bob@other.example", 200), asks("sip:bob@other.example", 200)
	asks("sip:bob@nobody.example", 500)
	list := log.decisions(t)
	if len(list) != 3 {
		t.Fatalf("%d lines: %v", len(list), list)
	}
	for i, want := range []struct{ msg, callID, action string }{{"request sent", first, "dial"}, {"request sent", second, "reuse"}, {"request not sent", "", "dial"}} {
		m := list[i]
		d, ok := m["decision"].(map[string]any)
		if !ok || m["msg"] != want.msg || i < 2 && m["call_id"] != want.callID || d["action"] != want.action || d["reason"] != "not_tls" || i < 2 && d["connection"] != 1.0 {
			t.Errorf("line %d: %v, want %+v", i, m, want)
		}
	}
	level.Set(slog.LevelInfo)
	asks("sip:bob@other.example", 200)
	if n := len(log.decisions(t)); n != 3 {
		t.Errorf("%d lines at another level", n)
	}
}
