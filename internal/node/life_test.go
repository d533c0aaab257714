package node_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
	"github.com/tandem-sip/tandem/transport"
)

// TestTransactionShares: a source address that has its share of the transactions is answered 503 with Retry-After,
// and so is an identity, from wherever it comes; others are served.
func TestTransactionShares(t *testing.T) {
	t.Parallel()
	const limits = "limits: {transactions_per_source: 3, transactions_per_identity: 4}\n"
	s := newStand(t, plan{rest: limits})
	// refusedOf has peers send INVITEs that ring, over a connection each, and gives what is refused.
	refusedOf := func(conns ...*siptest.Conn) (refused int) {
		for _, conn := range conns {
			for range 3 {
				r := conn.SendRequest(conn.Request(sip.MethodInvite, "sip:alice@example.com"))
				got := s.far.Expect("100 or 503", func(x *siptest.Received) bool {
					return x.Message != nil && !x.IsRequest() && x.CallID() == r.CallID && (x.StatusCode() == 100 || x.StatusCode() == 503)
				})
				if got.StatusCode() == 100 {
					s.alice.ExpectRequest(sip.MethodInvite)
					continue
				}
				refused++
				if after, _ := got.Header("Retry-After"); after == "" {
					t.Error("503 without Retry-After")
				}
			}
		}
		return refused
	}
	plain := s.far.Dial(sipaddr.TCP, s.p.at(sipaddr.TCP))
	if n := refusedOf(plain); n != 0 {
		t.Errorf("%d were refused within the share", n)
	}
	if n := refusedOf(plain); n != 3 {
		t.Errorf("%d were refused of three beyond the share of the address", n)
	}
	if st := s.p.Stats().Transactions; st.OverShare != 3 {
		t.Errorf("%d counted", st.OverShare)
	}
	// The same certificate from two addresses: the identity counts.
	cert := s.ca.Domain(t, "example.net", "p3.example.net")
	var conns []*siptest.Conn
	var peers []*siptest.Peer
	for range 2 {
		p := siptest.NewPeer(t, siptest.PeerConfig{Name: "many", Cert: cert})
		peers = append(peers, p)
		conns = append(conns, s.dials(p))
	}
	refused := 0
	for i, conn := range conns {
		s.far = peers[i]
		refused += refusedOf(conn)
	}
	if refused != 2 {
		t.Errorf("%d of six were refused to an identity that may have four", refused)
	}
}

// TestKeepNegotiated: keepalives are offered in requests that make dialogs or registrations, to those we ping, and
// taken from whoever offers them.
func TestKeepNegotiated(t *testing.T) {
	t.Parallel()
	s := newStand(t, plan{rest: "timers: {keepalive: 1s}\n"})
	params := func(m *siptest.Received) string {
		via, err := m.TopVia()
		if err != nil {
			t.Fatal(err)
		}
		return via.Params + ";"
	}
	if got := s.sends("sip:bob@example.net", s.far); strings.Contains(params(got), ";keep") {
		t.Errorf("MESSAGE has Via parameters %q", params(got))
	}
	conn := s.alice.Dial(sipaddr.UDP, s.p.at(sipaddr.UDP))
	invite := conn.SendRequest(conn.Request(sip.MethodInvite, "sip:bob@example.net"))
	in := s.far.ExpectRequest(sip.MethodInvite)
	if !strings.Contains(params(in), ";keep;") {
		t.Errorf("INVITE has Via parameters %q", params(in))
	}
	in.Reply(200)
	ok := s.alice.ExpectResponseTo(sip.MethodInvite, 200)
	conn.SendRequest(invite.Ack(ok))
	if ack := s.far.ExpectRequest(sip.MethodAck); strings.Contains(params(ack), ";keep") {
		t.Errorf("ACK has Via parameters %q", params(ack))
	}
	s.far.Expect("a ping", func(r *siptest.Received) bool { return r.Conn == in.Conn && r.Message == nil })

	back := s.dials(s.far)
	r := back.Request(sip.MethodInvite, "sip:alice@example.com").SetSentBy("p2.example.net", "keep")
	back.SendRequest(r)
	in = s.alice.ExpectRequest(sip.MethodInvite)
	for _, status := range []int{100, 486} {
		if status != 100 { // which is the proxy's own
			in.Reply(status)
		}
		got := s.far.Expect("a response", func(x *siptest.Received) bool {
			return x.Message != nil && !x.IsRequest() && x.CallID() == r.CallID && x.StatusCode() == status
		})
		if !strings.Contains(params(got), ";keep=1;") {
			t.Errorf("%d has Via parameters %q", status, params(got))
		}
	}
}

