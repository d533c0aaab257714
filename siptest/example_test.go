package siptest_test

import (
	"testing"

	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// A test of an element under test at proxy would look like this.
func Example() {
	_ = func(t *testing.T) {
		ca := siptest.NewCA(t)
		resolver := siptest.NewDNS(t, `_sips._tcp.example.net. 60 IN SRV 0 0 5061 p2.example.net.`)
		_ = resolver.Addr() // for the settings of the element

		bob := siptest.NewPeer(t, siptest.PeerConfig{Name: "bob", Cert: ca.Domain(t, "example.net"), Handle: siptest.AnswerAll})
		proxy := bob.Listen(sipaddr.TLS, 5061) // in earnest, the address of the element

		alice := siptest.NewPeer(t, siptest.PeerConfig{Name: "alice"})
		c := alice.Dial(sipaddr.TLS, proxy)
		invite := c.SendRequest(c.Request("INVITE", "sip:bob@example.net"))
		ok := alice.ExpectFinal("INVITE")
		c.SendRequest(invite.Ack(ok))
		bob.ExpectRequest("ACK")
	}
}
