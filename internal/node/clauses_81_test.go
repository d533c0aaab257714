package node_test

// RFC 5923, Section 8.1: the connection that the proxy has dialed.

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
	"github.com/tandem-sip/tandem/transport"
)

var chapter81 = map[string]func(*testing.T){
	"5923-8.1-1":  dialedStaysUp,
	"5923-8.1-2":  viaOfRequests,
	"5923-8.1-3":  dialedStaysUpIdle,
	"5923-8.1-4":  requestsOverDialed,
	"5923-8.1-5":  dialedIsReused,
	"5923-8.1-6":  listeningPortAccepts,
	"5923-8.1-7":  serverAuthenticatedFirst,
	"5923-8.1-8":  rowHasServerIdentities,
	"5923-8.1-9":  rowHasResolvedAddress,
	"5923-8.1-10": rowHasDialedConnection,
	"5923-8.1-11": dialedNeedsBoth,
	"5923-8.1-12": dialedIsGone,
	"5923-8.1-13": cancelAfterClose,
	"5923-8.1-14": ackAfterClose,
}

// quickly has all timers of the transactions run out soon.
const quickly = "timers: {t1: 10ms, t2: 20ms, t4: 20ms}\n"

// invites has alice invite bob, and gives what she sent and what came to far.
func (s *stand) invites() (*siptest.Conn, *siptest.Request, *siptest.Received) {
	s.t.Helper()
	conn := s.alice.Dial(sipaddr.UDP, s.p.at(sipaddr.UDP))
	r := conn.SendRequest(conn.Request(sip.MethodInvite, "sip:bob@example.net"))
	return conn, r, s.far.ExpectRequest(sip.MethodInvite)
}

// dialog has alice call bob, who hangs up, and gives the connection that all of it went over.
func (s *stand) dialog() *siptest.Conn {
	s.t.Helper()
	conn, invite, in := s.invites()
	in.Reply(200)
	conn.SendRequest(invite.Ack(s.alice.ExpectResponseTo(sip.MethodInvite, 200)))
	s.far.ExpectRequest(sip.MethodAck)
	in.Conn.SendRequest(in.InDialog(sip.MethodBye, in.Conn))
	s.far.ExpectResponseTo(sip.MethodBye, 200)
	return in.Conn
}

// noTransactions waits until every transaction is over and forgotten.
func (s *stand) noTransactions() {
	s.t.Helper()
	eventually(s.t, "all transactions are over", func() bool {
		for _, n := range s.p.Stats().Transactions.Live {
			if n > 0 {
				return false
			}
		}
		return true
	})
}

// standsOpen checks that a connection is there, on both sides, and carries requests both ways.
func (s *stand) standsOpen(conn *siptest.Conn) {
	s.t.Helper()
	if conn.Closed() {
		s.t.Fatalf("%v was closed", conn)
	}
	for _, c := range s.p.tlsConns() {
		if c.State != transport.Open {
			s.t.Errorf("the connection to %v is %v", c.Remote, c.State)
		}
	}
	s.over(conn, "sip:bob@example.net", s.far)
	if got := s.offer(s.far, conn, "p2.example.net"); got.StatusCode() != 200 || got.Conn != conn {
		s.t.Errorf("OPTIONS is answered %d over %v", got.StatusCode(), got.Conn)
	}
}

func dialedStaysUp(t *testing.T) {
	s := newStand(t, plan{rest: quickly})
	conn := s.sends("sip:bob@example.net", s.far).Conn
	s.noTransactions()
	s.standsOpen(conn)
	if again := s.dialog(); again != conn {
		t.Errorf("the call went over %v", again)
	}
	s.noTransactions()
	s.standsOpen(conn)
	s.fails("sip:bob@nowhere.example")
	s.standsOpen(conn)
}

