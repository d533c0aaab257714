package node_test

// RFC 5923, Section 6 and RFC 5923, Section 10, and what the project was begun with: the requirements on
// connection reuse as a whole.

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
	"github.com/tandem-sip/tandem/transport"
)

var chapter6 = map[string]func(*testing.T){
	"5923-6-1":          bothDirections,
	"5923-6-2":          ephemeralPorts,
	"5923-6-3":          noCertificateNoRequests,
	"5923-6-4":          outlivesDialogs,
	"5923-6-5":          eachHopAlone,
	"5923-10-1":         spreadBySRV,
	"seed-tls-tcp":      bothDirections,
	"seed-tls-sctp":     bothDirections,
	"seed-tcp-pair":     pairOfConnections,
	"seed-sctp-pair":    pairOfConnections,
	"seed-hijack":       noCertificateNoRequests,
	"seed-srv":          spreadBySRV,
	"seed-rfc3261-peer": peerWithoutReuse,
}

// bothDirections: two proxies, whichever of them begins; calls and requests either way share one connection.
func bothDirections(t *testing.T) {
	for _, first := range []string{"forth", "back"} {
		f := newFigure4(t)
		if first == "back" {
			call(t, f.bob, f.p2, "sip:alice@example.com", f.alice, true)
		}
		for _, calleeHangsUp := range []bool{true, false} {
			call(t, f.alice, f.p1, "sip:bob@example.net", f.bob, calleeHangsUp)
			call(t, f.bob, f.p2, "sip:alice@example.com", f.alice, calleeHangsUp)
		}
		for _, p := range []*proxy{f.p1, f.p2} {
			if n, h := len(p.tlsConns()), p.Handshakes(); n != 1 || h != 1 {
				t.Errorf("%s first: %s has %d TLS connections after %d handshakes, want one", first, p.host, n, h)
			}
		}
		a, b := f.p1.tlsConns()[0], f.p2.tlsConns()[0]
		if a.Local != b.Remote || a.Remote != b.Local || a.Direction == b.Direction {
			t.Errorf("the one connection is %v to %v here and %v to %v there", a.Local, a.Remote, b.Local, b.Remote)
		}
	}
}

// ephemeralPorts: what the proxy dials comes from a port of the system's choice, each time another, and the
// DNS has to do with listening ports only.
func ephemeralPorts(t *testing.T) {
	s := newStand(t, plan{})
	seen := make(map[uint16]bool)
	for range 3 {
		conn := s.sends("sip:bob@example.net", s.far).Conn
		port := conn.Remote().Port()
		if port == 5060 || port == 5061 || port < 1024 || seen[port] || conn.Remote().Addr() != s.p.addr {
			t.Errorf("the connection comes from %v, after %v", conn.Remote(), seen)
		}
		seen[port] = true
		conn.Close()
		eventually(t, "the row is gone", func() bool { return len(s.p.rows()) == 0 })
	}
	conn := s.offered("p2.example.net") // from a port of far's system
	if strings.Contains(s.zone.String(), fmt.Sprint(conn.Local().Port())) {
		t.Errorf("the zone has the port of %v", conn)
	}
	s.over(conn, "sip:bob@example.net", s.far)
}

// noCertificateNoRequests: programs on the very address of example.net's server, over all transports, with
// every certificate but the right one, say that they are it, before and after it is connected.
func noCertificateNoRequests(t *testing.T) {
	ca := siptest.NewCA(t)
	s := newStand(t, plan{ca: ca})
	type attacker struct {
		*siptest.Peer
		conn *siptest.Conn
	}
	var attackers []attacker
	attack := func() {
		for i, a := range attackers {
			for _, sentBy := range []string{"p2.example.net", "example.net", "p2.example.net:5061", s.far.Addr().String(), s.far.Addr().String() + ":5061"} {
				for _, forged := range [][]string{{"alias"}, {"alias", "received=" + s.far.Addr().String()}, {"received=" + s.far.Addr().String(), "rport=5061", "alias"}} {
					if a.conn.Closed() {
						continue
					}
					a.Expect("an answer", same(s.claims(a.conn, sentBy, forged...).CallID, false))
				}
			}
			for _, r := range s.p.rows() {
				if s.has(r, a.conn) && (r.Identities.Contains("example.net") || r.Identities.Contains("p2.example.net")) {
					t.Errorf("attacker %d has the row %+v", i, r)
				}
			}
		}
		for range 3 {
			s.sends("sip:bob@example.net", s.far)
		}
		for i, a := range attackers {
			if slices.ContainsFunc(a.Received(), func(r *siptest.Received) bool { return r.Message != nil && r.IsRequest() }) {
				t.Errorf("attacker %d got a request", i)
			}
		}
	}
	for _, cert := range []*siptest.Cert{nil, ca.Domain(t, "evil.example"), ca.Domain(t, "sub.example.net", "net"),
		ca.Issue(t, siptest.Spec{URIs: []string{"sip:root@example.net"}, DNSNames: []string{"*.example.net", "user.example"}, CommonName: "example.net"})} {
		peer := siptest.NewPeer(t, siptest.PeerConfig{Name: "attacker", Addr: s.far.Addr(), Cert: cert, Handle: answerButInvite})
		attackers = append(attackers, attacker{peer, s.dials(peer)})
	}
	for _, tr := range []sipaddr.Transport{sipaddr.TCP, sipaddr.UDP} {
		peer := siptest.NewPeer(t, siptest.PeerConfig{Name: "attacker", Addr: s.far.Addr(), Handle: answerButInvite})
		attackers = append(attackers, attacker{peer, peer.Dial(tr, s.p.at(tr))})
	}
	attack() // before example.net is connected
	for _, c := range s.far.Conns() {
		c.Close()
	}
	eventually(t, "example.net's row is gone", func() bool { return rowsWith(s.p, "example.net") == 0 })
	attack() // after it went away
	s.offered("p2.example.net")
	attack() // with an alias of its own
}

