//go:build interop

package interop

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// callsEach is how many calls a pair of agents makes of one shape, and callRate how many a second.
const (
	callsEach = 10
	callRate  = 20
)

// agents are the two SIPp processes of one shape of call in one direction.
type agents struct {
	callerTransport, calleeTransport string // udp or tcp
	caller, callee                   netip.AddrPort
	callerURI, calleeURI             string // without the scheme
	proxy                            netip.AddrPort
}

// play makes the calls of one shape and checks what SIPp says of them at both ends.
func (a agents) play(t *testing.T, c call) {
	t.Helper()
	dir := t.TempDir()
	callee := a.sipp(t, dir, "callee", c.callee, a.calleeTransport, a.callee)
	protocol := a.calleeTransport
	callee.awaitListening(t, protocol, a.callee)
	caller := a.sipp(t, dir, "caller", c.caller, a.callerTransport, a.caller, a.proxy.String(), "-r", strconv.Itoa(callRate))
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for _, p := range []*process{caller, callee} {
		if err := p.wait(ctx); err != nil {
			t.Error(err)
		}
		if ok, failed := statistics(t, dir, p.name); ok != callsEach || failed != 0 {
			t.Errorf("%s: %d of %d calls were good, %d failed", p.name, ok, callsEach, failed)
		}
	}
	if t.Failed() {
		for _, name := range []string{"caller", "callee"} {
			if text, err := os.ReadFile(filepath.Join(dir, name+".errors")); err == nil {
				t.Logf("errors of the %s:\n%s", name, text[:min(len(text), 6000)])
			}
		}
	}
}

// sipp starts one SIPp that plays a scenario and ends by itself after all its calls.
func (a agents) sipp(t *testing.T, dir, name string, s scenario, transport string, local netip.AddrPort, more ...string) *process {
	t.Helper()
	file := filepath.Join(dir, name+".xml")
	if err := os.WriteFile(file, []byte(s.xml()), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append(more, "-sf", file, "-i", local.Addr().String(), "-p", strconv.Itoa(int(local.Port())),
		"-t", transport[:1]+"1", "-m", strconv.Itoa(callsEach), "-key", "caller", a.callerURI, "-key", "callee", a.calleeURI,
		"-nostdin", "-timeout", "40", "-timeout_error", "-trace_stat", "-fd", "1", "-stf", name+".csv", "-trace_err", "-error_file", name+".errors")
	return start(t, name, dir, "sipp", args...)
}

// statistics reads how many calls were good and how many failed from the last line that SIPp wrote.
func statistics(t *testing.T, dir, name string) (ok, failed int) {
	t.Helper()
	file, err := os.Open(filepath.Join(dir, name+".csv"))
	if err != nil {
		t.Error(err)
		return 0, 0
	}
	defer file.Close()
	reader := csv.NewReader(file)
	reader.Comma, reader.FieldsPerRecord = ';', -1
	rows, err := reader.ReadAll()
	if err != nil || len(rows) < 2 {
		t.Errorf("%s: no statistics: %v", name, err)
		return 0, 0
	}
	column := func(title string) int {
		for i, head := range rows[0] {
			if head == title && i < len(rows[len(rows)-1]) {
				n, err := strconv.Atoi(rows[len(rows)-1][i])
				if err != nil {
					t.Errorf("%s: %s: %v", name, title, err)
				}
				return n
			}
		}
		t.Errorf("%s: SIPp has no column %s", name, title)
		return 0
	}
	return column("SuccessfulCall(C)"), column("FailedCall(C)")
}

// String names the transports for a subtest.
func (a agents) String() string {
	return strings.ToUpper(fmt.Sprintf("%s to %s", a.callerTransport, a.calleeTransport))
}
