package node_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
	"github.com/tandem-sip/tandem/transport"
)

// open counts the connections of a transport and a direction that take requests.
func (p *proxy) open(tr sipaddr.Transport, dir alias.Direction) (n int) {
	for _, c := range p.Connections() {
		if c.Transport == tr && c.Direction == dir && c.State == transport.Open {
			n++
		}
	}
	return n
}

// connecting is the YAML of a peer to which connections stand open.
func connecting(peer string, uris ...string) string {
	list := ""
	for _, u := range uris {
		list += fmt.Sprintf("%q, ", u)
	}
	return fmt.Sprintf("peers: [{name: partner, identities: [%s], connect: [%s]}]\n", peer, list)
}

// opensItsOwn: two proxies over plain TCP have a connection each before the first request, and requests go over
// the one that their side has opened.
func opensItsOwn(t *testing.T) {
	b := newBench(t)
	alice, bob := b.agent("alice", siptest.AnswerAll), b.agent("bob", siptest.AnswerAll)
	at := [2]netip.Addr{siptest.Loopback(t), siptest.Loopback(t)}
	for i, domain := range []string{"example.com", "example.net"} {
		b.record(fmt.Sprintf(`%[1]s. 60 IN NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp.%[1]s.`, domain),
			fmt.Sprintf(`_sip._tcp.%[1]s. 60 IN SRV 10 10 5060 p.%[1]s.`, domain), fmt.Sprintf(`p.%s. 60 IN A %s`, domain, at[i]))
	}
	side := func(i int, domain, peer string, agent *siptest.Peer) *proxy {
		return b.start(setup{domain: domain, host: "p." + domain, addr: at[i], relay: []netip.Addr{agent.Addr()}, yaml: connecting(peer, "sip:"+peer) +
			fmt.Sprintf("routes: [{match: {domain: %s}, to: \"sip:%s:5060\"}]\n", domain, agent.Addr())})
	}
	p1 := side(0, "example.com", "example.net", alice)
	p2 := side(1, "example.net", "example.com", bob)
	both := func() bool {
		for _, p := range []*proxy{p1, p2} {
			if p.open(plain(t), alias.Dialed) != 1 || p.open(plain(t), alias.Accepted) != 1 {
				return false
			}
		}
		return true
	}
	eventually(t, "a connection of each side", both)
	for _, p := range []*proxy{p1, p2} {
		if n := p.Stats().Transport.MessagesIn; n != 0 {
			t.Fatalf("%s has had %d messages already", p.host, n)
		}
	}
	for range 3 {
		message(t, alice, p1, "sip:bob@example.net", bob)
		message(t, bob, p2, "sip:alice@example.com", alice)
	}
	for _, p := range []*proxy{p1, p2} {
		if n := p.Stats().Transport.Dialed; n != 1 {
			t.Errorf("%s has dialed %d times, want once", p.host, n)
		}
	}
	if !both() {
		t.Errorf("%+v and %+v", p1.Connections(), p2.Connections())
	}
}

// TestPair plays the far side by script.
func TestPair(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	alice := b.agent("alice", siptest.AnswerAll)
	far := siptest.NewPeer(t, siptest.PeerConfig{Name: "far", Handle: siptest.AnswerAll})
	far.Listen(sipaddr.TCP, 5060)
	p := b.start(setup{relay: []netip.Addr{alice.Addr()}, yaml: connecting("example.net", fmt.Sprintf("sip:%s;transport=tcp", far.Addr())) +
		fmt.Sprintf("routes: [{match: {domain: example.com}, to: \"sip:%s:5060\"}]\n", alice.Addr())})
	first := far.Accept()
	back := far.Dial(sipaddr.TCP, p.at(sipaddr.TCP))
	if got := back.SendRequest(back.Request(sip.MethodMessage, "sip:alice@example.com")); got == nil {
		t.Fatal("not sent")
	}
	far.ExpectResponse(200)

	t.Run("requests go over the dialed one", func(t *testing.T) {
		conn := alice.Dial(sipaddr.UDP, p.at(sipaddr.UDP))
		conn.SendRequest(conn.Request(sip.MethodMessage, fmt.Sprintf("sip:bob@%s;transport=tcp", far.Addr())))
		if got := far.ExpectRequest(sip.MethodMessage); got.Conn != first {
			t.Errorf("came over %v, want %v", got.Conn, first)
		}
		alice.ExpectResponse(200)
	})
	t.Run("after loss", func(t *testing.T) {
		for _, end := range []func(*siptest.Conn){(*siptest.Conn).Close, (*siptest.Conn).Reset} {
			begun := time.Now()
			end(first)
			first = far.Accept()
			if d := time.Since(begun); d < 200*time.Millisecond {
				t.Errorf("it was there again after %v: too soon for a peer that has just gone", d)
			}
		}
	})
	t.Run("not towards addresses in messages", func(t *testing.T) {
		other := siptest.NewPeer(t, siptest.PeerConfig{Name: "other", Handle: siptest.AnswerAll})
		other.Listen(sipaddr.TCP, 5060)
		r := back.Request(sip.MethodInvite, "sip:alice@example.com")
		r.SetSentBy(other.Addr().String())
		r.Headers = append(r.Headers, fmt.Sprintf("Contact: <sip:x@%s;transport=tcp>", other.Addr()))
		back.SendRequest(r)
		alice.ExpectRequest(sip.MethodInvite)
		eventually(t, "the one connection", func() bool { return p.open(sipaddr.TCP, alias.Dialed) == 1 })
		if n := len(other.Conns()); n != 0 {
			t.Errorf("%d connections to an address that stood in a message", n)
		}
	})
	t.Run("draining", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		done := make(chan error, 1)
		// Ends when all is closed, or with ctx.
		go func() { done <- p.Drain(ctx) }()
		first.ExpectClosed()
		first.Close()
		back.ExpectClosed()
		back.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		before := p.Stats().Transport.Dialed
		<-time.After(700 * time.Millisecond)
		if n := p.Stats().Transport.Dialed; n != before {
			t.Errorf("%d were dialed while draining", n-before)
		}
	})
}