// viaOfRequests looks at the Via of every method, over a connection of either direction.
func viaOfRequests(t *testing.T) {
	s := newStand(t, plan{})
	check := func(got *siptest.Received) {
		t.Helper()
		via, err := got.TopVia()
		if err != nil {
			t.Fatal(err)
		}
		if via.Transport != secure(t).String() || via.Host != "p1.example.com" || via.Port != 0 || !via.Alias || !strings.HasPrefix(via.Branch, "z9hG4bK") {
			t.Errorf("%s has the Via %+v", got.Method(), via)
		}
		if len(slices.Collect(got.Values(sip.FieldVia))) != 2 && got.Method() != sip.MethodAck && got.Method() != sip.MethodCancel {
			t.Errorf("%s has not two Vias", got.Method())
		}
	}
	check(s.sends("sip:bob@example.net", s.far))

	conn, invite, in := s.invites()
	check(in)
	in.Reply(180)
	s.alice.ExpectResponse(180)
	conn.SendRequest(invite.Cancel())
	check(s.far.ExpectRequest(sip.MethodCancel))
	in.Reply(487)
	check(s.far.ExpectRequest(sip.MethodAck))
	conn.SendRequest(invite.Ack(s.alice.ExpectResponse(487)))

	conn, invite, in = s.invites()
	in.Reply(200)
	ok := s.alice.ExpectResponseTo(sip.MethodInvite, 200)
	conn.SendRequest(invite.Ack(ok))
	check(s.far.ExpectRequest(sip.MethodAck))
	conn.SendRequest(invite.InDialog(sip.MethodBye, ok))
	check(s.far.ExpectRequest(sip.MethodBye))

	back := newStand(t, plan{deaf: true})
	back.offered("p2.example.net")
	check(back.sends("sip:bob@example.net", back.far))
}

// dialedStaysUpIdle leaves a connection alone while others come and go.
func dialedStaysUpIdle(t *testing.T) {
	s := newStand(t, plan{rest: quickly})
	conn := s.sends("sip:bob@example.net", s.far).Conn
	for i := range 20 {
		other := siptest.NewPeer(t, siptest.PeerConfig{Name: "other", Handle: answerButInvite, Cert: s.ca.Domain(t, fmt.Sprintf("d%d.example", i))})
		other.Listen(secure(t), 5061)
		s.names(fmt.Sprintf("d%d.example", i), fmt.Sprintf("h%d.example", i), other.Addr(), 5061)
		s.sends(fmt.Sprintf("sip:bob@d%d.example", i), other)
	}
	s.far.ExpectSilence(2200*time.Millisecond, nil) // the proxy looks after its connections each second
	s.standsOpen(conn)
}

func requestsOverDialed(t *testing.T) {
	s := newStand(t, plan{})
	conn := s.sends("sip:bob@example.net", s.far).Conn
	port := s.dials(s.far)
	for _, c := range []*siptest.Conn{conn, port, conn} {
		r := c.SendRequest(c.Request(sip.MethodMessage, "sip:alice@example.com"))
		s.alice.Expect("far's MESSAGE", same(r.CallID, true))
		if got := s.far.Expect("the answer", same(r.CallID, false)); got.StatusCode() != 200 || got.Conn != c {
			t.Errorf("answered %d over %v, want 200 over %v", got.StatusCode(), got.Conn, c)
		}
		invite := c.SendRequest(c.Request(sip.MethodInvite, "sip:alice@example.com"))
		s.alice.ExpectRequest(sip.MethodInvite).Reply(486)
		if got := s.far.ExpectResponseTo(sip.MethodInvite, 486); got.Conn != c {
			t.Errorf("answered over %v, want %v", got.Conn, c)
		} else {
			c.SendRequest(invite.Ack(got))
		}
	}
}

