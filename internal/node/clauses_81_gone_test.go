package node_test

// RFC 5923, Section 8.1: what becomes of requests, CANCEL and ACK when the dialed connection is gone.

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
	"github.com/tandem-sip/tandem/transport"
)

// ways are the ways in which a connection ends.
var ways = map[string]func(*siptest.Conn){
	"orderly": (*siptest.Conn).Close,
	"cut":     (*siptest.Conn).Cut,
	"reset":   (*siptest.Conn).Reset,
	"alert":   (*siptest.Conn).CloseWrite,
}

func dialedIsGone(t *testing.T) {
	for name, end := range ways {
		for _, at := range []string{"noticed", "at once"} {
			t.Run(name+" "+at, func(t *testing.T) {
				t.Parallel()
				s := newStand(t, plan{})
				conn := s.sends("sip:bob@example.net", s.far).Conn
				old := s.row()
				end(conn)
				if at == "noticed" {
					eventually(t, "the row is gone", func() bool { return len(s.p.rows()) == 0 })
				}
				if name == "alert" && at == "at once" {
					// It may have come over the old connection still, whose answer the server cannot send there.
					r := s.asks("sip:bob@example.net")
					if got := s.alice.Expect("the answer", same(r.CallID, false)); got.StatusCode() != 200 {
						t.Errorf("answered %d", got.StatusCode())
					}
				}
				again := s.notOver(conn, "sip:bob@example.net", s.far)
				eventually(t, "the old row is gone", func() bool { return len(s.p.rows()) == 1 })
				if r := s.row(); r.Conn == old.Conn || r.Resolved != old.Resolved || r.Direction != alias.Dialed {
					t.Errorf("the row is %+v, and was %+v", r, old)
				}
				s.over(again, "sip:bob@example.net", s.far)
			})
		}
	}
}

// elsewhere is a second server of example.net.
func (s *stand) elsewhere() *siptest.Peer {
	s.t.Helper()
	p := siptest.NewPeer(s.t, siptest.PeerConfig{Name: "elsewhere", Cert: s.ca.Domain(s.t, "example.net"), Handle: answerButInvite})
	p.Listen(secure(s.t), 5061)
	return p
}

// twoTargets makes the DNS name two servers of example.net in an order that it draws for each request.
func (s *stand) twoTargets(other netip.Addr) {
	s.zone.Reset()
	s.record(
		`example.net. 60 IN NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp.example.net.`,
		`_sips._tcp.example.net. 60 IN SRV 10 10 5061 a.example.net.`,
		`_sips._tcp.example.net. 60 IN SRV 10 10 5061 b.example.net.`,
		fmt.Sprintf(`a.example.net. 60 IN A %s`, s.far.Addr()),
		fmt.Sprintf(`b.example.net. 60 IN A %s`, other),
	)
}

// invitesAt has alice invite bob until the INVITE comes to far, and not to the other of two targets.
func (s *stand) invitesAt(other *siptest.Peer) (*siptest.Conn, *siptest.Request, *siptest.Received) {
	s.t.Helper()
	for range 50 {
		conn := s.alice.Dial(sipaddr.UDP, s.p.at(sipaddr.UDP))
		r := conn.SendRequest(conn.Request(sip.MethodInvite, "sip:bob@example.net"))
		var in *siptest.Received
		eventually(s.t, "the INVITE comes somewhere", func() bool {
			for _, got := range append(s.far.Received(), other.Received()...) {
				if same(r.CallID, true)(got) {
					in = got
				}
			}
			return in != nil
		})
		if in.Conn.Local().Addr() == s.far.Addr() {
			return conn, r, in
		}
		in.Reply(486)
		conn.SendRequest(r.Ack(s.alice.Expect("486", same(r.CallID, false))))
		other.ExpectRequest(sip.MethodAck)
	}
	s.t.Fatal("50 requests came to one of two targets")
	return nil, nil, nil
}

// cancelAfterClose: the connection goes away while bob's phone rings. The CANCEL comes over a new one to
// the same of two servers, and so does the ACK for what bob says to it.
func cancelAfterClose(t *testing.T) {
	for name, end := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t, plan{})
			other := s.elsewhere()
			s.twoTargets(other.Addr())
			conn, invite, in := s.invitesAt(other)
			in.Reply(180)
			s.alice.ExpectResponse(180)
			end(in.Conn)
			eventually(t, "the proxy has noticed", func() bool { return !s.connected(in.Conn) })
			conn.SendRequest(invite.Cancel())
			cancel := s.far.ExpectRequest(sip.MethodCancel)
			if cancel.Conn == in.Conn || cancel.Conn.Remote() == in.Conn.Remote() {
				t.Errorf("CANCEL came over %v", cancel.Conn)
			}
			if cancel.Branch() != in.Branch() || cancel.CallID() != in.CallID() {
				t.Errorf("CANCEL has the branch %s, INVITE has %s", cancel.Branch(), in.Branch())
			}
			// The server answers the INVITE over the new connection, for want of the old one.
			cancel.Conn.Send(in.Response(487))
			ack := s.far.ExpectRequest(sip.MethodAck)
			if ack.Conn != cancel.Conn || ack.Branch() != in.Branch() {
				t.Errorf("ACK came over %v", ack.Conn)
			}
			s.alice.ExpectFinal(sip.MethodInvite)
			other.ExpectNoRequest(20*time.Millisecond, sip.MethodCancel)
		})
	}
}

// ackAfterClose: the connection of the INVITE ends, and the one of the CANCEL as well. The final response
// comes over a connection that the server has opened itself; its ACK goes over a new one to the same of two
// servers.
func ackAfterClose(t *testing.T) {
	for name, end := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t, plan{})
			other := s.elsewhere()
			s.twoTargets(other.Addr())
			_, _, in := s.invitesAt(other)
			in.Reply(180)
			s.alice.ExpectResponse(180)
			end(in.Conn)
			cancel := s.far.ExpectRequest(sip.MethodCancel)
			end(cancel.Conn)
			eventually(t, "no connection is left", func() bool { return !s.connected(in.Conn) && !s.connected(cancel.Conn) })
			s.dials(s.far).Send(in.Response(486))
			ack := s.far.ExpectRequest(sip.MethodAck)
			if !ack.Conn.Accepted() || ack.Conn == in.Conn || ack.Conn == cancel.Conn || ack.Branch() != in.Branch() {
				t.Errorf("ACK with the branch %s came over %v", ack.Branch(), ack.Conn)
			}
			other.ExpectNoRequest(20*time.Millisecond, sip.MethodAck)
		})
	}
}

// connected tells whether the proxy has a connection open for new requests.
func (s *stand) connected(conn *siptest.Conn) bool {
	return slices.ContainsFunc(s.p.tlsConns(), func(c transport.ConnInfo) bool {
		return c.Local == conn.Remote() && c.Remote == conn.Local() && c.State == transport.Open
	})
}
