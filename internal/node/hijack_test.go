package node_test

import (
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// hijack is a proxy of example.net with an agent, and a victim: the server of example.com, which
// listens on its address. Attackers stand on the victim's own address.
type hijack struct {
	*bench
	p      *proxy
	bob    *siptest.Peer
	victim *siptest.Peer
}

func newHijack(t *testing.T) *hijack {
	t.Helper()
	h := &hijack{bench: newBench(t)}
	h.bob = h.agent("bob", siptest.AnswerAll)
	h.victim = siptest.NewPeer(t, siptest.PeerConfig{
		Name: "victim", Cert: h.ca.Domain(t, "example.com", "p1.example.com"), Handle: siptest.AnswerAll,
	})
	h.victim.Listen(secure(t), 5061)
	h.serve("example.com", "p1.example.com", h.victim.Addr())
	h.p = h.side("example.net", "p2.example.net", "example.com", h.bob)
	return h
}

// attacker stands on the victim's address with a certificate, or with none.
func (h *hijack) attacker(cert *siptest.Cert) *siptest.Peer {
	return siptest.NewPeer(h.t, siptest.PeerConfig{
		Name: "attacker", Addr: h.victim.Addr(), Cert: cert, Handle: siptest.AnswerAll,
	})
}

// offers has a peer send a request that offers an alias for a sent-by, and waits for the answer, so that
// whatever the proxy makes of the offer has been made.
func (h *hijack) offers(from *siptest.Peer, conn *siptest.Conn, sentBy string) {
	h.t.Helper()
	r := conn.Request(sip.MethodOptions, "sip:p2.example.net")
	r.Via[0] = "SIP/2.0/" + conn.Transport().String() + " " + sentBy + ";branch=z9hG4bK" + siptest.Token(12) + ";alias"
	conn.SendRequest(r)
	from.ExpectFinal(sip.MethodOptions)
}

// victimIsReached has bob send a request to example.com, which has to come to the victim and to no one
// else.
func (h *hijack) victimIsReached(attacker *siptest.Peer) *siptest.Received {
	h.t.Helper()
	conn := h.bob.Dial(sipaddr.UDP, h.p.at(sipaddr.UDP))
	req := conn.SendRequest(conn.Request(sip.MethodMessage, "sip:alice@example.com"))
	got := h.victim.Expect("bob's MESSAGE", func(r *siptest.Received) bool {
		return r.Message != nil && r.IsRequest() && r.CallID() == req.CallID
	})
	h.bob.ExpectResponseTo(sip.MethodMessage, 200)
	attacker.ExpectSilence(50*time.Millisecond, func(r *siptest.Received) bool {
		return r.Message != nil && r.IsRequest()
	})
	return got
}

// noRowFor checks that no alias row leads to a connection of an attacker under the victim's name.
func (h *hijack) noRowFor(name string) {
	h.t.Helper()
	for _, r := range h.p.rows() {
		if r.Direction == alias.Accepted && r.Identities.Contains(name) {
			h.t.Errorf("a row for %s leads to an attacker: %+v", name, r)
		}
	}
}

// TestHijack has attackers on the victim's own IP address offer aliases. None may receive a request for
// the victim, whether the victim's connection exists already or not: RFC 5923, Section 9.2.
func TestHijack(t *testing.T) {
	t.Parallel()
	attacks := []struct {
		name string
		tr   sipaddr.Transport
		cert func(*hijack) *siptest.Cert
	}{
		{"a-plain-tcp", plain(t), nil},
		{"b-tls-no-certificate", secure(t), nil},
		{"c-tls-other-domain", secure(t), func(h *hijack) *siptest.Cert {
			return h.ca.Domain(h.t, "example.org", "p1.example.org")
		}},
	}
	sentBys := []string{"p1.example.com", "p1.example.com:5061", "example.com:5061", "example.com"}
	for _, a := range attacks {
		run := func(t *testing.T, connected bool) {
			h := newHijack(t)
			var cert *siptest.Cert
			if a.cert != nil {
				cert = a.cert(h)
			}
			attacker := h.attacker(cert)
			if connected {
				h.victimIsReached(attacker) // the victim's connection exists from now on
			}
			conn := attacker.Dial(a.tr, h.p.at(a.tr))
			for _, s := range sentBys {
				h.offers(attacker, conn, s)
				h.noRowFor("example.com")
				h.victimIsReached(attacker)
			}
			// The attacker's connection is still there: it simply has nothing to offer.
			h.offers(attacker, conn, "p1.example.com")
			if n := h.p.Stats().Transport.HandshakesClient; n != 1 {
				t.Errorf("the victim was dialed %d times, want 1", n)
			}
		}
		t.Run(a.name, func(t *testing.T) { run(t, false) })
		t.Run(a.name+"-d-after-the-victim", func(t *testing.T) { run(t, true) })
	}
}

// TestHijackAfterTheVictimIsGone: when the victim's connection ends, its requests go to a new one that is
// dialed, not to the attacker's that is still open.
func TestHijackAfterTheVictimIsGone(t *testing.T) {
	t.Parallel()
	h := newHijack(t)
	attacker := h.attacker(h.ca.Domain(t, "example.org"))
	conn := attacker.Dial(secure(t), h.p.at(secure(t)))
	h.offers(attacker, conn, "p1.example.com")
	first := h.victimIsReached(attacker)
	first.Conn.Close()
	eventually(t, "the victim's row is gone", func() bool { return rowsWith(h.p, "example.com") == 0 })
	if again := h.victimIsReached(attacker); again.Conn == first.Conn {
		t.Error("the request came over the connection that was closed")
	}
}

// TestHijackByListening: a server on the victim's address and port that has no certificate of its name
// gets nothing, and the caller is told at once.
func TestHijackByListening(t *testing.T) {
	t.Parallel()
	for name, cert := range map[string]func(*hijack) *siptest.Cert{
		"other-domain": func(h *hijack) *siptest.Cert { return h.ca.Domain(t, "example.org") },
		"own-authority": func(h *hijack) *siptest.Cert {
			return siptest.NewCA(t).Domain(t, "example.com", "p1.example.com")
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHijack(t)
			h.victim.StopListening(secure(t))
			attacker := h.attacker(cert(h))
			attacker.Listen(secure(t), 5061)
			conn := h.bob.Dial(sipaddr.UDP, h.p.at(sipaddr.UDP))
			conn.SendRequest(conn.Request(sip.MethodMessage, "sip:alice@example.com"))
			final := h.bob.ExpectFinal(sip.MethodMessage)
			if w, _ := final.Header("Warning"); final.StatusCode() != 503 || w == "" {
				t.Errorf("bob got %d with the Warning %q, want 503 that says who was not authenticated", final.StatusCode(), w)
			}
			attacker.ExpectSilence(50*time.Millisecond, nil)
		})
	}
}