// dialedIsReused sends requests at once, before there is a connection, and later.
func dialedIsReused(t *testing.T) {
	s := newStand(t, plan{})
	var asked []*siptest.Request
	for range 10 {
		asked = append(asked, s.asks("sip:bob@example.net"))
	}
	var conn *siptest.Conn
	for _, r := range asked {
		got := s.far.Expect("alice's MESSAGE", same(r.CallID, true))
		if conn == nil {
			conn = got.Conn
		}
		if got.Conn != conn {
			t.Errorf("a request came over %v, the first over %v", got.Conn, conn)
		}
		s.alice.Expect("the answer", same(r.CallID, false))
	}
	for range 3 {
		s.over(conn, "sip:bob@example.net", s.far)
	}
	if again := s.dialog(); again != conn {
		t.Errorf("a call went over %v", again)
	}
	if n := s.dialed(); n != 1 || len(s.far.Conns()) != 1 {
		t.Errorf("%d handshakes, connections %v", n, s.far.Conns())
	}
}

// listeningPortAccepts: a server that has answered requests on the proxy's connection, and does not know
// reuse, opens connections of its own, as many as it likes.
func listeningPortAccepts(t *testing.T) {
	s := newStand(t, plan{})
	forth := s.sends("sip:bob@example.net", s.far).Conn
	s.sends("sip:bob@example.net", s.far)
	for range 3 {
		back := s.dials(s.far)
		r := back.SendRequest(back.Request(sip.MethodMessage, "sip:alice@example.com"))
		s.alice.Expect("far's MESSAGE", same(r.CallID, true))
		if got := s.far.Expect("the answer", same(r.CallID, false)); got.StatusCode() != 200 || got.Conn != back {
			t.Errorf("answered %d over %v, want 200 over %v", got.StatusCode(), got.Conn, back)
		}
	}
	plain := s.far.Dial(sipaddr.TCP, s.p.at(sipaddr.TCP))
	if got := s.offer(s.far, plain, "p2.example.net"); got.StatusCode() != 200 {
		t.Errorf("OPTIONS over TCP is answered %d", got.StatusCode())
	}
	s.over(forth, "sip:bob@example.net", s.far)
}

// serverAuthenticatedFirst: there is no row while the handshake goes on, and none after it has failed.
func serverAuthenticatedFirst(t *testing.T) {
	s := newStand(t, plan{deaf: true})
	stall, hello := make(chan struct{}), make(chan struct{}, 1)
	slow := siptest.NewPeer(t, siptest.PeerConfig{Name: "slow", Addr: s.far.Addr(), Handle: answerButInvite, Cert: s.ca.Domain(t, "example.net"),
		TLS: func(c *tls.Config) {
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
				hello <- struct{}{}
				<-stall
				return nil, nil
			}
		}})
	slow.Listen(secure(t), 5061)
	r := s.asks("sip:bob@example.net")
	<-hello
	s.noRows()
	close(stall)
	slow.Expect("alice's MESSAGE", same(r.CallID, true))
	s.row()

	for name, cert := range map[string]*siptest.Cert{
		"other domain":    s.ca.Domain(t, "example.org"),
		"other authority": siptest.NewCA(t).Domain(t, "example.net"),
		"expired":         s.ca.Issue(t, siptest.Spec{DNSNames: []string{"example.net"}, NotAfter: time.Now().Add(-time.Minute)}),
	} {
		s := newStand(t, plan{ca: s.ca, far: cert})
		s.fails("sip:bob@example.net")
		if rows := s.p.rows(); len(rows) != 0 {
			t.Errorf("%s: %+v", name, rows)
		}
		if n := len(s.p.tlsConns()); n != 0 {
			t.Errorf("%s: %d connections", name, n)
		}
	}
	t.Run("resumed", func(t *testing.T) {
		t.Parallel()
		resumedServer(t)
	})
}