// TestPairOverTLS: the connection is authenticated as any other, and stands in the table for the first request.
func TestPairOverTLS(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	far := siptest.NewPeer(t, siptest.PeerConfig{Name: "far", Cert: b.ca.Domain(t, "example.net", "p2.example.net"), Handle: siptest.AnswerAll})
	far.Listen(secure(t), 5061)
	b.serve("example.net", "p2.example.net", far.Addr())
	p := b.start(setup{yaml: connecting("example.net", "sips:example.net")})
	far.Accept()
	eventually(t, "a row", func() bool { return len(p.rows()) == 1 })
	if r := p.rows()[0]; r.Direction != alias.Dialed || !r.Identities.Contains("example.net") {
		t.Errorf("row %+v", r)
	}
}

// TestPairFollowsDNS: when the TTL is over it is asked again, and the new address gets a connection too.
func TestPairFollowsDNS(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one, two := siptest.NewPeer(t, siptest.PeerConfig{Name: "one"}), siptest.NewPeer(t, siptest.PeerConfig{Name: "two"})
	one.Listen(sipaddr.TCP, 5062)
	two.Listen(sipaddr.TCP, 5062)
	b.record(fmt.Sprintf("far.example.net. 1 IN A %s", one.Addr()))
	p := b.start(setup{yaml: connecting("example.net", "sip:far.example.net:5062;transport=tcp")})
	one.Accept()
	b.dns.Set(fmt.Sprintf("far.example.net. 1 IN A %s\n", two.Addr()))
	two.Accept()
	eventually(t, "two connections", func() bool { return p.Stats().Transport.Dialed == 2 })
}

// TestPairBacksOff: a peer that is not there is asked less and less often, and found when it comes.
func TestPairBacksOff(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	far := siptest.NewPeer(t, siptest.PeerConfig{Name: "far"})
	p := b.start(setup{yaml: connecting("example.net", fmt.Sprintf("sip:%s;transport=tcp", far.Addr()))})
	eventually(t, "three attempts", func() bool { return p.Stats().Transport.DialsFailed >= 3 })
	if n := p.Stats().Transport.DialsFailed; n > 4 {
		t.Errorf("%d attempts", n)
	}
	far.Listen(sipaddr.TCP, 5060)
	far.Accept()
}

// TestPairReload: a reload begins with what is new, and lets be what is gone.
func TestPairReload(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one, two := siptest.NewPeer(t, siptest.PeerConfig{Name: "one"}), siptest.NewPeer(t, siptest.PeerConfig{Name: "two"})
	one.Listen(sipaddr.TCP, 5060)
	two.Listen(sipaddr.TCP, 5060)
	addr := siptest.Loopback(t)
	text := func(to *siptest.Peer) string {
		return fmt.Sprintf("listen: [udp://%[1]s:5060, tcp://%[1]s:5060]\ndns: [%s]\n", addr, b.dns.Addr()) +
			connecting("example.net", fmt.Sprintf("sip:%s;transport=tcp", to.Addr()))
	}
	p := b.run(text(one))
	first := one.Accept()
	file := filepath.Join(t.TempDir(), "tandem.yaml")
	if err := os.WriteFile(file, []byte(text(two)), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	two.Accept()
	if first.Closed() {
		t.Error("a connection was closed for not being needed in advance any more")
	}
	first.Close()
	<-time.After(700 * time.Millisecond)
	if n := p.Stats().Transport.Dialed; n != 2 {
		t.Errorf("%d connections were dialed", n)
	}
}

// pairOfConnections: each side has its own connection over plain TCP, and in advance where that is configured.
func pairOfConnections(t *testing.T) {
	t.Run("when needed", plainIsAPair)
	t.Run("in advance", opensItsOwn)
}
