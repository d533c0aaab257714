package node_test

// RFC 5923, Section 8.3: how a TLS connection is closed, from either side.

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/siptest"
	"github.com/tandem-sip/tandem/transport"
)

var chapter83 = map[string]func(*testing.T){
	"5923-8.3-1": closeWaitsForTransactions,
	"5923-8.3-2": closeDiscards,
	"5923-8.3-3": nothingNewAfterAlert,
	"5923-8.3-4": answersWhileClosing,
}

// soonEnding is a certificate of example.net that ends in two to three seconds. The proxy closes the
// connection of a peer whose certificate has ended: that is how a test has it close one of its own accord.
func soonEnding(t *testing.T, ca *siptest.CA) *siptest.Cert {
	t.Helper()
	return ca.Issue(t, siptest.Spec{URIs: []string{"sip:example.net", "sip:p2.example.net"}, NotAfter: time.Now().Add(3 * time.Second)})
}

// state is that of the proxy's end of a connection, and transport.Closed without one.
func (s *stand) state(conn *siptest.Conn) transport.State {
	for _, c := range s.p.tlsConns() {
		if c.Local == conn.Remote() && c.Remote == conn.Local() {
			return c.State
		}
	}
	return transport.Closed
}

// closeWaitsForTransactions: the proxy drains while bob's phone rings and while alice's does, and sends no
// closure alert before both have answered. What it abandons at a hard stop gets its transport error.
func closeWaitsForTransactions(t *testing.T) {
	s := newStand(t, plan{rest: quickly})
	conn, invite, in := s.invites() // a client transaction on the TLS connection
	in.Reply(180)
	s.alice.ExpectResponse(180)
	back := s.dials(s.far)
	other := back.SendRequest(back.Request(sip.MethodInvite, "sip:alice@example.com")) // and a server transaction
	ringing := s.alice.ExpectRequest(sip.MethodInvite)
	ringing.Reply(180)
	s.far.ExpectResponse(180)

	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// Ends when the proxy has drained, or with ctx.
	go func() { done <- s.p.Drain(ctx) }()
	s.far.ExpectNoRequest(150*time.Millisecond, "")
	if in.Conn.Closed() || back.Closed() {
		t.Fatal("a connection was closed while transactions were outstanding")
	}
	in.Reply(486)
	s.far.ExpectRequest(sip.MethodAck)
	conn.SendRequest(invite.Ack(s.alice.ExpectResponseTo(sip.MethodInvite, 486)))
	if back.Closed() {
		t.Fatal("a connection was closed while alice's phone rang")
	}
	ringing.Reply(486)
	back.SendRequest(other.Ack(s.far.ExpectResponseTo(sip.MethodInvite, 486)))
	for _, c := range []*siptest.Conn{in.Conn, back} {
		if err := c.ExpectClosed(); !errors.Is(err, io.EOF) {
			t.Errorf("%v ended with %v, want a closure alert", c, err)
		}
		c.Close()
	}
	if err := <-done; err != nil {
		t.Errorf("Drain: %v", err)
	}

	t.Run("one connection", func(t *testing.T) {
		t.Parallel()
		ca := siptest.NewCA(t)
		s := newStand(t, plan{ca: ca, far: soonEnding(t, ca)})
		conn, invite, in := s.invites()
		in.Reply(180)
		eventually(t, "the connection is being closed", func() bool { return s.state(in.Conn) != transport.Open })
		s.far.ExpectNoRequest(100*time.Millisecond, "")
		if in.Conn.Closed() {
			t.Fatal("the connection was closed while bob's phone rang")
		}
		in.Reply(486)
		if got := s.far.ExpectRequest(sip.MethodAck); got.Conn != in.Conn {
			t.Errorf("ACK came over %v", got.Conn)
		}
		conn.SendRequest(invite.Ack(s.alice.ExpectResponseTo(sip.MethodInvite, 486)))
		if err := in.Conn.ExpectClosed(); !errors.Is(err, io.EOF) {
			t.Errorf("ended with %v, want a closure alert", err)
		}
	})
	t.Run("abandoned", func(t *testing.T) {
		t.Parallel()
		ca := siptest.NewCA(t)
		s := newStand(t, plan{ca: ca, far: soonEnding(t, ca), rest: "timers: {drain: 200ms}\n"})
		_, _, in := s.invites()
		in.Reply(180)
		in.Conn.ExpectClosed()
		in.Conn.Close()
		if got := s.alice.ExpectFinal(sip.MethodInvite); got.StatusCode() < 500 {
			t.Errorf("the abandoned INVITE is answered %d", got.StatusCode())
		}
	})
}

// closeDiscards: after its closure alert the proxy throws away what still comes, and goes by nothing in it.
func closeDiscards(t *testing.T) {
	ca := siptest.NewCA(t)
	s := newStand(t, plan{ca: ca, far: soonEnding(t, ca)})
	conn := s.dials(s.far)
	s.offer(s.far, conn, "p2.example.net")
	if err := conn.ExpectClosed(); !errors.Is(err, io.EOF) {
		t.Fatalf("ended with %v, want a closure alert", err)
	}
	before := s.p.Stats().Transport
	heard := conn.Request(sip.MethodMessage, "sip:alice@example.com")
	conn.Send(heard.String())
	half := conn.Request(sip.MethodMessage, "sip:alice@example.com").String()
	conn.Send(half[:len(half)/2])
	s.alice.ExpectNoRequest(150*time.Millisecond, "")
	if after := s.p.Stats().Transport; after.MessagesIn != before.MessagesIn || after.Malformed != before.Malformed {
		t.Errorf("%d messages were read after the closure alert, %d malformed", after.MessagesIn-before.MessagesIn, after.Malformed-before.Malformed)
	}
	conn.Close()
	eventually(t, "the connection is gone", func() bool { return s.state(conn) == transport.Closed })
}

