package node_test

// RFC 5923, Section 8.2: the connection that the proxy has accepted.

import (
	"slices"
	"testing"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/siptest"
)

var chapter82 = map[string]func(*testing.T){
	"5923-8.2-1": acceptedStaysUp,
	"5923-8.2-2": acceptedIsReused,
	"5923-8.2-3": declinedByPolicy,
	"5923-8.2-4": acceptedIsGone,
	"5923-8.2-5": destinationPort,
	"5923-8.2-6": clientAuthenticatedFirst,
	"5923-8.2-7": rowHasClientIdentities,
	"5923-8.2-8": acceptedNeedsBoth,
	"5923-8.2-9": withoutAlias,
}

// calls has far invite alice over a connection, with parameters in its Via; alice takes the call and hangs
// up. It gives the connections that far's responses and alice's BYE came over.
func (s *stand) calls(conn *siptest.Conn, params ...string) (ok, bye *siptest.Received) {
	s.t.Helper()
	invite := conn.Request(sip.MethodInvite, "sip:alice@example.com")
	conn.SendRequest(invite.SetSentBy("p2.example.net", params...))
	in := s.alice.ExpectRequest(sip.MethodInvite)
	in.Reply(200)
	ok = s.far.ExpectResponseTo(sip.MethodInvite, 200)
	conn.SendRequest(invite.Ack(ok))
	s.alice.ExpectRequest(sip.MethodAck)
	r := in.InDialog(sip.MethodBye, in.Conn)
	r.URI = "sip:bob@example.net" // as a proxy of example.net would record-route itself
	in.Conn.SendRequest(r)
	bye = s.far.ExpectRequest(sip.MethodBye)
	s.alice.ExpectResponseTo(sip.MethodBye, 200)
	return ok, bye
}

func acceptedStaysUp(t *testing.T) {
	s := newStand(t, plan{rest: quickly})
	conn := s.offered("p2.example.net")
	s.noTransactions()
	s.standsOpen(conn)
	if ok, bye := s.calls(conn, "alias"); ok.Conn != conn || bye.Conn != conn {
		t.Errorf("the call was answered over %v, and ended over %v", ok.Conn, bye.Conn)
	}
	s.noTransactions()
	s.standsOpen(conn)
	if got := s.dialog(); got != conn { // and far hangs up
		t.Errorf("a call the other way went over %v", got)
	}
	s.noTransactions()
	s.standsOpen(conn)
	conn.SendRequest(conn.Request(sip.MethodMessage, "sip:alice@nowhere.example"))
	if final := s.far.ExpectFinal(sip.MethodMessage); final.StatusCode() < 400 {
		t.Errorf("a request to nobody is answered %d", final.StatusCode())
	}
	s.noTransactions()
	s.standsOpen(conn)
}

// acceptedIsReused: requests of every kind go backwards, and nothing is dialed.
func acceptedIsReused(t *testing.T) {
	s := newStand(t, plan{})
	conn := s.offered("p2.example.net")
	for range 3 {
		s.over(conn, "sip:bob@example.net", s.far)
	}
	if got := s.dialog(); got != conn {
		t.Errorf("a call came over %v, want %v", got, conn)
	}
	if ok, bye := s.calls(conn, "alias"); ok.Conn != conn || bye.Conn != conn {
		t.Errorf("a call the other way was answered over %v and ended over %v", ok.Conn, bye.Conn)
	}
	if n := s.p.Handshakes(); n != 1 {
		t.Errorf("%d handshakes, want one", n)
	}
	if r := s.row(); r.Direction != alias.Accepted || r.Resolved != s.resolved(s.far, 5061) {
		t.Errorf("the row is %+v", r)
	}
}

// declinedByPolicy: the same request, with alias and without, is answered the same by a proxy that declines.
// Another of the peer's names than the one that is in its configuration makes no difference.
func declinedByPolicy(t *testing.T) {
	s := newStand(t, plan{peers: "[{name: partner, identities: [p2.example.net], alias: decline}]"})
	conn := s.dials(s.far)
	for _, params := range [][]string{{"alias"}, {}} {
		if got := s.offer(s.far, conn, "p2.example.net", params...); got.StatusCode() != 200 || got.Conn != conn {
			t.Errorf("OPTIONS with %v is answered %d over %v", params, got.StatusCode(), got.Conn)
		}
		ok, bye := s.calls(conn, params...)
		if ok.Conn != conn || bye.Conn == conn {
			t.Errorf("a call with %v is answered over %v, and ended over %v", params, ok.Conn, bye.Conn)
		}
		for _, r := range s.p.rows() {
			if r.Direction == alias.Accepted {
				t.Errorf("a row was made: %+v", r)
			}
		}
		s.notOver(conn, "sip:bob@example.net", s.far)
	}
	s.standsOpenBeside(conn)
	if n := s.p.Stats().Transport.Aliases[alias.DeclinedByPolicy]; n == 0 {
		t.Error("nothing was declined")
	}
}

