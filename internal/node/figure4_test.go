package node_test

import (
	"fmt"
	"testing"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// figure4 is RFC 5923, Figure 4: two proxies with an agent behind each.
type figure4 struct {
	*bench
	p1, p2     *proxy
	alice, bob *siptest.Peer
}

func newFigure4(t *testing.T) *figure4 {
	t.Helper()
	f := &figure4{bench: newBench(t)}
	f.alice, f.bob = f.agent("alice", siptest.AnswerAll), f.agent("bob", siptest.AnswerAll)
	f.p1 = f.side("example.com", "p1.example.com", "example.net", f.alice)
	f.p2 = f.side("example.net", "p2.example.net", "example.com", f.bob)
	f.serve("example.com", "p1.example.com", f.p1.addr)
	f.serve("example.net", "p2.example.net", f.p2.addr)
	return f
}

// side starts the proxy of one domain, whose requests go to one agent, with the other domain as a peer.
func (b *bench) side(domain, host, peer string, agent *siptest.Peer) *proxy {
	b.t.Helper()
	s := setup{domain: domain, host: host}
	s.yaml = fmt.Sprintf("peers: [{name: partner, identities: [%s]}]\n", peer)
	if agent != nil {
		s.relay = append(s.relay, agent.Addr())
		s.yaml += fmt.Sprintf("routes: [{match: {domain: %s}, to: \"sip:%s:5060\"}]\n", domain, agent.Addr())
	}
	return b.start(s)
}

// call places a call from one agent through its proxy and hangs up, from the caller's side or the
// callee's.
func call(t *testing.T, from *siptest.Peer, via *proxy, uri string, to *siptest.Peer, calleeHangsUp bool) {
	t.Helper()
	conn := from.Dial(sipaddr.UDP, via.at(sipaddr.UDP))
	invite := conn.SendRequest(conn.Request(sip.MethodInvite, uri))
	from.ExpectResponse(180)
	ok := from.ExpectResponseTo(sip.MethodInvite, 200)
	conn.SendRequest(invite.Ack(ok))
	in := to.ExpectRequest(sip.MethodInvite)
	to.ExpectRequest(sip.MethodAck)
	if calleeHangsUp {
		in.Conn.SendRequest(in.InDialog(sip.MethodBye, in.Conn))
		from.ExpectRequest(sip.MethodBye)
		to.ExpectResponseTo(sip.MethodBye, 200)
		return
	}
	conn.SendRequest(invite.InDialog(sip.MethodBye, ok))
	to.ExpectRequest(sip.MethodBye)
	from.ExpectResponseTo(sip.MethodBye, 200)
}

// TestFigure4 places calls both ways, with the BYE from either side, over one connection.
func TestFigure4(t *testing.T) {
	f := newFigure4(t)
	for _, calleeHangsUp := range []bool{false, true} {
		call(t, f.alice, f.p1, "sip:bob@example.net", f.bob, calleeHangsUp)
		call(t, f.bob, f.p2, "sip:alice@example.com", f.alice, calleeHangsUp)
	}
	for _, p := range []*proxy{f.p1, f.p2} {
		if c := p.tlsConns(); len(c) != 1 {
			t.Errorf("%s has %d TLS connections, want 1", p.host, len(c))
		}
		if n := p.Handshakes(); n != 1 {
			t.Errorf("%s made %d handshakes, want 1", p.host, n)
		}
	}
	wantRow(t, f.p1, f.p2, alias.Dialed)
	wantRow(t, f.p2, f.p1, alias.Accepted)
}

// wantRow checks that a proxy has exactly the row for another that RFC 5923, Section 5 gives it.
func wantRow(t *testing.T, p, other *proxy, dir alias.Direction) {
	t.Helper()
	rows := p.rows()
	if len(rows) != 1 {
		t.Fatalf("%s has %d rows, want 1: %+v", p.host, len(rows), rows)
	}
	r := rows[0]
	want := sipaddr.Resolved{AddrPort: other.at(secure(t)), Transport: secure(t)}
	if r.Resolved != want || r.Direction != dir || r.LocalDomain != p.domain {
		t.Errorf("%s has the row %v %v of %s, want %v %v of %s", p.host, r.Resolved, r.Direction, r.LocalDomain, want, dir, p.domain)
	}
	if r.Identities.Len() != 2 || !r.Identities.Contains(other.domain) || !r.Identities.Contains(other.host) {
		t.Errorf("%s has the identities %v for %s", p.host, r.Identities.Names(), other.host)
	}
}