// has tells whether a row is for a connection.
func (s *stand) has(r alias.Row, conn *siptest.Conn) bool {
	return slices.ContainsFunc(s.p.tlsConns(), func(c transport.ConnInfo) bool {
		return c.ID == r.Conn && c.Local == conn.Remote() && c.Remote == conn.Local()
	})
}

// claims sends an OPTIONS whose Via has a sent-by and parameters.
func (s *stand) claims(conn *siptest.Conn, sentBy string, params ...string) *siptest.Request {
	return conn.SendRequest(conn.Request(sip.MethodOptions, "sip:p1.example.com").SetSentBy(sentBy, params...))
}

func outlivesDialogs(t *testing.T) {
	s := newStand(t, plan{rest: quickly})
	conn := s.offered("p2.example.net")
	for range 3 {
		if got := s.dialog(); got != conn {
			t.Errorf("a call went over %v", got)
		}
		if ok, bye := s.calls(conn, "alias"); ok.Conn != conn || bye.Conn != conn {
			t.Errorf("a call was answered over %v and ended over %v", ok.Conn, bye.Conn)
		}
		s.noTransactions()
		if r := s.row(); r.Direction != alias.Accepted {
			t.Errorf("the row is %+v", r)
		}
	}
	if n := s.p.Handshakes(); n != 1 {
		t.Errorf("%d handshakes, want one", n)
	}
}

// eachHopAlone: carol's proxy knows nothing of reuse and sends by way of the proxy to far, which knows.
// Backwards, the request takes far's connection to the proxy and a new one from there to carol's.
func eachHopAlone(t *testing.T) {
	ca := siptest.NewCA(t)
	s := newStand(t, plan{ca: ca, served: []string{"example.com"},
		peers: "[{name: partner, identities: [example.net, carol.example]}]"})
	carol := siptest.NewPeer(t, siptest.PeerConfig{Name: "carol", Cert: ca.Domain(t, "carol.example"), Handle: answerButInvite})
	carol.Listen(secure(t), 5061)
	s.names("carol.example", "host.carol.example", carol.Addr(), 5061)
	near := s.dials(carol)
	if got := s.offer(carol, near, "carol.example"); got.StatusCode() != 200 { // no alias
		t.Fatalf("OPTIONS is answered %d", got.StatusCode())
	}
	far := s.offered("p2.example.net")
	// alice stands for whoever sends through the proxy to either side.
	s.over(far, "sip:bob@example.net", s.far)
	back := s.notOver(near, "sip:carol@carol.example", carol)
	s.over(far, "sip:bob@example.net", s.far)
	s.over(back, "sip:carol@carol.example", carol)
	if got := s.offer(carol, near, "carol.example"); got.Conn != near {
		t.Errorf("carol is answered over %v", got.Conn)
	}
	// And with agents on UDP at both ends only the middle hop shares.
	f := newFigure4(t)
	call(t, f.alice, f.p1, "sip:bob@example.net", f.bob, true)
	call(t, f.bob, f.p2, "sip:alice@example.com", f.alice, true)
	wantRow(t, f.p1, f.p2, alias.Dialed)
	wantRow(t, f.p2, f.p1, alias.Accepted)
}