// standsOpenBeside checks that a connection without a row still serves requests.
func (s *stand) standsOpenBeside(conn *siptest.Conn) {
	s.t.Helper()
	if !s.connected(conn) || s.offer(s.far, conn, "p2.example.net").StatusCode() != 200 {
		s.t.Errorf("%v does not serve any more", conn)
	}
}

func acceptedIsGone(t *testing.T) {
	for name, end := range ways {
		for _, at := range []string{"noticed", "at once"} {
			t.Run(name+" "+at, func(t *testing.T) {
				t.Parallel()
				s := newStand(t, plan{})
				conn := s.offered("p2.example.net")
				s.over(conn, "sip:bob@example.net", s.far)
				old := s.row()
				end(conn)
				if at == "noticed" {
					eventually(t, "the row is gone", func() bool { return len(s.p.rows()) == 0 })
				}
				r := s.asks("sip:bob@example.net")
				if got := s.alice.Expect("the answer", same(r.CallID, false)); got.StatusCode() != 200 {
					t.Errorf("answered %d", got.StatusCode())
				}
				again := s.notOver(conn, "sip:bob@example.net", s.far)
				eventually(t, "the old row is gone", func() bool { return len(s.p.rows()) == 1 })
				if r := s.row(); r.Conn == old.Conn || r.Direction != alias.Dialed || r.Resolved != old.Resolved {
					t.Errorf("the row is %+v, and was %+v", r, old)
				}
				s.over(again, "sip:bob@example.net", s.far)
				anew := s.offered("p2.example.net") // and the peer may offer again
				if got := s.sends("sip:bob@example.net", s.far).Conn; got != anew && got != again {
					t.Errorf("a request came over %v", got)
				}
			})
		}
	}
}

// destinationPort: requests for the port in sent-by go over the connection, and those for others do not.
func destinationPort(t *testing.T) {
	s := newStand(t, plan{port: 5071})
	s.far.Listen(secure(t), 5061)
	conn := s.offered("p2.example.net:5071")
	s.over(conn, "sip:bob@example.net", s.far)
	s.over(conn, "sip:bob@p2.example.net:5071;transport=tls", s.far)
	s.notOver(conn, "sip:bob@p2.example.net:5061;transport=tls", s.far)

	s = newStand(t, plan{})
	s.far.Listen(secure(t), 5071)
	conn = s.offered("p2.example.net") // none: the default
	s.over(conn, "sip:bob@p2.example.net:5061;transport=tls", s.far)
	s.over(conn, "sip:bob@example.net", s.far)
	s.notOver(conn, "sip:bob@p2.example.net:5071;transport=tls", s.far)
	if port := conn.Local().Port(); port != 5061 {
		s.far.Listen(secure(t), 0) // the port that the connection comes from is no one's destination
		for _, r := range s.p.rows() {
			if r.Resolved.Port() == port {
				t.Errorf("a row for the source port: %+v", r)
			}
		}
	}
}