// nothingNewAfterAlert: the peer has sent its closure alert and reads on. Nothing new comes over the
// connection, in either direction of its making, though a response is still owed on it.
func nothingNewAfterAlert(t *testing.T) {
	for _, dialed := range []bool{true, false} {
		s := newStand(t, plan{})
		var conn *siptest.Conn
		if dialed {
			conn = s.sends("sip:bob@example.net", s.far).Conn
		} else {
			conn = s.offered("p2.example.net")
		}
		_, _, ringing := s.invites() // bob's phone rings
		ringing.Reply(180)
		s.alice.ExpectResponse(180)
		conn.SendRequest(conn.Request(sip.MethodInvite, "sip:alice@example.com")) // and so does alice's
		in := s.alice.ExpectRequest(sip.MethodInvite)
		in.Reply(180)
		s.far.ExpectResponse(180)
		conn.CloseWrite()
		eventually(t, "the proxy has heard the alert", func() bool { return s.state(conn) != transport.Open })
		again := s.notOver(conn, "sip:bob@example.net", s.far)
		s.over(again, "sip:bob@example.net", s.far)
		if s.state(conn) != transport.Draining || conn.Closed() {
			t.Errorf("the connection is %v", s.state(conn))
		}
		for _, got := range s.far.Received() {
			if got.Conn == conn && got.Message != nil && got.IsRequest() && got.Method() == sip.MethodCancel {
				t.Error("CANCEL came over the connection")
			}
		}
		cancel := s.far.ExpectRequest(sip.MethodCancel) // its answer could not have come over the old one
		if cancel.Conn != again {
			t.Errorf("CANCEL came over %v", cancel.Conn)
		}
		in.Reply(486)
		if got := s.far.ExpectResponseTo(sip.MethodInvite, 486); got.Conn != conn {
			t.Errorf("the answer came over %v", got.Conn)
		}
	}
}

// answersWhileClosing: whoever closes, the proxy answers over the connection what came over it.
func answersWhileClosing(t *testing.T) {
	hold := func(s *stand, conn *siptest.Conn) (message, invite *siptest.Received) {
		conn.SendRequest(conn.Request(sip.MethodInvite, "sip:alice@example.com"))
		invite = s.alice.ExpectRequest(sip.MethodInvite)
		conn.SendRequest(conn.Request(sip.MethodInfo, "sip:carol@example.com"))
		return s.alice.ExpectRequest(sip.MethodInfo), invite
	}
	answer := func(s *stand, conn *siptest.Conn, message, invite *siptest.Received) {
		s.t.Helper()
		message.Reply(200)
		invite.Reply(180)
		invite.Reply(603)
		for _, want := range []struct {
			method string
			status int
		}{{sip.MethodInfo, 200}, {sip.MethodInvite, 180}, {sip.MethodInvite, 603}} {
			if got := s.far.ExpectResponseTo(want.method, want.status); got.Conn != conn {
				s.t.Errorf("%d to %s came over %v, want %v", want.status, want.method, got.Conn, conn)
			}
		}
		if err := conn.ExpectClosed(); !errors.Is(err, io.EOF) {
			s.t.Errorf("ended with %v, want a closure alert", err)
		}
	}
	t.Run("the peer closes", func(t *testing.T) {
		t.Parallel()
		s := newStand(t, plan{quiet: true})
		conn := s.offered("p2.example.net")
		message, invite := hold(s, conn)
		conn.CloseWrite()
		eventually(t, "the proxy has heard the alert", func() bool { return s.state(conn) == transport.Draining })
		answer(s, conn, message, invite)
	})
	t.Run("the proxy closes", func(t *testing.T) {
		t.Parallel()
		ca := siptest.NewCA(t)
		s := newStand(t, plan{quiet: true, ca: ca, far: soonEnding(t, ca)})
		conn := s.offered("p2.example.net")
		message, invite := hold(s, conn)
		eventually(t, "the connection is being closed", func() bool { return s.state(conn) == transport.Draining })
		answer(s, conn, message, invite)
	})
	t.Run("it cannot carry them", func(t *testing.T) { // so they come over a new one to sent-by
		s := newStand(t, plan{quiet: true})
		conn := s.dials(s.far)
		r := conn.SendRequest(conn.Request(sip.MethodInfo, "sip:alice@example.com").SetSentBy("p2.example.net"))
		in := s.alice.ExpectRequest(sip.MethodInfo)
		conn.Reset()
		eventually(t, "the connection is gone", func() bool { return s.state(conn) == transport.Closed })
		in.Reply(200)
		got := s.far.Expect("the answer", same(r.CallID, false))
		if got.Conn == conn || !slices.Contains(s.far.Conns(), got.Conn) || got.Conn.Local().Port() != 5061 {
			t.Errorf("the answer came over %v", got.Conn)
		}
	})
}
