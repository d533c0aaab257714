package node_test

import (
	"testing"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// TestInside: a source address in relay_from may send to an address of the inside that it writes down, but
// who authenticated as a domain of its own may not, even from such an address.
func TestInside(t *testing.T) {
	b := newBench(t)
	inside := siptest.NewPeer(t, siptest.PeerConfig{Name: "inside", Handle: siptest.AnswerAll})
	inside.Listen(sipaddr.UDP, 5060)
	party := siptest.NewPeer(t, siptest.PeerConfig{
		Name: "party", Addr: inside.Addr(), Cert: b.ca.Domain(t, "example.org"), Handle: siptest.AnswerAll,
	})
	target := siptest.NewPeer(t, siptest.PeerConfig{Name: "target", Handle: siptest.AnswerAll})
	target.Listen(sipaddr.UDP, 5060)
	s := setup{yaml: "peers: [{name: partner, identities: [example.org]}]\n"}
	s.relay = append(s.relay, inside.Addr())
	p := b.start(s)

	uri := "sip:x@" + target.Addr().String()
	conn := inside.Dial(sipaddr.UDP, p.at(sipaddr.UDP))
	conn.SendRequest(conn.Request(sip.MethodMessage, uri))
	target.ExpectRequest(sip.MethodMessage)
	inside.ExpectResponseTo(sip.MethodMessage, 200)

	conn = party.Dial(sipaddr.TLS, p.at(sipaddr.TLS))
	conn.SendRequest(conn.Request(sip.MethodMessage, uri))
	party.ExpectResponseTo(sip.MethodMessage, 403)
}