// clientAuthenticatedFirst: who shows nothing, or what does not verify, gets no row, whatever it says.
func clientAuthenticatedFirst(t *testing.T) {
	ca := siptest.NewCA(t)
	s := newStand(t, plan{ca: ca})
	for name, cert := range map[string]*siptest.Cert{
		"no certificate":  nil,
		"no identity":     ca.Issue(t, siptest.Spec{CommonName: "example.net"}),
		"other authority": siptest.NewCA(t).Domain(t, "example.net", "p2.example.net"),
	} {
		peer := siptest.NewPeer(t, siptest.PeerConfig{Name: "stranger", Addr: s.far.Addr(), Cert: cert, Handle: answerButInvite})
		if conn, err := peer.TryDial(secure(t), s.p.at(secure(t)), "example.com"); err == nil {
			r := conn.Request(sip.MethodOptions, "sip:p1.example.com").SetSentBy("p2.example.net", "alias")
			_ = conn.TrySend(r.String()) // it may have been closed meanwhile
			eventually(t, "OPTIONS is answered or the connection closed", func() bool {
				return conn.Closed() || slices.ContainsFunc(peer.Received(), same(r.CallID, false))
			})
		}
		for _, r := range s.p.rows() {
			if r.Direction == alias.Accepted {
				t.Errorf("%s: a row was made: %+v", name, r)
			}
		}
		s.sends("sip:bob@example.net", s.far)
		quiet(peer)
	}
	s.offered("p2.example.net") // the same offer of somebody who has proved it
	if !slices.ContainsFunc(s.p.rows(), func(r alias.Row) bool { return r.Direction == alias.Accepted }) {
		t.Error("no row for an authenticated client")
	}
}

func rowHasClientIdentities(t *testing.T) {
	ca := siptest.NewCA(t)
	s := newStand(t, plan{ca: ca, far: ca.Issue(t, siptest.Spec{
		CommonName: "cn.example.net",
		URIs:       []string{"sip:example.net", "sips:secure.example.net", "sip:bob@user.example.net", "SIP:P2.Example.Net:5061"},
		DNSNames:   []string{"dns.example.net"},
	})})
	conn := s.offered("sent-by.example.net") // nothing that the certificate has
	names := s.row().Identities.Names()
	slices.Sort(names)
	if want := []string{"example.net", "p2.example.net"}; !slices.Equal(names, want) {
		t.Errorf("the row has the identities %v, want %v", names, want)
	}
	s.over(conn, "sip:bob@example.net", s.far)
	s.over(conn, "sip:bob@p2.example.net;transport=tls", s.far)
	for _, other := range []string{"sent-by.example.net", "dns.example.net", "secure.example.net", "user.example.net", "cn.example.net"} {
		s.names(other, "p2.example.net", s.far.Addr(), 5061)
		s.fails("sip:bob@" + other)
	}
	quiet(s.far)
}

// acceptedNeedsBoth: the right address with the wrong name, and the right name at another address.
func acceptedNeedsBoth(t *testing.T) {
	s := newStand(t, plan{})
	conn := s.offered("p2.example.net")
	s.names("example.org", "p2.example.net", s.far.Addr(), 5061)
	if got := s.fails("sip:bob@example.org"); got.StatusCode() != 503 {
		t.Errorf("the wrong name is answered %d", got.StatusCode())
	}
	quiet(s.far)
	s.far.Listen(secure(t), 5062)
	s.notOver(conn, "sip:bob@p2.example.net:5062;transport=tls", s.far)
	other := s.elsewhere()
	s.zone.Reset()
	s.names("example.net", "b.example.net", other.Addr(), 5061)
	s.record("p2.example.net. 60 IN A " + s.far.Addr().String())
	s.notOver(conn, "sip:bob@example.net", other)
	s.over(conn, "sip:bob@p2.example.net;transport=tls", s.far) // both
}

func withoutAlias(t *testing.T) {
	s := newStand(t, plan{})
	conn := s.dials(s.far)
	if got := s.offer(s.far, conn, "p2.example.net"); got.StatusCode() != 200 {
		t.Errorf("OPTIONS is answered %d", got.StatusCode())
	}
	ok, bye := s.calls(conn)
	if ok.Conn != conn || bye.Conn == conn {
		t.Errorf("a call was answered over %v and ended over %v", ok.Conn, bye.Conn)
	}
	for _, r := range s.p.rows() {
		if r.Direction == alias.Accepted {
			t.Errorf("a row was made: %+v", r)
		}
	}
	s.notOver(conn, "sip:bob@example.net", s.far)
	s.standsOpenBeside(conn)

	s = newStand(t, plan{deaf: true})
	s.offer(s.far, s.dials(s.far), "p2.example.net")
	s.fails("sip:bob@example.net") // rather than over the connection that nobody offered
	quiet(s.far)
	if got := s.offer(s.far, s.dials(s.far), "p2.example.net", "x", "alias=no"); got.StatusCode() != 200 {
		t.Errorf("OPTIONS is answered %d", got.StatusCode())
	}
	s.noRows()
}
