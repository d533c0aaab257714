//go:build interop

package interop

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// traced is a proxy between an agent on UDP and a peer over TLS.
type traced struct {
	t          *testing.T
	dir        string
	proxy      *process
	agent, far *siptest.Peer
	udp        string // its listen address
}

// startTraced runs one whose configuration ends with more.
func startTraced(t *testing.T, more string) *traced {
	t.Helper()
	s := &traced{t: t, dir: t.TempDir()}
	ca, at := siptest.NewCA(t), siptest.Loopback(t)
	s.agent = siptest.NewPeer(t, siptest.PeerConfig{Name: "agent", Handle: siptest.AnswerAll})
	s.agent.Listen(sipaddr.UDP, 5060)
	s.far = siptest.NewPeer(t, siptest.PeerConfig{Name: "far", Cert: ca.Domain(t, "partner.example"), Handle: siptest.AnswerAll})
	s.far.Listen(sipaddr.TLS, 5061)
	certFile, keyFile := ca.Domain(t, "example.com").WriteFiles(t)
	config := filepath.Join(s.dir, "tandem.yaml")
	text := fmt.Sprintf(`listen: [udp://%[1]s:5060, tls://%[1]s:5061]
admin: %[1]s:8060
trust: {ca: [%[2]s]}
domains: [{name: example.com, certificate: %[3]s, key: %[4]s}]
access: {relay_from: [%[5]s]}
peers: [{name: partner, identities: [partner.example], addresses: [%[6]s], reference_identity: partner.example}]
routes: [{to: "sip:%[6]s:5061;transport=tls"}]
%[7]s`, at, ca.WriteFile(t), certFile, keyFile, s.agent.Addr(), s.far.Addr(), more)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.udp = at.String()
	s.proxy = start(t, "tandem", s.dir, binary(t), "serve", "--config", config)
	s.says(s.proxy, "msg=serving", 1)
	return s
}

// says waits until a program has written a text so many times.
func (s *traced) says(p *process, text string, times int) {
	s.t.Helper()
	deadline, tick := time.NewTimer(20*time.Second), time.NewTicker(20*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for {
		if log, err := os.ReadFile(p.log); err == nil && bytes.Count(log, []byte(text)) >= times {
			return
		}
		select {
		case <-tick.C:
		case <-p.ended:
			s.t.Fatalf("%s ended before it said %q: %v", p.name, text, p.err)
		case <-deadline.C:
			s.t.Fatalf("%s does not say %q", p.name, text)
		}
	}
}

// asks sends a MESSAGE with a body of so many bytes to the peer, and returns its Call-ID when it was answered.
func (s *traced) asks(size int) string {
	s.t.Helper()
	conn := s.agent.Dial(sipaddr.UDP, netip.MustParseAddrPort(s.udp+":5060"))
	r := conn.Request(sip.MethodMessage, "sip:bob@partner.example")
	r.Body = strings.Repeat("x", size)
	conn.SendRequest(r)
	s.agent.Expect("the final answer", func(x *siptest.Received) bool {
		return x.Message != nil && !x.IsRequest() && x.CallID() == r.CallID && x.StatusCode() == 200
	})
	return r.CallID
}

// output runs a program to its end.
func (s *traced) output(name string, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = s.dir
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s%s", name, err, out, errs.Bytes())
	}
	return string(out)
}

// TestCapture: tshark and sngrep read the capture of `tandem trace --pcap`: what went over TLS, and messages that are
// larger than a packet of the network.
func TestCapture(t *testing.T) {
	s := startTraced(t, "")
	follow := start(t, "trace", s.dir, binary(t), "trace", "--admin", s.udp+":8060", "--pcap", "all.pcapng")
	s.says(follow, "following", 1)
	var ids []string
	for _, size := range []int{0, 100, 3000, 50_000, 1} {
		ids = append(ids, s.asks(size))
	}
	s.says(follow, "200 OK", 2*len(ids)) // what it has drawn it has written
	follow.stop()

	checks := []string{"-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE"}
	fields := strings.Fields("-T fields -e sip.Call-ID -e sip.Method -e sip.Status-Code -e udp.dstport -e tcp.srcport -e tcp.dstport -e frame.comment")
	text := s.output("tshark", append(append([]string{"-r", "all.pcapng", "-Y", "sip"}, checks...), fields...)...)
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != 4*len(ids) {
		t.Fatalf("tshark finds %d messages, want %d:\n%s", len(lines), 4*len(ids), text)
	}
	for _, id := range ids {
		if n := strings.Count(text, id+"\t"); n != 4 {
			t.Errorf("tshark finds %d messages of %s:\n%s", n, id, text)
		}
	}
	for _, want := range []string{"sent tls 1, dial: no_row", "sent tls 1, reuse", "\t5061\tsent"} {
		if !strings.Contains(text, want) {
			t.Errorf("tshark finds no %q:\n%s", want, text)
		}
	}
	bad := "_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0 || tcp.checksum.status == 0 || tcp.analysis.lost_segment || tcp.analysis.retransmission || tcp.analysis.ack_lost_segment"
	if text := s.output("tshark", append([]string{"-r", "all.pcapng", "-Y", bad}, checks...)...); text != "" {
		t.Errorf("tshark finds fault with\n%s", text)
	}
	// sngrep leaves out what is larger than 20 KB, so it does not see one of the calls.
	if text := s.output("sngrep", "-N", "-I", "all.pcapng", "-O", "seen.pcap"); !strings.HasSuffix(strings.TrimSpace(text), fmt.Sprintf("Dialog count: %d", len(ids)-1)) {
		t.Errorf("sngrep finds %q, want %d dialogs", text, len(ids)-1)
	}
	if text := s.output("tshark", "-r", "seen.pcap", "-Y", "sip.CSeq.method == MESSAGE && tcp"); strings.Count(text, "\n") != 2*(len(ids)-1) {
		t.Errorf("of what went over TLS sngrep has seen\n%s", text)
	}
}

// TestHEP: sngrep takes what the proxy sends to a collector.
func TestHEP(t *testing.T) {
	const collector = "127.0.0.1:19060"
	listener := start(t, "sngrep", t.TempDir(), "sngrep", "-N", "-L", "udp:"+collector, "-O", "seen.pcap")
	listener.awaitListening(t, "udp", netip.MustParseAddrPort(collector))
	s := startTraced(t, "trace: {hep: {collector: \""+collector+"\", node: 7, name: p1}}\n")
	s.asks(10)
	s.asks(1000)
	s.says(listener, "Dialog count: 2", 1)
	s.listenerSaw(filepath.Join(filepath.Dir(listener.log), "seen.pcap"), 8)
}

// listenerSaw waits until a capture has so many messages.
func (s *traced) listenerSaw(file string, messages int) {
	s.t.Helper()
	deadline, tick := time.NewTimer(20*time.Second), time.NewTicker(100*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for {
		text := s.output("tshark", "-r", file, "-Y", "sip")
		if strings.Count(text, "\n") == messages {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			s.t.Fatalf("sngrep saw %s", text)
		}
	}
}
