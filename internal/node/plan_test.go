package node_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/siptest"
)

// TestThousandPeers measures what a configured peer takes while nobody has come from it.
func TestThousandPeers(t *testing.T) {
	if !alone(t) {
		return
	}
	const peers = 1000
	var y strings.Builder
	fmt.Fprintf(&y, "listen: [udp://%s:5060]\npeers:\n", siptest.Loopback(t))
	for i := range peers {
		fmt.Fprintf(&y, "  - {name: peer-%[1]d, identities: [peer-%[1]d.example, sip.peer-%[1]d.example], addresses: [10.1.%[2]d.%[3]d], reference_identity: peer-%[1]d.example}\n", i, i/250, i%250)
	}
	file := filepath.Join(t.TempDir(), "tandem.yaml")
	if err := os.WriteFile(file, []byte(y.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	before := heap()
	n := loaded(t, file)
	siptest.Plan(t, "peer", (heap()-before)/peers)
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

// alone runs the test again in a process of its own, where no other test's memory comes and goes, and reports whether
// this is that process.
func alone(t *testing.T) bool {
	t.Helper()
	const mark = "TANDEM_ALONE"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
	cmd.Env = append(os.Environ(), mark+"="+t.Name())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}
