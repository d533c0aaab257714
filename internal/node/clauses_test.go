package node_test

import (
	"bufio"
	"crypto/tls"
	"encoding/asn1"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// clauses has a test for each clause of the ledger, by its id: one map a chapter, in the file that is called
// after it. They run against a whole proxy, over sockets.
var clauses = join(chapter5, chapter81, chapter82, chapter83, chapter9, chapter6, chapter5922)

func join(chapters ...map[string]func(*testing.T)) map[string]func(*testing.T) {
	all := make(map[string]func(*testing.T))
	for _, c := range chapters {
		maps.Copy(all, c)
	}
	return all
}

func TestClauses(t *testing.T) {
	t.Parallel()
	ids := ledger(t, "testdata/clauses.txt")
	for _, id := range ids {
		if run := clauses[id]; run != nil {
			t.Run(id, func(t *testing.T) {
				t.Parallel()
				run(t)
			})
		}
	}
}

// ledger reads the ids of a file: they stand first on their lines, below a line that begins with "id".
func ledger(t *testing.T, file string) (ids []string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if id, _, _ := strings.Cut(lines.Text(), "\t"); id != "id" && id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// stand is a proxy that serves example.com as p1.example.com, with the agent alice behind it, and the
// server of example.net, called p2.example.net, which the test plays itself.
type stand struct {
	*bench
	p     *proxy
	alice *siptest.Peer
	far   *siptest.Peer
}

// plan says how a stand differs from the usual one.
type plan struct {
	trust   string            // further keys of "trust"
	peers   string            // value of "peers"
	rest    string            // further keys of the file
	far     *siptest.Cert     // nil: example.net and p2.example.net
	ca      *siptest.CA       // who makes the certificates; nil: the bench's
	port    uint16            // that far listens on and the DNS names; 0: 5061
	deaf    bool              // far does not listen
	quiet   bool              // alice answers nothing by herself
	tls     func(*tls.Config) // of far
	domains []string          // served besides example.com; their proxy is "p1." and the domain
	served  []string          // instead of example.com and domains
	routeTo string            // where requests for example.org go
}

// answerButInvite is an endpoint that answers all but INVITE at once.
func answerButInvite(r *siptest.Received) {
	if r.Method() != sip.MethodInvite {
		siptest.AnswerAll(r)
	}
}

func newStand(t *testing.T, pl plan) *stand {
	t.Helper()
	s := &stand{bench: newBench(t)}
	if pl.ca != nil {
		s.ca = pl.ca
	}
	answer := answerButInvite
	if pl.quiet {
		answer = nil
	}
	s.alice = s.agent("alice", answer)
	s.p = s.virtual(pl)
	if pl.far == nil {
		pl.far = s.ca.Domain(t, "example.net", "p2.example.net")
	}
	cfg := siptest.PeerConfig{Name: "far", Cert: pl.far, Handle: answerButInvite, TLS: pl.tls}
	s.far = siptest.NewPeer(t, cfg)
	if pl.port == 0 {
		pl.port = 5061
	}
	if !pl.deaf {
		s.far.Listen(secure(t), pl.port)
	}
	s.names("example.net", "p2.example.net", s.far.Addr(), pl.port)
	return s
}

// virtual starts the proxy of a stand.
func (s *stand) virtual(pl plan) *proxy {
	s.t.Helper()
	p := &proxy{addr: siptest.Loopback(s.t), domain: "example.com", host: "p1.example.com"}
	var y strings.Builder
	fmt.Fprintf(&y, "listen: [udp://%[1]s:5060, tcp://%[1]s:5060, tls://%[1]s:5061]\n", p.addr)
	fmt.Fprintf(&y, "dns: [%s]\n", s.dns.Addr())
	fmt.Fprintf(&y, "trust: {ca: [%s]%s}\n", s.ca.WriteFile(s.t), pl.trust)
	y.WriteString("domains:\n")
	routes := ""
	if pl.served == nil {
		pl.served = append([]string{p.domain}, pl.domains...)
	}
	for _, d := range pl.served {
		cert, key := s.ca.Domain(s.t, d, "p1."+d).WriteFiles(s.t)
		fmt.Fprintf(&y, "  - {name: %[1]s, certificate: %[2]s, key: %[3]s, sent_by: p1.%[1]s}\n", d, cert, key)
		routes += fmt.Sprintf("  - {match: {domain: %s}, to: \"sip:%s:5060\"}\n", d, s.alice.Addr())
	}
	if pl.routeTo != "" {
		routes += fmt.Sprintf("  - {match: {domain: example.org}, to: %q}\n", pl.routeTo)
	}
	fmt.Fprintf(&y, "access: {relay_from: [%s]}\n", s.alice.Addr())
	if pl.peers == "" {
		pl.peers = "[{name: partner, identities: [example.net], dialog_identity: inherit}]"
	}
	fmt.Fprintf(&y, "peers: %s\nroutes:\n%s%s", pl.peers, routes, pl.rest)
	started := s.run(y.String())
	p.Node, p.stop = started.Node, started.stop
	return p
}

// names makes the DNS say that a domain is served over TLS by a host at an address and a port.
func (b *bench) names(domain, host string, at netip.Addr, port uint16) {
	b.record(
		fmt.Sprintf(`%s. 60 IN NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp.%s.`, domain, domain),
		fmt.Sprintf(`_sips._tcp.%s. 60 IN SRV 10 10 %d %s.`, domain, port, host),
		fmt.Sprintf(`%s. 60 IN A %s`, host, at),
	)
}

// same fits what belongs to one call.
func same(callID string, request bool) func(*siptest.Received) bool {
	return func(r *siptest.Received) bool {
		return r.Message != nil && r.IsRequest() == request && r.CallID() == callID &&
			(request || r.StatusCode() >= 200)
	}
}

// asks has alice send a MESSAGE through the proxy and gives it as it was sent.
func (s *stand) asks(uri string, change ...func(*siptest.Request)) *siptest.Request {
	s.t.Helper()
	conn := s.alice.Dial(sipaddr.UDP, s.p.at(sipaddr.UDP))
	r := conn.Request(sip.MethodMessage, spoken(s.t, uri))
	for _, c := range change {
		c(r)
	}
	return conn.SendRequest(r)
}

// sends has alice send a MESSAGE that has to arrive at a peer and be answered; it gives what arrived.
func (s *stand) sends(uri string, at *siptest.Peer, change ...func(*siptest.Request)) *siptest.Received {
	s.t.Helper()
	r := s.asks(uri, change...)
	got := at.Expect("alice's MESSAGE to "+uri, same(r.CallID, true))
	if final := s.alice.Expect("the answer to alice's MESSAGE", same(r.CallID, false)); final.StatusCode() != 200 {
		s.t.Fatalf("alice's MESSAGE to %s is answered %d", uri, final.StatusCode())
	}
	return got
}

// over is sends for a request that has to arrive on one connection.
func (s *stand) over(conn *siptest.Conn, uri string, at *siptest.Peer, change ...func(*siptest.Request)) {
	s.t.Helper()
	if got := s.sends(uri, at, change...); got.Conn != conn {
		s.t.Errorf("alice's MESSAGE to %s came over %v, want %v", uri, got.Conn, conn)
	}
}

// notOver is sends for a request that has to arrive on a connection that the proxy has dialed, and not on
// another one.
func (s *stand) notOver(conn *siptest.Conn, uri string, at *siptest.Peer, change ...func(*siptest.Request)) *siptest.Conn {
	s.t.Helper()
	got := s.sends(uri, at, change...)
	if got.Conn == conn || !got.Conn.Accepted() {
		s.t.Errorf("alice's MESSAGE to %s came over %v", uri, got.Conn)
	}
	return got.Conn
}

// fails has alice send a MESSAGE that cannot be delivered, and gives the answer.
func (s *stand) fails(uri string, change ...func(*siptest.Request)) *siptest.Received {
	s.t.Helper()
	r := s.asks(uri, change...)
	final := s.alice.Expect("the answer to alice's MESSAGE", same(r.CallID, false))
	if final.StatusCode() < 400 {
		s.t.Fatalf("alice's MESSAGE to %s is answered %d", uri, final.StatusCode())
	}
	return final
}

// from writes another domain into From, which decides on whose behalf a request is sent.
func from(domain string) func(*siptest.Request) {
	return func(r *siptest.Request) { r.From = "<sip:alice@" + domain + ">;tag=" + siptest.Token(8) }
}

// dials has a peer open a TLS connection to the proxy.
func (s *stand) dials(peer *siptest.Peer) *siptest.Conn {
	s.t.Helper()
	return peer.DialName(secure(s.t), s.p.at(secure(s.t)), s.p.host)
}

// offer has a peer send an OPTIONS for the proxy over a connection, with a sent-by and parameters behind
// the branch, and gives the final answer: whatever the proxy makes of the Via has been made then.
func (s *stand) offer(peer *siptest.Peer, conn *siptest.Conn, sentBy string, params ...string) *siptest.Received {
	s.t.Helper()
	v := "SIP/2.0/" + conn.Transport().String() + " " + sentBy + ";branch=z9hG4bK" + siptest.Token(12)
	for _, p := range params {
		v += ";" + p
	}
	return s.offerVia(peer, conn, v)
}

func (s *stand) offerVia(peer *siptest.Peer, conn *siptest.Conn, via ...string) *siptest.Received {
	s.t.Helper()
	r := conn.Request(sip.MethodOptions, "sip:p1.example.com")
	r.Via = nil
	for _, v := range via {
		r.Via = append(r.Via, spoken(s.t, v))
	}
	conn.SendRequest(r)
	return peer.Expect("the answer to OPTIONS", same(r.CallID, false))
}

// offered has far open a connection and offer an alias for its name on it.
func (s *stand) offered(sentBy string) *siptest.Conn {
	s.t.Helper()
	conn := s.dials(s.far)
	if got := s.offer(s.far, conn, sentBy, "alias"); got.StatusCode() != 200 {
		s.t.Fatalf("OPTIONS is answered %d", got.StatusCode())
	}
	return conn
}

// leave closes a connection after a ping and a pong. Who closes at once upon an answer may look like one who
// has not got it, and gets it again over a new connection.
func leave(conn *siptest.Conn) {
	conn.Send("\r\n\r\n")
	conn.ExpectPong()
	conn.Close()
}

// row is the only row that the proxy has.
func (s *stand) row() alias.Row {
	s.t.Helper()
	rows := s.p.rows()
	if len(rows) != 1 {
		s.t.Fatalf("the proxy has %d rows, want one: %+v", len(rows), rows)
	}
	return rows[0]
}

// noRows checks that the proxy has no row.
func (s *stand) noRows() {
	s.t.Helper()
	if rows := s.p.rows(); len(rows) != 0 {
		s.t.Errorf("the proxy has rows: %+v", rows)
	}
}

// quiet checks that no request comes to a peer for a short while.
func quiet(peer *siptest.Peer) {
	peer.ExpectNoRequest(50*time.Millisecond, "")
}

// dialed counts the handshakes that the proxy has made as a client.
func (s *stand) dialed() int { return int(s.p.Stats().Transport.HandshakesClient) }

// resolved is the address of a peer's port over TLS.
func (s *stand) resolved(peer *siptest.Peer, port uint16) sipaddr.Resolved {
	return sipaddr.Resolved{AddrPort: netip.AddrPortFrom(peer.Addr(), port), Transport: secure(s.t)}
}

// oids makes a list that is not nil, even of nothing.
func oids(list ...asn1.ObjectIdentifier) []asn1.ObjectIdentifier {
	return append([]asn1.ObjectIdentifier{}, list...)
}

// codeSigning is a key usage that has nothing to do with TLS: RFC 5280, Section 4.2.1.12.
var codeSigning = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 3}
