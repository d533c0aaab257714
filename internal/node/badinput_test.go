package node_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/node"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// outage is a proxy with an agent inside, whose requests go to a next hop that is not as it should be.
type outage struct {
	*bench
	p     *proxy
	alice *siptest.Peer
	there netip.Addr // where next.example is
}

// shortly are the timers of a proxy that is tried with what does not answer.
const shortly = "timers: {dial: 300ms, handshake: 300ms, t1: 50ms, t2: 200ms, t4: 200ms, drain: 0s}\n"

func newOutage(t *testing.T) *outage {
	t.Helper()
	o := &outage{bench: newBench(t), there: siptest.Loopback(t)}
	o.alice = siptest.NewPeer(t, siptest.PeerConfig{Name: "alice"})
	o.alice.Listen(sipaddr.UDP, 5060)
	o.p = o.start(setup{relay: []netip.Addr{o.alice.Addr()}, yaml: shortly})
	o.serve("next.example", "p.next.example", o.there)
	return o
}

// refused sends a few requests at once, and expects that all are refused within a second of the cause, with
// one of the statuses and a Warning that has the words in it.
func (o *outage) refused(uri string, cause time.Duration, statuses []int, words ...string) {
	o.t.Helper()
	begin := time.Now()
	conn := o.alice.Dial(sipaddr.UDP, o.p.at(sipaddr.UDP))
	var sent []*siptest.Request
	for range 5 {
		sent = append(sent, conn.SendRequest(conn.Request(sip.MethodMessage, uri)))
	}
	sent = append(sent, conn.SendRequest(conn.Request(sip.MethodInvite, uri)))
	for _, r := range sent {
		final := o.alice.Expect("a final response", func(got *siptest.Received) bool {
			return got.Message != nil && !got.IsRequest() && got.StatusCode() >= 200 && got.CallID() == r.CallID
		})
		fits := false
		for _, s := range statuses {
			fits = fits || final.StatusCode() == s
		}
		warning, _ := final.Header("Warning")
		if !fits {
			o.t.Errorf("%s got %d (Warning: %s), want one of %d", r.Method, final.StatusCode(), warning, statuses)
		}
		if !strings.HasPrefix(warning, "399 p1.example.com \"") {
			o.t.Errorf("%s: Warning: %q", r.Method, warning)
		}
		for _, w := range words {
			if !strings.Contains(warning, w) {
				o.t.Errorf("%s: the Warning says nothing of %q: %s", r.Method, w, warning)
			}
		}
		if r.Method == sip.MethodInvite {
			conn.SendRequest(r.Ack(final))
		}
	}
	if d := time.Since(begin); d > cause+time.Second {
		o.t.Errorf("answered after %v, want within a second of the cause (%v)", d, cause)
	}
}

// TestUnauthenticatedPeer: a server that does not prove the name gets nothing, and whoever waited for the
// connection is told at once who it was and why.
func TestUnauthenticatedPeer(t *testing.T) {
	t.Parallel()
	hour := time.Hour
	names := func(s siptest.Spec) siptest.Spec {
		s.URIs, s.DNSNames = []string{"sip:next.example"}, []string{"next.example"}
		return s
	}
	for name, tt := range map[string]struct {
		cert  func(*outage) *siptest.Cert
		words []string
	}{
		"wrong name": {func(o *outage) *siptest.Cert { return o.ca.Domain(o.t, "other.example") },
			[]string{"not authenticated as next.example", "other.example"}},
		"unknown authority": {func(o *outage) *siptest.Cert { return siptest.NewCA(o.t).Domain(o.t, "next.example") },
			[]string{"not authenticated as next.example", "leads to no"}},
		"expired": {func(o *outage) *siptest.Cert {
			return o.ca.Issue(o.t, names(siptest.Spec{NotBefore: time.Now().Add(-48 * hour), NotAfter: time.Now().Add(-24 * hour)}))
		}, []string{"not authenticated as next.example", "ended on"}},
		"not yet valid": {func(o *outage) *siptest.Cert {
			return o.ca.Issue(o.t, names(siptest.Spec{NotBefore: time.Now().Add(24 * hour), NotAfter: time.Now().Add(48 * hour)}))
		}, []string{"not authenticated as next.example"}},
		"no name at all": {func(o *outage) *siptest.Cert { return o.ca.Issue(o.t, siptest.Spec{CommonName: "next.example"}) },
			[]string{"not authenticated as next.example", "no SIP identity"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOutage(t)
			server := siptest.NewPeer(t, siptest.PeerConfig{Name: "server", Addr: o.there, Cert: tt.cert(o)})
			server.Listen(sipaddr.TLS, 5061)
			o.refused("sip:bob@next.example", 0, []int{503}, append(tt.words, o.there.String())...)
			server.ExpectSilence(20*time.Millisecond, nil)
			if n := len(o.p.rows()); n != 0 {
				t.Errorf("there are %d rows", n)
			}
		})
	}
}

