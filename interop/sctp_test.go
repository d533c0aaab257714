//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/sctp"
)

// The tests of this file need a kernel that speaks SCTP: .ci/kernel/run has one.

// needKernel skips a test where there is none.
func needKernel(t *testing.T) {
	t.Helper()
	if !sctp.KernelSpeaks() {
		t.Skip("this kernel has no SCTP; .ci/kernel/run runs this test in one that has")
	}
}

// TestKernelKamailio places calls of every shape, both ways, over SCTP. Neither proxy sends requests over an
// association that the other opened: RFC 5923, Section 9.3.
func TestKernelKamailio(t *testing.T) {
	needKernel(t)
	t.Parallel()
	udp := [][2]string{{"udp", "udp"}}
	trunk{tandem{}, kamailio{}, udp, "sctp", 1, 1}.run(t, 7)
}

// TestKernelLab runs the lab as an operator would, over both transports.
//
// It runs alone and at a lower rate, because this Linux is slow, and a proxy that can't keep up refuses calls.
func TestKernelLab(t *testing.T) {
	needKernel(t)
	for _, test := range []struct {
		transport                         string
		associations, handshakes, aliases int
		dialed                            [2]int // forward and backward
	}{{"tls-sctp", 1, 1, 2, [2]int{1, 0}}, {"sctp", 2, 0, 0, [2]int{1, 1}}} {
		t.Run(test.transport, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), binary(t), "lab", "--once", "--json", "--calls", "50", "--rate", "20", "--transport", test.transport).Output()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			type direction struct{ Calls, Failed, Answered, Dialed int }
			var r struct {
				Forward, Backward                    direction
				Transport, SCTP                      string
				Associations, Handshakes, Unexpected int
				Aliases                              []struct{ Transport string }
			}
			if err := json.Unmarshal(out, &r); err != nil {
				t.Fatal(err)
			}
			if want := (direction{50, 0, 50, test.dialed[0]}); r.Forward != want {
				t.Errorf("forward: %+v, want %+v", r.Forward, want)
			}
			if want := (direction{50, 0, 50, test.dialed[1]}); r.Backward != want {
				t.Errorf("backward: %+v, want %+v", r.Backward, want)
			}
			if r.SCTP != "kernel" || r.Associations != test.associations || r.Handshakes != test.handshakes || r.Unexpected != 0 || len(r.Aliases) != test.aliases {
				t.Errorf("got %s", out)
			}
			for _, a := range r.Aliases {
				if want := strings.ToUpper(test.transport); a.Transport != want || r.Transport != want {
					t.Errorf("an alias over %s, and calls over %s", a.Transport, r.Transport)
				}
			}
		})
	}
}

// listensForAssociations tells whether the kernel takes associations to an address.
func listensForAssociations(t *testing.T, addr netip.AddrPort) bool {
	t.Helper()
	for _, fields := range associationTable(t, "eps") { // ENDPT SOCK STY SST HBKT LPORT UID INODE LADDRS
		if len(fields) > 8 && fields[5] == strconv.Itoa(int(addr.Port())) && slices.Contains(fields[8:], addr.Addr().String()) {
			return true
		}
	}
	return false
}

// associations counts the associations between two proxies, by who opened them. Each has two lines in the kernel's
// table. Kamailio opens its own from the port that it listens on, Tandem from one that is free; so between Tandem
// as p1 and Kamailio as p2 the former's have another port at p1.
func associations(t *testing.T, p1, p2 netip.Addr) (byP1, byP2 int) {
	t.Helper()
	for _, fields := range associationTable(t, "assocs") {
		arrow := slices.Index(fields, "<->")
		if arrow < 13 || arrow+1 >= len(fields) {
			continue
		}
		local, remote := fields[arrow-1], strings.TrimPrefix(fields[arrow+1], "*")
		if local != p1.String() || remote != p2.String() {
			continue
		}
		localPort, remotePort := fields[11], fields[12]
		if remotePort != fmt.Sprint(plainPort) {
			t.Errorf("an association to a port that nobody listens on: %v", fields)
		}
		if localPort == fmt.Sprint(plainPort) {
			byP2++
		} else {
			byP1++
		}
	}
	return byP1, byP2
}

// associationTable reads a table of the kernel's about SCTP.
func associationTable(t *testing.T, name string) (lines [][]string) {
	t.Helper()
	text, err := os.ReadFile("/proc/net/sctp/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		lines = append(lines, strings.Fields(line))
	}
	return lines
}