// TestLegitimatePeerIsReused is the other half: a peer with the victim's certificate that offers an alias
// from the same address does receive the requests, over the connection that it opened.
func TestLegitimatePeerIsReused(t *testing.T) {
	t.Parallel()
	h := newHijack(t)
	legit := siptest.NewPeer(t, siptest.PeerConfig{
		Name: "legit", Addr: h.victim.Addr(), Cert: h.ca.Domain(t, "example.com", "p1.example.com"), Handle: siptest.AnswerAll,
	})
	conn := legit.Dial(secure(t), h.p.at(secure(t)))
	h.offers(legit, conn, "p1.example.com")
	bobs := h.bob.Dial(sipaddr.UDP, h.p.at(sipaddr.UDP))
	bobs.SendRequest(bobs.Request(sip.MethodMessage, "sip:alice@example.com"))
	if got := legit.ExpectRequest(sip.MethodMessage); got.Conn != conn {
		t.Errorf("the request came over %v, want %v", got.Conn, conn)
	}
	h.bob.ExpectResponseTo(sip.MethodMessage, 200)
	if n := h.p.Stats().Transport.HandshakesClient; n != 0 {
		t.Errorf("%d connections were dialed, want none", n)
	}
}

// rowsWith counts the rows with an identity.
func rowsWith(p *proxy, name string) int {
	n := 0
	for _, r := range p.rows() {
		if r.Identities.Contains(name) {
			n++
		}
	}
	return n
}
