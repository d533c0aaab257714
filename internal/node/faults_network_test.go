//go:build faults

package node_test

// Faults that need root: a network namespace with a filter (iproute2, nftables), and sockets that the kernel is told
// to abort (ss -K). Run with: go test -tags faults -run TestFaultsOfNetwork -count=1 ./internal/node

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

func TestFaultsOfNetwork(t *testing.T) {
	t.Run("F06", func(t *testing.T) { blackHole(t, idle) })
	t.Run("F06/for a while", func(t *testing.T) { blackHole(t, forAWhile) })
	t.Run("F07", func(t *testing.T) { blackHole(t, pending) })
	t.Run("F03", cutUnderLoad)
}

// command runs a program to its end.
func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// hole is what the connection is used for while the network is away.
type hole int

const (
	idle hole = iota
	pending
	forAWhile // idle, and the network comes back
)

// blackHole: from one moment on the network swallows every packet between the proxy and a peer, which stands in a
// network namespace of its own. The connection is given up within the keepalive's time when nothing is under way,
// and within TCP_USER_TIMEOUT when something is; what waits has a final response within a second of that, and the
// peer is used again when the network is well. An idle connection outlives two lost keepalive probes.
func blackHole(t *testing.T, kind hole) {
	space := "tdm" + siptest.Token(6)
	// The namespace before goes when the kernel has the time, so each kind has a network of its own.
	net1, net2 := fmt.Sprintf("10.211.87.%d", 4*kind+1), fmt.Sprintf("10.211.87.%d", 4*kind+2)
	veth1, veth2 := space+"a", space+"b"
	command(t, "ip", "netns", "add", space)
	t.Cleanup(func() { command(t, "ip", "netns", "del", space) })
	command(t, "ip", "link", "add", veth1, "type", "veth", "peer", "name", veth2)
	t.Cleanup(func() { command(t, "ip", "link", "del", veth1) })
	command(t, "ip", "link", "set", veth2, "netns", space)
	command(t, "ip", "addr", "add", net1+"/30", "dev", veth1)
	command(t, "ip", "link", "set", veth1, "up")
	command(t, "ip", "-n", space, "addr", "add", net2+"/30", "dev", veth2)
	command(t, "ip", "-n", space, "link", "set", veth2, "up")

	b := newBench(t)
	cert, key := b.ca.Domain(t, "example.net").WriteFiles(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	startChild(t, "ip", "netns", "exec", space,
		"env", childEnv+"="+strings.Join([]string{net2 + ":5061", cert, key}, " "), self, "-test.run=^TestChildFarm$")

	alice := b.agent("alice", siptest.AnswerAll)
	p := b.start(setup{addr: netip.MustParseAddr(net1), relay: []netip.Addr{alice.Addr(), netip.MustParseAddr(net1)},
		yaml: "peers: [{name: partner, identities: [example.net], keepalive: 0s}]\n"})
	b.record("example.net. 600 IN A " + net2)
	a := newAsker(t, netip.MustParseAddr(net1), p.at(sipaddr.UDP))
	ask := func() (int, time.Duration) {
		done := make(chan struct{})
		var status int
		var took time.Duration
		a.ask("sip:bob@example.net;transport=tls", 100, func(s int, d time.Duration) { status, took = s, d; close(done) })
		select {
		case <-done:
		case <-time.After(40 * time.Second):
			t.Fatal("no final response within 40 s")
		}
		return status, took
	}
	within(t, 10*time.Second, "the network is there", func() bool { status, _ := ask(); return status == 200 })

	rules := "table inet " + space + " { chain in { type filter hook input priority 0; policy accept; iifname " + veth1 + " drop; }\n" +
		"chain out { type filter hook output priority 0; policy accept; oifname " + veth1 + " drop; }\n}\n"
	filter := exec.Command("nft", "-f", "-")
	filter.Stdin = strings.NewReader(rules)
	if out, err := filter.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
	healed := false
	heal := func() {
		if !healed {
			healed = true
			command(t, "nft", "delete", "table", "inet", space)
		}
	}
	t.Cleanup(heal)
	begin := time.Now()
	limit := 14 * time.Second // keepalive: 6 s idle and three probes, 2 s apart, and a look each second
	switch kind {
	case forAWhile:
		<-time.After(9 * time.Second) // the probes after 6 and 8 s are lost
		heal()
		<-time.After(5 * time.Second)
		if n := len(p.tlsConns()); n != 1 {
			t.Errorf("%d connections when the network is back, want the one that there was", n)
		}
		return
	case pending:
		limit = 8 * time.Second // TCP_USER_TIMEOUT is 5 s
		status, took := ask()
		t.Logf("a request into the hole was answered %d after %v", status, took)
		if status == 200 || took > limit+4*time.Second {
			t.Errorf("a request into the hole was answered %d after %v", status, took)
		}
	case idle:
		within(t, 40*time.Second, "the connection is given up", func() bool { return len(p.tlsConns()) == 0 })
		t.Logf("the idle connection was given up after %v", time.Since(begin))
		if d := time.Since(begin); d > limit {
			t.Errorf("the idle connection was given up after %v, want %v at most", d, limit)
		}
	}
	if rows := p.rows(); len(rows) != 0 {
		t.Errorf("rows %+v", rows)
	}
	heal()
	begin = time.Now()
	within(t, 10*time.Second, "the peer is used again", func() bool { status, _ := ask(); return status == 200 })
	t.Logf("used again after %v", time.Since(begin))
}

// callRate and the time are those of the tracker: 300 calls a second, all connections cut each 5 s. In CI it takes
// 20 s; TANDEM_FAULTS_DURATION says how long otherwise.
const (
	callRate  = 300
	cutEvery  = 5*time.Second + 23*time.Millisecond // out of step with the agents
	loadTime  = "TANDEM_FAULTS_DURATION"
	recovered = 3 * time.Second
)

// cutUnderLoad places calls from alice to bob through two proxies while all connections between these are aborted
// by the kernel again and again. Each transaction has a final response, within the time that its timers give; no
// call that begins 3 s after a cut, or later, fails; and nothing is left in the end.
func cutUnderLoad(t *testing.T) {
	long := 20 * time.Second
	if s := os.Getenv(loadTime); s != "" {
		var err error
		if long, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	before := runtime.NumGoroutine()
	b := newBench(t)
	alice := siptest.NewPeer(t, siptest.PeerConfig{Name: "alice"})
	bob := siptest.NewPeer(t, siptest.PeerConfig{Name: "bob"})
	p1 := b.side("example.com", "p1.example.com", "example.net", alice)
	p2 := b.side("example.net", "p2.example.net", "example.com", bob)
	b.serve("example.com", "p1.example.com", p1.addr)
	b.serve("example.net", "p2.example.net", p2.addr)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	callee := newCallee(t, bob.Addr())
	caller := newCaller(t, alice.Addr(), p1.at(sipaddr.UDP))

	var cuts []cutTime
	tick, cut := time.NewTicker(time.Second/callRate), time.NewTicker(cutEvery)
	defer tick.Stop()
	defer cut.Stop()
	begin := time.Now()
	placed := 0
	for now := begin; now.Sub(begin) < long; {
		select {
		case now = <-tick.C:
			for ; placed < int(now.Sub(begin).Seconds()*callRate); placed++ {
				caller.place("sip:bob@example.net")
			}
		case <-cut.C:
			// The first proxy's ends of all connections between the two, whoever dialed them.
			from := time.Now()
			out, err := exec.CommandContext(ctx, "ss", "-K", "-H", "-t", "src", p1.addr.String(), "dst", p2.addr.String()).CombinedOutput()
			if err != nil {
				t.Fatalf("ss: %v: %s", err, out)
			}
			cuts = append(cuts, cutTime{from, time.Now()})
		}
	}
	within(t, 60*time.Second, "every transaction has its final response", func() bool { return caller.left() == 0 })
	r := caller.result(cuts)
	st1, st2 := p1.Stats(), p2.Stats()
	t.Logf("%d calls in %v, %d cuts: %d answered 200, failed %v, BYE %v; slowest final response %v; %d calls lost their connection, told within %v; the last other call that failed began %v after a cut",
		placed, long, len(cuts), r.good, r.failed, r.byes, r.slowest.Round(time.Millisecond), r.hit, r.told.Round(time.Millisecond), r.late.Round(time.Millisecond))
	t.Logf("sent again over a new connection: %d and %d; responses over another one: %d and %d, of which rescued %d and %d; bob had %d INVITEs",
		st1.Proxy.Replays, st2.Proxy.Replays, st1.Transport.RepliesRedialed, st2.Transport.RepliesRedialed,
		st1.Transport.RepliesRescued, st2.Transport.RepliesRescued, callee.count())
	if len(cuts) == 0 || p1.Handshakes() < len(cuts) {
		t.Errorf("%d cuts, %d handshakes: nothing was cut", len(cuts), p1.Handshakes())
	}
	if r.late > recovered {
		t.Errorf("a call that began %v after a cut failed, want %v at most", r.late, recovered)
	}
	if r.told > soon {
		t.Errorf("a call was told of the loss of its connection after %v, want %v at most", r.told, soon)
	}
	if r.slowest > 5*time.Second {
		t.Errorf("the slowest final response took %v", r.slowest)
	}
	within(t, 60*time.Second, "no transaction is left", func() bool {
		return p1.Stats().Transactions.Live == [4]int{} && p2.Stats().Transactions.Live == [4]int{}
	})
	if n1, n2 := p1.Stats().Proxy.Active, p2.Stats().Proxy.Active; n1+n2 != 0 {
		t.Errorf("%d and %d requests are left in the proxies", n1, n2)
	}
	p1.stop()
	p2.stop()
	caller.close()
	callee.close()
	for _, p := range []*siptest.Peer{alice, bob} {
		p.Close()
	}
	within(t, 10*time.Second, "the goroutines have ended", func() bool { return runtime.NumGoroutine() <= before+4 }) // the DNS server's
}
