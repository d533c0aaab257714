//go:build unix

package handover

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSeveralSockets: a listener with several sockets is handed over to a process that says that it reads all of them, and
// to no other.
func TestSeveralSockets(t *testing.T) {
	for _, x := range []struct {
		name, says string
		sockets    int
		want       string
	}{
		{"several", `{"step":"ready","all":true}`, 2, ""},
		{"one", `{"step":"ready"}`, 1, ""},
		{"several, and an old version", `{"step":"ready"}`, 2, "restart in its place"},
	} {
		t.Run(x.name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "program")
			if err := os.WriteFile(program, []byte("#!/bin/sh\necho '"+x.says+"' >&3\nread x <&3\nread x <&3\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			sockets := []Socket{{"tcp 127.0.0.1:5060", 0}}
			for range x.sockets {
				sockets = append(sockets, Socket{"udp 127.0.0.1:5060", 0})
			}
			s, err := Start(program, sockets, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Kill()
			err = s.Ready(t.Context())
			if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
				t.Errorf("error %v, want %q", err, x.want)
			}
		})
	}
}
