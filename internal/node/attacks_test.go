package node_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// attack is one entry of framing/testdata/own-attacks/cases.json, or of the same form.
type attack struct {
	ID     string `json:"id"`
	Class  string `json:"cls"`
	File   string `json:"file"`
	Feed   string `json:"feed"`
	Expect struct {
		Status []int    `json:"status"`
		Fwd    []string `json:"fwd"`
		Never  []string `json:"never"`
		Conn   string   `json:"conn"`
		Mode   string   `json:"fwd_mode"`
	} `json:"expect"`

	stream string
}

const ownAttacks = "../../framing/testdata/own-attacks"

// readAttacks reads the cases, and makes those streams that are too large to keep.
func readAttacks(t *testing.T) (cases []attack) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(ownAttacks, "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	for i := range cases {
		c := &cases[i]
		if make := largeStreams[c.ID]; make != nil {
			c.stream = make()
			continue
		}
		b, err := os.ReadFile(filepath.Join(ownAttacks, c.File))
		if err != nil {
			t.Fatal(err)
		}
		c.stream = string(b)
	}
	return cases
}

// request writes a request of the attackers. Empty lines are left out.
func request(method, uri, id string, lines ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/TLS a.example.com:5061;branch=z9hG4bK-%s\r\n", method, uri, id)
	fmt.Fprintf(&b, "Max-Forwards: 70\r\nFrom: <sip:att@a.example.com>;tag=t%s\r\nTo: <sip:uas@b.example.net>\r\n", id)
	fmt.Fprintf(&b, "Call-ID: %s\r\nCSeq: 1 %s\r\n", id, method)
	for _, l := range lines {
		b.WriteString(l + "\r\n")
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	return b.String()
}

// repeated joins n texts.
func repeated(n int, text func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(text(i))
	}
	return b.String()
}

const toB = "sip:uas@b.example.net"

// largeStreams makes the streams of cases.json that are not in testdata, for their size.
var largeStreams = map[string]func() string{
	"fr-073-endless-start-line":  func() string { return strings.Repeat("M", 2000000) },
	"fr-074-endless-header-line": func() string { return "MESSAGE sip:uas@b.example.net SIP/2.0\r\nX: " + strings.Repeat("a", 2000000) },
	"fr-075-20k-headers": func() string {
		lines := repeated(20000, func(i int) string { return fmt.Sprintf("X-%d: y\r\n", i) })
		return strings.Replace(request(sip.MethodMessage, toB, "fr075"), "Via", lines+"Via", 1)
	},
	"fr-076-10k-vias": func() string {
		vias := repeated(10000, func(i int) string { return fmt.Sprintf("Via: SIP/2.0/UDP h%d.example.org;branch=z9hG4bK%d\r\n", i, i) })
		return strings.Replace(request(sip.MethodMessage, toB, "fr076"), "Max-Forwards", vias+"Max-Forwards", 1)
	},
	"fl-001-invite-cancel-rapid": func() string {
		return repeated(3000, func(i int) string {
			id := fmt.Sprintf("fl%d", i)
			return request(sip.MethodInvite, toB, id) + request(sip.MethodCancel, toB, id)
		})
	},
	"fl-004-never-read": func() string {
		return repeated(20000, func(i int) string { return request(sip.MethodOptions, "sip:p.example.org", fmt.Sprintf("nr%d", i)) })
	},
	"fl-006-ack-flood": func() string {
		return repeated(5000, func(i int) string { return request(sip.MethodAck, toB, fmt.Sprintf("ak%d", i)) })
	},
}

