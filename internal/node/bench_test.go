package node_test

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/node"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
	"github.com/tandem-sip/tandem/transport"
)

// TestMain has more tests run at once than there are processors, unless -parallel says how many: they wait for timers more
// than they compute.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", "8"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// timed says that times are judged, which takes a machine that does nothing else.
var timed = os.Getenv("TANDEM_MEASURE") != ""

// aim is how long something may take that is to take d at most. Among other tests it only has to be told from what waits
// for a timer.
func aim(d time.Duration) time.Duration {
	if timed {
		return d
	}
	return 5 * d
}

// bench is where proxies are tried: an authority that they trust, a DNS server that they ask, and the
// zone in it.
type bench struct {
	t   *testing.T
	ca  *siptest.CA
	dns *siptest.DNS

	zone strings.Builder
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return &bench{t: t, ca: siptest.NewCA(t), dns: siptest.NewDNS(t, "")}
}

// record adds lines in zone-file form to the zone.
func (b *bench) record(lines ...string) {
	for _, l := range lines {
		b.zone.WriteString(spoken(b.t, l) + "\n")
	}
	b.dns.Set(b.zone.String())
}

// serve makes the DNS say that a domain is served over TLS by a host at an address.
func (b *bench) serve(domain, host string, at netip.Addr) {
	b.record(
		fmt.Sprintf(`%s. 60 IN NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp.%s.`, domain, domain),
		fmt.Sprintf(`_sips._tcp.%s. 60 IN SRV 10 10 5061 %s.`, domain, host),
		fmt.Sprintf(`%s. 60 IN A %s`, host, at),
	)
}

// setup says how a proxy on the bench differs from the usual one.
type setup struct {
	domain string     // default example.com
	host   string     // sent-by and second name of the certificate; default "p1." and the domain
	addr   netip.Addr // default: one of its own
	cert   *siptest.Cert
	relay  []netip.Addr // access.relay_from
	yaml   string       // peers, routes and whatever else
}

// proxy is one running proxy.
type proxy struct {
	*node.Node
	domain, host string
	addr         netip.Addr
	cert         *siptest.Cert
	stop         func() // ends it; called at the end of the test anyhow
}

// at returns the listen address of a transport, on the usual port.
func (p *proxy) at(tr sipaddr.Transport) netip.AddrPort {
	return netip.AddrPortFrom(p.addr, tr.DefaultPort())
}

// rows returns the alias rows of a local domain.
func (p *proxy) rows() []alias.Row { return p.Aliases() }

// tlsConns returns the TLS connections that stand open.
func (p *proxy) tlsConns() []transport.ConnInfo {
	var out []transport.ConnInfo
	for _, c := range p.Connections() {
		if c.Transport.Secure() {
			out = append(out, c)
		}
	}
	return out
}

// start runs a proxy from a configuration file, as `tandem serve` does.
func (b *bench) start(s setup) *proxy {
	b.t.Helper()
	if s.domain == "" {
		s.domain = "example.com"
	}
	if s.host == "" {
		s.host = "p1." + s.domain
	}
	if !s.addr.IsValid() {
		s.addr = siptest.Loopback(b.t)
	}
	if s.cert == nil {
		s.cert = b.ca.Domain(b.t, s.domain, s.host)
	}
	certFile, keyFile := s.cert.WriteFiles(b.t)
	var y strings.Builder
	fmt.Fprintf(&y, "listen: [udp://%[1]s:5060, tcp://%[1]s:5060, tls://%[1]s:5061]\n", s.addr)
	fmt.Fprintf(&y, "dns: [%s]\n", b.dns.Addr())
	fmt.Fprintf(&y, "trust: {ca: [%s]}\n", b.ca.WriteFile(b.t))
	fmt.Fprintf(&y, "domains: [{name: %s, certificate: %s, key: %s, sent_by: %s}]\n", s.domain, certFile, keyFile, s.host)
	if len(s.relay) > 0 {
		var list []string
		for _, a := range s.relay {
			list = append(list, a.String())
		}
		fmt.Fprintf(&y, "access: {relay_from: [%s]}\n", strings.Join(list, ", "))
	}
	y.WriteString(s.yaml)
	p := b.run(y.String())
	p.domain, p.host, p.addr, p.cert = s.domain, s.host, s.addr, s.cert
	return p
}

// run runs a proxy from the text of a configuration.
func (b *bench) run(yaml string) *proxy {
	b.t.Helper()
	yaml = spoken(b.t, yaml)
	file := filepath.Join(b.t.TempDir(), "tandem.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		b.t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, yaml)
	}
	n, stop := begin(b.t, cfg, node.Options{})
	return &proxy{Node: n, stop: stop}
}

// begin runs a node until stop is called, by the end of the test at the latest.
func begin(t *testing.T, cfg *config.Config, opts node.Options) (n *node.Node, stop func()) {
	t.Helper()
	n, err := node.New(cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Open(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	// Ends when the test does.
	go func() { done <- n.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Run did not return within 10 s of its end")
		}
	})
	t.Cleanup(stop)
	return n, stop
}

// agent returns a user agent that listens on UDP and TCP port 5060 of an address of its own, and
// answers every request with handle.
func (b *bench) agent(name string, handle func(*siptest.Received)) *siptest.Peer {
	b.t.Helper()
	a := siptest.NewPeer(b.t, siptest.PeerConfig{Name: name, Handle: handle})
	a.Listen(sipaddr.UDP, 5060)
	a.Listen(sipaddr.TCP, 5060)
	return a
}

// eventually waits until ok says so, for what happens beside the messages that a test sees.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 5 s: %s", what)
		}
		<-tick.C
	}
}