// resumedServer: on a resumed session, where no certificate is sent, the server is authenticated all the
// same, and refused when its certificate has ended meanwhile.
func resumedServer(t *testing.T) {
	ca := siptest.NewCA(t)
	s := newStand(t, plan{ca: ca, far: ca.Issue(t, siptest.Spec{URIs: []string{"sip:example.net"}, NotAfter: time.Now().Add(4 * time.Second)}),
		tls: func(c *tls.Config) { c.SetSessionTicketKeys([][32]byte{{1}}) }})
	first := s.sends("sip:bob@example.net", s.far).Conn
	end := s.row().NotAfter
	first.Close()
	eventually(t, "the row is gone", func() bool { return len(s.p.rows()) == 0 })
	again := s.sends("sip:bob@example.net", s.far).Conn
	if !again.TLS().DidResume {
		t.Error("the session was not resumed")
	}
	if r := s.row(); !r.Identities.Contains("example.net") || !r.NotAfter.Equal(end) {
		t.Errorf("the resumed connection has the row %+v", r)
	}
	again.Close()
	eventually(t, "the row is gone", func() bool { return len(s.p.rows()) == 0 })
	eventually(t, "the certificate has ended", func() bool { return time.Now().After(end) })
	s.fails("sip:bob@example.net")
	s.noRows()
}

func rowHasServerIdentities(t *testing.T) {
	ca := siptest.NewCA(t)
	s := newStand(t, plan{ca: ca, far: ca.Issue(t, siptest.Spec{
		CommonName: "cn.example.net",
		URIs:       []string{"sip:example.net", "sips:secure.example.net", "sip:bob@user.example.net", "SIP:P2.Example.Net:5061"},
		DNSNames:   []string{"dns.example.net"},
	})})
	s.sends("sip:bob@example.net", s.far)
	names := s.row().Identities.Names()
	slices.Sort(names)
	if want := []string{"example.net", "p2.example.net"}; !slices.Equal(names, want) {
		t.Errorf("the row has the identities %v, want %v", names, want)
	}
}

func rowHasResolvedAddress(t *testing.T) {
	s := newStand(t, plan{port: 5071})
	s.sends("sip:bob@example.net", s.far)
	if r := s.row(); r.Resolved != s.resolved(s.far, 5071) {
		t.Errorf("the row is for %v, and the DNS has %v", r.Resolved, s.resolved(s.far, 5071))
	}
}

func rowHasDialedConnection(t *testing.T) {
	s := newStand(t, plan{})
	conn := s.sends("sip:bob@example.net", s.far).Conn
	s.offer(s.far, s.dials(s.far), "p2.example.net") // another connection that stands open
	r := s.row()
	if r.Direction != alias.Dialed {
		t.Errorf("the row is %v", r.Direction)
	}
	for _, c := range s.p.tlsConns() {
		if (c.ID == r.Conn) != (c.Local == conn.Remote() && c.Remote == conn.Local()) {
			t.Errorf("the row has connection %d, and connection %d is %v to %v", r.Conn, c.ID, c.Local, c.Remote)
		}
	}
}

// dialedNeedsBoth: the right address with the wrong name, and the right name at another address.
func dialedNeedsBoth(t *testing.T) {
	s := newStand(t, plan{})
	conn := s.sends("sip:bob@example.net", s.far).Conn
	s.names("example.org", "p2.example.net", s.far.Addr(), 5061)
	if got := s.fails("sip:bob@example.org"); got.StatusCode() != 503 {
		t.Errorf("the wrong name is answered %d", got.StatusCode())
	}
	quiet(s.far)
	other := siptest.NewPeer(t, siptest.PeerConfig{Name: "other", Cert: s.ca.Domain(t, "p2.example.net"), Handle: answerButInvite})
	other.Listen(secure(t), 5061)
	s.far.Listen(secure(t), 5062)
	s.record(fmt.Sprintf("_sips._tcp.p2.example.net. 60 IN SRV 1 1 5061 elsewhere.example.net.\nelsewhere.example.net. 60 IN A %s", other.Addr()))
	s.notOver(conn, "sip:bob@p2.example.net;transport=tls", other)
	s.notOver(conn, "sip:bob@p2.example.net:5062;transport=tls", s.far)
	s.over(conn, "sip:bob@p2.example.net:5061;transport=tls", s.far) // both
	s.over(conn, "sip:bob@example.net", s.far)
}