// TestOwnAttacks feeds the hostile streams to a running proxy: over TLS as cases.json says, from a peer; over
// TCP from a stranger, for a domain that is served; and the first message of each over UDP.
func TestOwnAttacks(t *testing.T) {
	cases := readAttacks(t)
	excepted := exceptions(t)
	for _, tt := range []struct {
		tr   sipaddr.Transport
		kind sceneKind
	}{{sipaddr.TLS, sceneKind{}}, {sipaddr.TCP, sceneKind{plain: true}}} {
		t.Run(tt.tr.String(), func(t *testing.T) {
			s := newScene(t, tt.kind)
			for _, c := range cases {
				if c.Class == "flood" && len(c.stream) > 1<<20 {
					continue // TestFloods has them
				}
				t.Run(c.ID, func(t *testing.T) { s.strike(t, tt.tr, c, excepted[c.ID]) })
			}
			s.ends(t)
		})
	}
	t.Run("UDP", func(t *testing.T) {
		s := newScene(t, sceneKind{plain: true})
		for _, c := range cases {
			if len(c.stream) < 60000 {
				t.Run(c.ID, func(t *testing.T) { s.datagram(t, c, excepted[c.ID]) })
			}
		}
		s.ends(t)
	})
}

// strike feeds one stream and compares what becomes of it with the verdict.
func (s *scene) strike(t *testing.T, tr sipaddr.Transport, c attack, exception string) {
	mark := s.b.count()
	attacker := s.attacker(t)
	conn := attacker.Dial(tr, s.p.at(tr))
	s.feed(t, c, conn)
	if strings.Contains(c.Feed, "never-read") {
		conn.Resume()
	}
	open := false
	if c.Expect.Conn == "close" {
		within(t, 10*time.Second, "the proxy closes the connection", conn.Closed)
	} else {
		open = s.passes(t, attacker, conn, sip.MethodMessage, toB)
	}
	if c.Expect.Conn == "open" && !open {
		t.Error("the connection was closed")
	}
	if c.Expect.Mode == "exact" {
		eventually(t, fmt.Sprintf("what comes out is %q", c.Expect.Fwd), func() bool { return len(s.b.since(mark)) >= len(c.Expect.Fwd) })
	}
	s.settled(t)
	if open {
		// What was decided before the answer to this probe was sent before it.
		s.passes(t, attacker, conn, sip.MethodOptions, "sip:p.example.org")
	}
	s.judge(t, c, mark, attacker, exception)
	attacker.Close()
	if tr == sipaddr.TLS {
		s.gone(t)
	}
	s.lives(t, tr)
}

// datagram sends a stream as one datagram. The verdict is that of the stream as far as both can agree.
func (s *scene) datagram(t *testing.T, c attack, exception string) {
	mark := s.b.count()
	attacker := s.attacker(t)
	attacker.Listen(sipaddr.UDP, 5061) // as the Via says
	conn := attacker.Dial(sipaddr.UDP, s.p.at(sipaddr.UDP))
	conn.Send(c.stream)
	if !s.passes(t, attacker, conn, sip.MethodOptions, "sip:p.example.org") {
		t.Error("the probe was not answered with 200")
	}
	s.settled(t)
	for _, got := range s.b.since(mark) {
		if !slices.Contains(c.Expect.Fwd, got.CallID()) && !strings.HasPrefix(exception, "UDP: ") {
			t.Errorf("%s came out", got.CallID())
		}
		for _, never := range c.Expect.Never {
			if strings.Contains(got.Text, never) {
				t.Errorf("%q came out", never)
			}
		}
	}
	s.lives(t, sipaddr.UDP)
}

// feed sends a stream in the way that the case asks for. That the proxy may close the connection meanwhile
// is no error.
func (s *scene) feed(t *testing.T, c attack, conn *siptest.Conn) {
	t.Helper()
	send := func(text string) bool { return conn.TrySend(text) == nil }
	switch c.Feed {
	case "all", "all,stall":
		send(c.stream)
	case "all,fin":
		send(c.stream)
		conn.CloseWrite()
	case "1byte", "tls-records:1byte":
		for i := range len(c.stream) {
			if !send(c.stream[i : i+1]) {
				return
			}
		}
	case "split:body+10,then rest":
		head := strings.Index(c.stream, "\r\n\r\n") + 4
		body := len(requestsOf(c.stream)[0])
		_ = send(c.stream[:head]) && send(c.stream[head:body+10]) && send(c.stream[body+10:])
	case "trickle:1byte/2s":
		// A byte now and then, until the time for the header section is over.
		tick := time.NewTicker(40 * time.Millisecond)
		defer tick.Stop()
		for i := 0; i < len(c.stream) && !conn.Closed(); i++ {
			if !send(c.stream[i : i+1]) {
				return
			}
			<-tick.C
		}
	case "all,never-read":
		conn.Stall()
		for rest := c.stream; len(rest) > 0; {
			n := min(len(rest), 64<<10)
			if !send(rest[:n]) {
				return
			}
			rest = rest[n:]
		}
	default:
		t.Fatalf("no way to feed %q", c.Feed)
	}
}

