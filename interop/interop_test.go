//go:build interop

package interop

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/tandem-sip/tandem/internal/devca"
	"github.com/tandem-sip/tandem/siptest"
)

// Ports that everything here listens on; the addresses differ.
const (
	plainPort = 5060
	tlsPort   = 5061
)

// party is one proxy's place: its domain, which its files are named by, its host and its listen address.
type party struct {
	Domain string
	SentBy string
	IP     netip.Addr
}

// site is what a proxy is told: who it is, who its peer is, and where the agent of its domain listens.
type site struct {
	dir            string // of the case: ca.pem, and DOMAIN.pem and DOMAIN.key of both
	own, peer      party
	agent          netip.AddrPort
	agentTransport string
	callers        netip.AddrPort // the agent of its domain that makes calls
	dns            netip.AddrPort
	over           string // what the proxies speak to each other: tls or sctp
}

// port is where the proxies listen for each other.
func (s site) port() uint16 {
	if s.over == "sctp" {
		return plainPort
	}
	return tlsPort
}

// awaitPeers waits until a proxy listens for the other.
func (s site) awaitPeers(t *testing.T, p *process) {
	t.Helper()
	protocol := "tcp"
	if s.over == "sctp" {
		protocol = "sctp"
	}
	p.awaitListening(t, protocol, netip.AddrPortFrom(s.own.IP, s.port()))
}

// file is the full name of a file of the case.
func (s site) file(name string) string { return filepath.Join(s.dir, name) }

// proxy is a program that can stand in one of the two places.
type proxy interface {
	fmt.Stringer
	start(t *testing.T, s site)
}

// trunk is a case: two proxies, and which connections stand between them after calls both ways.
type trunk struct {
	p1, p2     proxy
	transports [][2]string // of caller and callee
	over       string      // what the proxies speak to each other: tls or sctp
	dialedByP1 int
	dialedByP2 int
}

// run places calls of every shape in both directions, those of example.com first, and counts connections.
func (k trunk) run(t *testing.T, block int) {
	for i, transports := range k.transports {
		t.Run(transports[0]+" to "+transports[1], func(t *testing.T) {
			t.Parallel()
			k.runOver(t, fmt.Sprintf("127.40.%d.", block*10+i), transports[0], transports[1])
		})
	}
}

// runOver is run for agents with given transports. The addresses of the case begin with net.
func (k trunk) runOver(t *testing.T, net, callerTransport, calleeTransport string) {
	at := func(host int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("%s%d", net, host)) }
	dir := t.TempDir()
	p1 := party{Domain: "example.com", SentBy: "p1.example.com", IP: at(11)}
	p2 := party{Domain: "example.net", SentBy: "p2.example.net", IP: at(12)}
	if err := devca.Write(dir, "Interop CA", []string{p1.Domain, p1.SentBy}, []string{p2.Domain, p2.SentBy}); err != nil {
		t.Fatal(err)
	}
	agent := func(host int) netip.AddrPort { return netip.AddrPortFrom(at(host), plainPort) }
	dns := siptest.NewDNS(t, zone(p1, k.over)+zone(p2, k.over)).Addr()

	k.p2.start(t, site{dir, p2, p1, agent(22), calleeTransport, agent(32), dns, k.over})
	k.p1.start(t, site{dir, p1, p2, agent(21), calleeTransport, agent(31), dns, k.over})
	forward := agents{callerTransport, calleeTransport, agent(31), agent(22), "alice@example.com", "bob@example.net", netip.AddrPortFrom(p1.IP, plainPort)}
	backward := agents{callerTransport, calleeTransport, agent(32), agent(21), "bob@example.net", "alice@example.com", netip.AddrPortFrom(p2.IP, plainPort)}

	for _, c := range calls {
		if c.callerListens && callerTransport != "udp" {
			continue // SIPp listens for no connection while it makes calls; UDP to TCP shows this one
		}
		t.Run("forward/"+c.name, func(t *testing.T) { forward.play(t, c) })
		t.Run("backward/"+c.name, func(t *testing.T) { backward.play(t, c) })
	}
	count := connections
	if k.over == "sctp" {
		count = associations
	}
	byP1, byP2 := count(t, p1.IP, p2.IP)
	if byP1 != k.dialedByP1 || byP2 != k.dialedByP2 {
		t.Errorf("connections: example.com dialed %d and example.net %d; wanted %d and %d", byP1, byP2, k.dialedByP1, k.dialedByP2)
	}
}

// zone is what DNS says of a party's domain: what the proxies speak, at its host.
func zone(p party, over string) string {
	service, srv, port := "SIPS+D2T", "_sips._tcp", "5061"
	if over == "sctp" {
		service, srv, port = "SIP+D2S", "_sip._sctp", "5060"
	}
	return fmt.Sprintf("%[1]s. NAPTR 10 10 \"s\" %[2]q \"\" %[3]s.%[1]s.\n%[3]s.%[1]s. SRV 10 10 %[4]s %[5]s.\n%[5]s. A %[6]s\n",
		p.Domain, service, srv, port, p.SentBy, p.IP)
}

// TestHarness proves the harness with programs that are known to work: with aliases Kamailio's pair shares
// one connection, and as it is installed each side dials one.
func TestHarness(t *testing.T) {
	udp := [][2]string{{"udp", "udp"}}
	t.Run("one connection", func(t *testing.T) {
		trunk{kamailio{aliases: true}, kamailio{aliases: true}, udp, "tls", 1, 0}.run(t, 0)
	})
	t.Run("a connection each way", func(t *testing.T) { trunk{kamailio{}, kamailio{}, udp, "tls", 1, 1}.run(t, 1) })
}

// write makes a file, and the directory that it is in.
func write(t *testing.T, name string, fill func(*os.File) error) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := fill(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