// spreadBySRV: three servers of one domain and weight, one of which is connected already. Each gets its
// share, over one connection; a domain that prefers one of them by priority has all at that one.
func spreadBySRV(t *testing.T) {
	s := newStand(t, plan{deaf: true})
	s.zone.Reset()
	s.record(`example.net. 60 IN NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp.example.net.`,
		`first.example.net. 60 IN NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp.first.example.net.`)
	cert := s.ca.Domain(t, "example.net", "first.example.net")
	var servers []*siptest.Peer
	for i := range 3 {
		p := siptest.NewPeer(t, siptest.PeerConfig{Name: fmt.Sprintf("s%d", i), Cert: cert, Handle: answerButInvite})
		p.Listen(secure(t), 5061)
		s.record(fmt.Sprintf(`_sips._tcp.example.net. 60 IN SRV 10 10 5061 s%d.example.net.`, i),
			fmt.Sprintf(`_sips._tcp.first.example.net. 60 IN SRV %d 10 5061 s%d.example.net.`, 10-i, i),
			fmt.Sprintf(`s%d.example.net. 60 IN A %s`, i, p.Addr()))
		servers = append(servers, p)
	}
	s.offer(servers[0], s.dials(servers[0]), "s0.example.net", "alias") // a connection that is there already
	conns, share := make(map[*siptest.Peer]*siptest.Conn), make(map[*siptest.Peer]int)
	arrived := func(uri string) *siptest.Peer {
		t.Helper()
		r := s.asks(uri)
		if got := s.alice.Expect("the answer", same(r.CallID, false)); got.StatusCode() != 200 {
			t.Fatalf("answered %d", got.StatusCode())
		}
		var got *siptest.Received
		var at *siptest.Peer
		eventually(t, "the request is somewhere", func() bool {
			for _, p := range servers {
				if all := p.Received(); slices.ContainsFunc(all, same(r.CallID, true)) {
					got, at = all[slices.IndexFunc(all, same(r.CallID, true))], p
				}
			}
			return got != nil
		})
		if conns[at] == nil {
			conns[at] = got.Conn
		}
		if conns[at] != got.Conn {
			t.Errorf("a request came over %v, others over %v", got.Conn, conns[at])
		}
		return at
	}
	for range 90 {
		share[arrived("sip:bob@example.net")]++
	}
	for i, p := range servers {
		if n := share[p]; n < 10 || n > 50 { // 30 each; outside once in some hundred thousand runs
			t.Errorf("server %d got %d of 90 requests", i, n)
		}
	}
	for range 10 {
		if p := arrived("sip:bob@first.example.net"); p != servers[2] {
			t.Errorf("a request did not go to the server of the first priority")
		}
	}
	if n := s.dialed(); n != 2 {
		t.Errorf("%d connections were dialed, want two", n)
	}
	if n := len(s.p.rows()); n != 3 {
		t.Errorf("%d rows, want three", n)
	}
}

// plainIsAPair: two proxies over TCP have a connection for each direction, and calls both ways work.
func plainIsAPair(t *testing.T) {
	b := newBench(t)
	f := &figure4{bench: b}
	f.alice, f.bob = b.agent("alice", siptest.AnswerAll), b.agent("bob", siptest.AnswerAll)
	f.p1 = b.side("example.com", "p1.example.com", "example.net", f.alice)
	f.p2 = b.side("example.net", "p2.example.net", "example.com", f.bob)
	for _, p := range []*proxy{f.p1, f.p2} {
		b.record(fmt.Sprintf(`%[1]s. 60 IN NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp.%[1]s.`, p.domain),
			fmt.Sprintf(`_sip._tcp.%s. 60 IN SRV 10 10 5060 %s.`, p.domain, p.host), fmt.Sprintf(`%s. 60 IN A %s`, p.host, p.addr))
	}
	for range 3 {
		message(t, f.alice, f.p1, "sip:bob@example.net", f.bob)
		message(t, f.bob, f.p2, "sip:alice@example.com", f.alice)
	}
	for _, p := range []*proxy{f.p1, f.p2} {
		var to []alias.Direction
		for _, c := range p.Connections() {
			if c.Transport == plain(t) && c.State == transport.Open {
				to = append(to, c.Direction)
			}
		}
		slices.Sort(to)
		if !slices.Equal(to, []alias.Direction{alias.Dialed, alias.Accepted}) {
			t.Errorf("%s has the %v connections %v, want one of each direction", p.host, plain(t), to)
		}
		if len(p.rows()) != 0 {
			t.Errorf("%s has rows: %+v", p.host, p.rows())
		}
	}
}

// message has an agent send a MESSAGE, which has to be answered by another.
func message(t *testing.T, from *siptest.Peer, via *proxy, uri string, to *siptest.Peer) {
	t.Helper()
	conn := from.Dial(sipaddr.UDP, via.at(sipaddr.UDP))
	r := conn.SendRequest(conn.Request(sip.MethodMessage, uri))
	to.Expect("the MESSAGE", same(r.CallID, true))
	if got := from.Expect("the answer", same(r.CallID, false)); got.StatusCode() != 200 {
		t.Errorf("MESSAGE to %s is answered %d", uri, got.StatusCode())
	}
}

// peerWithoutReuse: a server as RFC 3261 has it, which ignores alias, offers none, and opens a connection
// for what it sends. Calls work in both directions, over two connections.
func peerWithoutReuse(t *testing.T) {
	s := newStand(t, plan{})
	forth := s.dialog()
	back := s.dials(s.far)
	for range 2 {
		if ok, bye := s.calls(back); ok.Conn != back || bye.Conn != forth {
			t.Errorf("a call was answered over %v and ended over %v, want %v and %v", ok.Conn, bye.Conn, back, forth)
		}
		if got := s.dialog(); got != forth {
			t.Errorf("a call went over %v, want %v", got, forth)
		}
	}
	if n := s.p.Handshakes(); n != 2 {
		t.Errorf("%d handshakes, want two", n)
	}
	if r := s.row(); r.Direction != alias.Dialed {
		t.Errorf("the row is %+v", r)
	}
}