// TestDeadNextHop: what cannot be reached is told at once, or as soon as the time for it is over, to everybody
// who waited.
func TestDeadNextHop(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		uri      string
		cause    time.Duration
		statuses []int
		word     string
		prepare  func(*outage)
	}{
		"no such name":         {"sip:bob@nowhere.example", 0, []int{404}, "nowhere.example", nil},
		"no address":           {"sip:bob@empty.example", 0, []int{404}, "empty.example", func(o *outage) { o.record("empty.example. 60 IN TXT nothing") }},
		"the DNS fails":        {"sip:bob@broken.example", 0, []int{503, 504, 500}, "broken.example", func(o *outage) { o.dns.SetFaults(siptest.Fault{Name: "broken.example", Rcode: siptest.ServerFailure}) }},
		"the DNS refuses":      {"sip:bob@broken.example", 0, []int{503, 504, 500}, "broken.example", func(o *outage) { o.dns.SetFaults(siptest.Fault{Name: "broken.example", Rcode: siptest.Refused}) }},
		"transport not served": {"sip:bob@next.example;transport=sctp", 0, []int{480, 500, 503}, "next.example", nil},
		"refused":              {"sip:bob@next.example", 0, []int{500, 503}, "refused", nil},
		"refused over TCP": {"sip:bob@next.example;transport=tcp", 0, []int{500, 503}, "refused", func(o *outage) {
			o.record("p.next.example. 60 IN A "+o.there.String(), "_sip._tcp.next.example. 60 IN SRV 1 1 5060 p.next.example.")
		}},
		"silent in the handshake": {"sip:bob@next.example", 300 * time.Millisecond, []int{500, 503}, "handshake", func(o *outage) {
			silent(o.t, o.there, func(c net.Conn) {})
		}},
		"closes in the handshake": {"sip:bob@next.example", 0, []int{500, 503}, "handshake", func(o *outage) {
			silent(o.t, o.there, func(c net.Conn) { _ = c.Close() })
		}},
		"no TLS": {"sip:bob@next.example", 0, []int{500, 503}, "handshake", func(o *outage) {
			silent(o.t, o.there, func(c net.Conn) { _, _ = c.Write([]byte("SIP/2.0 400 Bad Request\r\n\r\n")) })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOutage(t)
			if tt.prepare != nil {
				tt.prepare(o)
			}
			o.refused(tt.uri, tt.cause, tt.statuses, tt.word)
		})
	}
}

// silent listens on the port for TLS and does with each connection as told.
func silent(t *testing.T, at netip.Addr, accepted func(net.Conn)) {
	t.Helper()
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(at, 5061)))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	// Ends when the listener is closed, at the end of the test.
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			accepted(c)
		}
	}()
}

// TestAddressInUse: a port that somebody else has is told with the file, the key and what to do.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	at := siptest.Loopback(t)
	taken := siptest.NewPeer(t, siptest.PeerConfig{Addr: at})
	for i, tr := range []sipaddr.Transport{sipaddr.UDP, sipaddr.TCP} {
		taken.Listen(tr, 5060)
		file := filepath.Join(t.TempDir(), "tandem.yaml")
		text := fmt.Sprintf("# where to listen\nlisten:\n  - udp://%[1]s:0\n  - %[2]s://%[1]s:5060\n", at, tr.URIParam())
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		n, err := node.New(cfg, node.Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = n.Open()
		if err == nil {
			t.Fatalf("case %d: it opened", i)
		}
		for _, want := range []string{file, ":4:", "listen[1]", at.String() + ":5060", "in use", "another"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("case %d: the error says nothing of %q: %v", i, want, err)
			}
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}