// noSIP are the classes whose streams need not be answered: there may be no first line to tell where to.
var noSIP = []string{"cross-protocol", "start-line"}

// judge compares what came out downstream and upstream with the verdict.
func (s *scene) judge(t *testing.T, c attack, mark int, attacker *siptest.Peer, exception string) {
	t.Helper()
	requests := requestsOf(c.stream)
	var ids []string
	for _, got := range s.b.since(mark) {
		ids = append(ids, got.CallID())
		if got.Err != nil {
			t.Errorf("what came out is no good: %v\n%q", got.Err, got.Text)
		}
		for _, never := range c.Expect.Never {
			if strings.Contains(got.Text, never) {
				t.Errorf("%q came out", never)
			}
		}
		raw, ok := original(requests, got.Message)
		if !ok {
			t.Errorf("this was never sent: %q", got.Text)
			continue
		}
		if got.Method() == sip.MethodCancel {
			continue // each hop makes its own
		}
		for _, change := range changes(raw, got.Text, []string{"p.example.org", s.p.addr.String()}) {
			t.Error(change)
		}
	}
	if bad := s.b.unreadable(); len(bad) > 0 {
		t.Fatalf("this came out: %.1000q", bad[0])
	}
	slices.Sort(ids)
	switch {
	case c.Expect.Mode == "exact":
		want := slices.Sorted(slices.Values(c.Expect.Fwd))
		if !slices.Equal(ids, want) {
			t.Errorf("%q came out, want %q", ids, want)
		}
	default:
		for i, id := range ids {
			if !slices.Contains(c.Expect.Fwd, id) || i > 0 && id == ids[i-1] {
				t.Errorf("%q came out, want of %q each once at most", ids, c.Expect.Fwd)
			}
		}
	}
	rejections := 0
	for _, text := range responses(attacker) {
		status, _ := strconv.Atoi(text[len("SIP/2.0 "):][:3])
		switch {
		case slices.Contains(c.Expect.Status, status):
			rejections++
		case status == 200 && slices.ContainsFunc(ids, func(id string) bool { return strings.Contains(text, "\r\nCall-ID: "+id+"\r\n") }):
		default:
			t.Errorf("answered %d, want of %v:\n%.1000s", status, c.Expect.Status, text)
		}
	}
	if len(c.Expect.Status) > 0 && len(ids) == 0 && rejections == 0 && !slices.Contains(noSIP, c.Class) && !strings.HasPrefix(exception, "silent: ") {
		t.Errorf("not answered, want one of %v", c.Expect.Status)
	}
	for _, r := range attacker.Received() {
		if !strings.HasPrefix(r.Text, "SIP/2.0 ") && strings.Trim(r.Text, "\r\n") != "" {
			t.Errorf("the attacker received %.1000q", r.Text)
		}
	}
}

// responses gives the texts of the final responses to what is no probe, each once. They hold parts of what
// was sent, so that not all are well-formed.
func responses(p *siptest.Peer) (out []string) {
	for _, r := range p.Received() {
		if text := r.Text; len(text) > len("SIP/2.0 200") && strings.HasPrefix(text, "SIP/2.0 ") && text[8] > '1' &&
			!strings.Contains(text, "\r\nCall-ID: probe-") && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}
