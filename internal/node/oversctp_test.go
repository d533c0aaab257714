package node_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// Tests with "SCTP" in their names speak TLS over SCTP where others speak TLS over TCP, and SCTP where those speak TCP:
// the same functions, texts and all.

// overSCTP tells whether a test is one of them.
func overSCTP(t *testing.T) bool { return strings.Contains(strings.ToUpper(t.Name()), "SCTP") }

// secure is the transport of a test that is authenticated.
func secure(t *testing.T) sipaddr.Transport {
	if overSCTP(t) {
		return sipaddr.TLSSCTP
	}
	return sipaddr.TLS
}

// plain is the transport of a test without TLS that has connections.
func plain(t *testing.T) sipaddr.Transport {
	if overSCTP(t) {
		return sipaddr.SCTP
	}
	return sipaddr.TCP
}

// listener finds where a proxy listens for TLS.
var listener = regexp.MustCompile(`tls://([^ ,\]]+):5061`)

// inSCTP are the words of a configuration, a zone or a message about TCP, and what they are over SCTP.
var inSCTP = strings.NewReplacer(
	"SIPS+D2T", "SIPS+D2S", "SIP+D2T", "SIP+D2S", "_sips._tcp", "_sips._sctp", "_sip._tcp", "_sip._sctp",
	"transport=tls-sctp", "transport=tls-sctp", "transport=tls", "transport=tls-sctp", "transport=tcp", "transport=sctp",
	"SIP/2.0/TLS-SCTP ", "SIP/2.0/TLS-SCTP ", "SIP/2.0/TLS ", "SIP/2.0/TLS-SCTP ", "SIP/2.0/tls ", "SIP/2.0/tls-sctp ",
	"SIP/2.0/TCP ", "SIP/2.0/SCTP ", "SIP/2.0/SCTP ", "SIP/2.0/TCP ",
)

// spoken puts a text into the words of the test's transport.
func spoken(t *testing.T, text string) string {
	if !overSCTP(t) {
		return text
	}
	return inSCTP.Replace(listener.ReplaceAllString(text, "sctp://$1:5060, tls-sctp://$1:5061"))
}

// notOverSCTP are the clauses that are about TCP, with the reason.
var notOverSCTP = map[string]string{
	"seed-tls-tcp":  "it is about TCP, and seed-tls-sctp is its like",
	"seed-tcp-pair": "it is about TCP, and seed-sctp-pair is its like",
}

// TestClausesOverSCTP runs the tests of all clauses again, over SCTP.
func TestClausesOverSCTP(t *testing.T) {
	t.Parallel()
	for _, id := range ledger(t, "testdata/clauses.txt") {
		if run := clauses[id]; run != nil && notOverSCTP[id] == "" && !strings.Contains(id, "sctp") {
			t.Run(id, func(t *testing.T) {
				t.Parallel()
				run(t)
			})
		}
	}
}

// TestHijackOverSCTP has the attackers of TestHijack and its like speak SCTP.
func TestHijackOverSCTP(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(*testing.T){
		"offers":     TestHijack,
		"gone":       TestHijackAfterTheVictimIsGone,
		"listening":  TestHijackByListening,
		"legitimate": TestLegitimatePeerIsReused,
	} {
		t.Run(name, run)
	}
}

// TestSCTPPeerDies has a peer vanish with a request that it has not answered: that is noticed within four seconds, and the caller
// is told then and not when the transaction would be over.
func TestSCTPPeerDies(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	alice := b.agent("alice", nil)
	far := siptest.NewPeer(t, siptest.PeerConfig{Name: "far", Cert: b.ca.Domain(t, "example.net")}) // answers nothing
	far.Listen(sipaddr.TLSSCTP, 5061)
	b.serve("example.net", "p2.example.net", far.Addr())
	here := siptest.Loopback(t)
	relay := siptest.NewRelay(t, here, netip.AddrPortFrom(far.Addr(), 9899))
	p := b.start(setup{addr: here, relay: []netip.Addr{alice.Addr()},
		yaml: fmt.Sprintf("sctp: {peer_udp_port: %d, ping: 500ms, retransmissions: 1}\ntimers: {dial: 300ms}\n", relay.Port)})
	conn := alice.Dial(sipaddr.UDP, p.at(sipaddr.UDP))
	conn.SendRequest(conn.Request(sip.MethodMessage, "sip:bob@example.net"))
	far.ExpectRequest(sip.MethodMessage)
	relay.Cut()
	within(t, 4*time.Second, "the association is given up", func() bool { return len(p.tlsConns()) == 0 })
	if got := alice.ExpectFinal(sip.MethodMessage); got.StatusCode() != 500 { // RFC 3261, Section 16.7: a 503 is not passed on
		t.Errorf("answered %d, want 500", got.StatusCode())
	}
	if len(p.rows()) != 0 {
		t.Errorf("there is a row: %+v", p.rows())
	}
}