// talk has the agents of both sides send MESSAGEs through both proxies until the time is over, and returns how many
// were answered 200 and how many were not.
func (f *figure4) talk(t *testing.T, d time.Duration) (good, bad int) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for _, side := range []struct {
		agent *siptest.Peer
		p     *proxy
		uri   string
	}{{f.alice, f.p1, "sip:bob@example.net"}, {f.bob, f.p2, "sip:alice@example.com"}} {
		conn := side.agent.Dial(sipaddr.TCP, side.p.at(sipaddr.TCP))
		wg.Add(1)
		// Ends with the time.
		go func() {
			defer wg.Done()
			for time.Now().Before(end) {
				r := conn.SendRequest(conn.Request(sip.MethodMessage, side.uri))
				got := side.agent.Expect("an answer", same(r.CallID, false))
				mu.Lock()
				if got.StatusCode() == 200 {
					good++
				} else {
					bad++
				}
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	return good, bad
}

// TestRecycleUnderLoad: connections are replaced every second, from both sides, and no request fails.
func TestRecycleUnderLoad(t *testing.T) {
	t.Parallel()
	f := twoSides(t, "timers: {recycle: 1s}\n")
	good, bad := f.talk(t, 4*time.Second)
	recycled := f.p1.Stats().Transport.Recycled + f.p2.Stats().Transport.Recycled
	t.Logf("%d answered 200, %d not; %d connections were replaced", good, bad, recycled)
	if bad != 0 || good == 0 || recycled < 2 {
		t.Errorf("%d answered 200, %d not; %d connections were replaced", good, bad, recycled)
	}
}

// twoSides is Figure 4 with further keys in both configurations.
func twoSides(t *testing.T, more string) *figure4 {
	t.Helper()
	f := &figure4{bench: newBench(t)}
	f.alice, f.bob = f.agent("alice", siptest.AnswerAll), f.agent("bob", siptest.AnswerAll)
	side := func(domain, peer string, agent *siptest.Peer) *proxy {
		return f.start(setup{domain: domain, host: "p." + domain, relay: []netip.Addr{agent.Addr()},
			yaml: fmt.Sprintf("peers: [{name: partner, identities: [%s]}]\nroutes: [{match: {domain: %s}, to: \"sip:%s:5060\"}]\n%s",
				peer, domain, agent.Addr(), more)})
	}
	f.p1, f.p2 = side("example.com", "example.net", f.alice), side("example.net", "example.com", f.bob)
	f.serve("example.com", "p.example.com", f.p1.addr)
	f.serve("example.net", "p.example.net", f.p2.addr)
	return f
}

// TestOneConnectionPerPair: both sides begin to call at the same moment. In the end exactly one connection is left,
// and no request was lost on the way.
func TestOneConnectionPerPair(t *testing.T) {
	t.Parallel()
	f := twoSides(t, "")
	good, bad := f.talk(t, 100*time.Millisecond)
	deadline := time.Now().Add(20 * time.Second)
	one := func() bool {
		for _, p := range []*proxy{f.p1, f.p2} {
			c := p.tlsConns()
			if len(c) != 1 || c[0].State != transport.Open {
				return false
			}
		}
		return true
	}
	for !one() {
		if time.Now().After(deadline) {
			t.Fatalf("%d and %d connections", len(f.p1.tlsConns()), len(f.p2.tlsConns()))
		}
		g, b := f.talk(t, 200*time.Millisecond)
		good, bad = good+g, bad+b
	}
	handshakes := f.p1.Handshakes() + f.p2.Handshakes()
	t.Logf("%d answered 200, %d not; %d handshakes", good, bad, handshakes/2)
	g, b := f.talk(t, 200*time.Millisecond)
	if bad+b != 0 || g == 0 || !one() {
		t.Errorf("%d not answered 200", bad+b)
	}
}
