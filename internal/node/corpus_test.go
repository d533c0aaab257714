package node_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// verdict is an entry of an expected.json.
type verdict struct {
	Verdict string `json:"verdict"`
	Codes   []int  `json:"codes"`
}

// exceptions reads the lines of testdata/exceptions.txt: a name and a reason.
func exceptions(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile("testdata/exceptions.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		if name, reason, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			all[name] = strings.TrimSpace(reason)
		}
	}
	return all
}

// corpusMessage reads a message of a corpus and mends what is wrong with the file, if the exceptions say so.
func corpusMessage(t *testing.T, dir, name, defect string) string {
	t.Helper()
	file := filepath.Join("../../sip/testdata", dir, name)
	if dir == "rfc4475" {
		file += ".dat"
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	raw := string(b)
	if dir == "rfc5118" {
		raw = strings.ReplaceAll(raw, "\n", "\r\n") // the files are text
	}
	switch {
	case strings.HasPrefix(defect, "ends without"):
		raw += "\r\n"
	case strings.HasPrefix(defect, "Content-Length"):
		_, body, _ := strings.Cut(raw, "\r\n\r\n")
		_, tail, _ := strings.Cut(raw, "Content-Length: ")
		old, _, _ := strings.Cut(tail, "\r\n")
		raw = strings.Replace(raw, "Content-Length: "+old, "Content-Length: "+strconv.Itoa(len(body)), 1)
	}
	return raw
}

// torture is a proxy for the messages of the corpora: the sender may relay, and b.example.net's recorder is
// where everything goes that does not say otherwise.
type torture struct {
	*scene
	strict *recorder // the strict router that mpart01 names, nil when its port is taken
}

func newTorture(t *testing.T, served bool) *torture {
	t.Helper()
	s := &scene{bench: newBench(t), from: siptest.Loopback(t)}
	s.b = newRecorder(t, false, s.ca.Domain(t, "b.example.net"))
	s.bystander = siptest.NewPeer(t, siptest.PeerConfig{Name: "bystander"})
	s.cert = s.ca.Domain(t, "a.example.com")
	s.record("services.example.com. 60 IN A " + s.b.Addr().String()) // the Route of wsinv
	certFile, keyFile := s.ca.Domain(t, "p.example.org").WriteFiles(t)
	y := fmt.Sprintf("listen: [udp://%[1]s:5060, tcp://%[1]s:5060, tls://%[1]s:5061]\n", siptest.Loopback(t))
	y += fmt.Sprintf("dns: [%s]\ntrust: {ca: [%s]}\n", s.dns.Addr(), s.ca.WriteFile(t))
	y += fmt.Sprintf("domains:\n  - {name: p.example.org, certificate: %s, key: %s}\n", certFile, keyFile)
	if served {
		y += "  - {name: example.com}\n  - {name: example.net}\n"
	}
	y += fmt.Sprintf("access: {relay_from: [%s]}\n", s.from)
	y += "routes:\n"
	for _, domain := range []string{"example.com", "example.net"} {
		y += fmt.Sprintf("  - {match: {domain: %s}, to: \"sip:%s:5060;transport=tcp\"}\n", domain, s.b.Addr())
	}
	y += fmt.Sprintf("  - {to: \"sip:%s:5060;transport=tcp\"}\n", s.b.Addr())
	y += "timers: {t1: 20ms, t2: 200ms, t4: 200ms, header_read: 300ms, body_read: 300ms, drain: 0s}\n"
	s.p = s.run(y)
	s.p.addr = s.p.Listening()[0].Addr.Addr()
	return &torture{scene: s}
}

// sender is where the messages come from. Over UDP it listens on the ports that their Vias name.
func (s *torture) sender(t *testing.T) *siptest.Peer {
	p := siptest.NewPeer(t, siptest.PeerConfig{Name: "sender", Addr: s.from, Cert: s.cert})
	for _, port := range []uint16{5060, 5050, 6050, 19823} {
		p.Listen(sipaddr.UDP, port)
	}
	return p
}

// TestCorpus sends the messages of RFC 4475 and RFC 5118 through a running proxy, over each transport, with
// and without the domains in them being served.
func TestCorpus(t *testing.T) {
	t.Parallel()
	excepted := exceptions(t)
	for _, served := range []bool{false, true} {
		for _, tr := range []sipaddr.Transport{sipaddr.UDP, sipaddr.TCP, sipaddr.TLS} {
			t.Run(fmt.Sprintf("%v/served=%v", tr, served), func(t *testing.T) {
				t.Parallel()
				s := newTorture(t, served)
				branches := make(map[string]bool)
				for _, dir := range []string{"rfc4475", "rfc5118"} {
					b, err := os.ReadFile(filepath.Join("../../sip/testdata", dir, "expected.json"))
					if err != nil {
						t.Fatal(err)
					}
					var expected map[string]verdict
					if err := json.Unmarshal(b, &expected); err != nil {
						t.Fatal(err)
					}
					for name, want := range expected {
						t.Run(name, func(t *testing.T) {
							raw := corpusMessage(t, dir, name, excepted[name])
							if b := notedVia.FindString(raw); tr == sipaddr.UDP && b != "" && branches[b] {
								// Several have the same branch and sent-by. One must not be taken for another sent again.
								s.forgets(t)
							} else {
								branches[b] = true
							}
							s.message(t, tr, name, raw, want, excepted)
						})
					}
				}
				s.forgets(t)
			})
		}
	}
}

// notedVia is the first Via of a message.
var notedVia = regexp.MustCompile(`(?m)^Via: *SIP.*$`)

// message sends one message and compares what becomes of it with the verdict.
func (s *torture) message(t *testing.T, tr sipaddr.Transport, name, raw string, want verdict, excepted map[string]string) {
	stream := tr != sipaddr.UDP
	if strings.HasPrefix(excepted[name], "TLS: refused") && tr == sipaddr.TLS {
		want.Verdict, want.Codes = "reject", []int{403}
	}
	s.strictRouter(t, name, &raw)
	mark := s.b.count()
	before := s.p.Stats()
	sender := s.sender(t)
	conn := sender.Dial(tr, s.p.at(tr))
	if strings.HasPrefix(excepted[name], "stream: it ends") && stream {
		raw += "\r\n"
	}
	conn.Send(raw)

	// A stream that is out of step is closed; that it was is the sign that everything has been read.
	closes := stream && slices.Contains([]string{"clerr", "ncl", "mcl01", "inv2543", "test", "dblreq"}, name)
	if closes {
		_ = conn.ExpectClosed()
	} else if !s.passes(t, sender, conn, sip.MethodOptions, "sip:p.example.org") {
		t.Errorf("the connection did not stay open")
	}
	s.settled(t)
	if stream {
		eventually(t, "the answers have come", func() bool { return len(finals(sender)) > 0 || want.Verdict == "drop" || closes })
	}
	var statuses []int
	rejected := func() bool {
		statuses = nil
		for _, r := range finals(sender) {
			statuses = append(statuses, r.StatusCode())
		}
		return len(statuses) == 1 && slices.Contains(want.Codes, statuses[0])
	}
	out := s.b.since(mark)
	if s.strict != nil {
		out = append(out, s.strict.since(0)...)
	}
	requests := []string{raw}
	if stream {
		requests = requestsOf(raw)
	}
	if len(out) == 0 && want.Verdict == "forward_or_reject" || want.Verdict == "reject" && !closes && name != "test" {
		eventually(t, fmt.Sprintf("an answer with one of %v", want.Codes), rejected)
	}
	wantOut := 0
	switch want.Verdict {
	case "forward":
		wantOut = 1
	case "forward_or_reject":
		wantOut = 1
		if rejected() {
			wantOut = 0
		}
	case "reject":
		if answerless := name == "test" || name == "clerr" && stream; !rejected() && !answerless || answerless && len(statuses) > 0 {
			t.Errorf("answered %v, want one of %v", statuses, want.Codes)
		}
	}
	if name == "dblreq" && stream {
		wantOut = 2
		eventually(t, "both requests come out", func() bool { out = s.b.since(mark); return len(out) >= 2 })
	} else if wantOut > 0 {
		eventually(t, "every forwarded request has its answer", func() bool { return len(finals(sender)) == wantOut })
	} else if want.Verdict == "drop" && len(finals(sender)) > 0 {
		t.Errorf("answered %q", finals(sender)[0].Text)
	}
	if len(out) != wantOut {
		t.Errorf("%d requests came out, want %d: %v", len(out), wantOut, out)
	}
	for _, got := range out {
		if got.Err != nil {
			t.Errorf("what came out is no good: %v\n%q", got.Err, got.Text)
		}
		raw, ok := original(requests, got.Message)
		if !ok {
			t.Errorf("this was never sent: %q", got.Text)
			continue
		}
		for _, c := range changes(raw, got.Text, []string{"p.example.org", s.p.addr.String()}) {
			t.Error(c)
		}
		s.must(t, name, stream, got)
	}
	if name == "bcast" {
		// Nothing was sent but the answer to the probe, so nothing to 255.255.255.255.
		after := s.p.Stats()
		if n := after.Transport.DatagramsOut - before.Transport.DatagramsOut; n > 1 {
			t.Errorf("%d datagrams were sent", n)
		}
		if n := after.Transport.Dialed + after.Transport.DialsFailed - before.Transport.Dialed - before.Transport.DialsFailed; n > 0 {
			t.Errorf("%d connections were dialed", n)
		}
	}
	if name == "bext01" {
		// Of two headers that ask for extensions a proxy looks at one: RFC 3261, Section 16.3 item 5.
		if v, _ := finals(sender)[0].Value(sip.FieldUnsupported); v != "noProxiesSupportThis, norDoAnyProxiesSupportThis" {
			t.Errorf("Unsupported: %q", v)
		}
	}
	if st := s.p.Stats(); st.Transport.Panics > 0 {
		t.Errorf("%d panics", st.Transport.Panics)
	}
}

// must checks what expected.json remarks beyond the verdict, where the comparison of all lines does not.
func (s *torture) must(t *testing.T, name string, stream bool, got *siptest.Received) {
	t.Helper()
	switch name {
	case "dblreq":
		if got.Method() == sip.MethodInvite && !stream {
			t.Error("octets behind the body came out as an INVITE")
		}
	case "mpart01":
		if !strings.Contains(got.Body(), "\x00") {
			t.Error("the body has lost its NUL")
		}
	case "via-received-param-with-delim":
		via, err := got.TopVia()
		if err != nil || strings.Contains(via.Params, "received") {
			t.Errorf("our Via has %q (%v)", via.Params, err)
		}
		for v := range got.Values(sip.FieldVia) {
			if strings.Contains(v, "received=[") {
				t.Errorf("received has brackets: %q", v)
			}
		}
	case "port-ambiguous":
		if u, err := got.URI(); err != nil || u.Port != 0 || u.Host != "[2001:db8::10:5070]" {
			t.Errorf("the Request-URI has host %q and port %d", u.Host, u.Port)
		}
	case "port-unambiguous":
		if u, err := got.URI(); err != nil || u.Port != 5070 {
			t.Errorf("the Request-URI has port %d", u.Port)
		}
	case "semiuri":
		if u, err := got.URI(); err != nil || u.User != "user;par=u%40example.net" {
			t.Errorf("the Request-URI has user %q", u.User)
		}
	case "inv2543":
		if v, _ := got.Value(sip.FieldMaxForwards); v != "70" {
			t.Errorf("Max-Forwards: %s", v)
		}
	}
}

// strictPort is held by the test that listens on 127.0.0.1:5080.
var strictPort sync.Mutex

// strictRouter stands where mpart01's Route leads, 127.0.0.1:5080. When the port is taken, the Route is made
// to lead to an address of the test's own.
func (s *torture) strictRouter(t *testing.T, name string, raw *string) {
	t.Helper()
	s.strict = nil
	if name != "mpart01" {
		return
	}
	strictPort.Lock()
	t.Cleanup(strictPort.Unlock)
	at := netip.MustParseAddrPort("127.0.0.1:5080")
	l, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		at = netip.AddrPortFrom(siptest.Loopback(t), 5080)
		*raw = strings.Replace(*raw, "127.0.0.1:5080", at.String(), 1)
	} else {
		_ = l.Close()
	}
	s.strict = &recorder{ringing: make(map[string]*siptest.Received)}
	s.strict.Peer = siptest.NewPeer(t, siptest.PeerConfig{Name: "strict router", Addr: at.Addr(), Handle: s.strict.handle})
	s.strict.Listen(sipaddr.UDP, at.Port())
}

// finals gives the final responses that a peer received to what is no probe, each once.
func finals(p *siptest.Peer) (out []*siptest.Received) {
	seen := make(map[string]bool)
	for _, r := range p.Received() {
		if r.Message == nil || r.IsRequest() || r.StatusCode() < 200 || isProbe(r.CallID()) || seen[r.Text] {
			continue
		}
		seen[r.Text] = true
		out = append(out, r)
	}
	return out
}
