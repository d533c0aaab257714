package load_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/devca"
	"github.com/tandem-sip/tandem/internal/load"
	"github.com/tandem-sip/tandem/internal/node"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// site is where load is tried: an authority with certificates in files, and addresses.
type site struct {
	t              *testing.T
	dir            string
	roots          []*x509.Certificate
	p1, p2         netip.Addr // of the proxies
	caller, callee netip.Addr
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir()}
	if err := devca.Write(s.dir, "Load CA", []string{"a.example.com"}, []string{"b.example.net"}, []string{"client.example.org"}, []string{"other.example.org"}); err != nil {
		t.Fatal(err)
	}
	hosts := []*netip.Addr{&s.p1, &s.p2, &s.caller, &s.callee}
	for _, host := range hosts {
		*host = siptest.Loopback(t)
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	pair := s.pair("a.example.com")
	for _, der := range pair.Certificate[1:] {
		t.Fatalf("a chain of %d bytes more than expected", len(der))
	}
	chains, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		t.Fatal(err)
	}
	s.roots = []*x509.Certificate{chains[0][len(chains[0])-1]}
	return s
}

// pair reads the certificate of a domain with its key.
func (s *site) pair(domain string) tls.Certificate {
	s.t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(s.dir, domain+".pem"), filepath.Join(s.dir, domain+".key"))
	if err != nil {
		s.t.Fatal(err)
	}
	return pair
}

// proxy runs one of the two proxies until the test ends: the one of a.example.com at p1, or of b.example.net at p2.
func (s *site) proxy(second bool, next string) {
	s.t.Helper()
	domain, other, at, from := "a.example.com", "b.example.net", s.p1, s.p2
	if second {
		domain, other, at, from = other, domain, from, at
	}
	zone := fmt.Sprintf("a.example.com. 60 IN A %s\nb.example.net. 60 IN A %s\n", s.p1, s.p2)
	dns := siptest.NewDNS(s.t, zone)
	yaml := strings.NewReplacer("AT", at.String(), "DOMAIN", domain, "OTHER", other, "FROM", from.String(), "DNS", dns.Addr().String(),
		"CALLER", s.caller.String(), "CALLEE", s.callee.String(), "NEXT", next).Replace(`
listen: ["udp://AT:5060", "tcp://AT:5060", "tls://AT:5061", "sctp://AT:5060", "tls-sctp://AT:5061"]
dns: ["DNS"]
trust: {ca: [ca.pem]}
domains: [{name: DOMAIN, certificate: DOMAIN.pem, key: DOMAIN.key}]
access: {relay_from: ["127.0.0.0/8"]}
peers:
  - {name: other, identities: [OTHER], addresses: [FROM/32], reference_identity: OTHER}
  - {name: load, identities: [client.example.org], addresses: [CALLER/32, CALLEE/32], reference_identity: client.example.org}
routes: [{to: "NEXT"}]
timers: {drain: 0s}
`)
	file := filepath.Join(s.dir, domain+".yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		s.t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		s.t.Fatal(err)
	}
	n, err := node.New(cfg, node.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := n.Open(); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	// Ends when the test does.
	go func() { done <- n.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("proxy of %s: %v", domain, err)
		}
	})
}

// config is how load is offered from the caller's to the callee's address, by way of a target.
func (s *site) config(tr sipaddr.Transport, target netip.Addr) load.Config {
	port := tr.DefaultPort()
	cfg := load.Config{
		Target:   load.Endpoint{Transport: tr, Addr: netip.AddrPortFrom(target, port)},
		AnswerAt: []load.Endpoint{{Transport: tr, Addr: netip.AddrPortFrom(s.callee, port)}},
		Bind:     netip.AddrPortFrom(s.caller, port),
		From:     "sip:alice@a.example.com", To: "sip:bob@b.example.net", Identities: 10,
		Steps: []load.Step{{Rate: 200}}, Calls: 60, Ring: 5 * time.Millisecond, Hold: 20 * time.Millisecond,
		Timeout: 10 * time.Second, Version: "test",
	}
	if tr.Secure() {
		cfg.Certificates, cfg.Roots, cfg.ServerName = []tls.Certificate{s.pair("client.example.org")}, s.roots, "a.example.com"
	}
	return cfg
}

// run offers it.
func run(t *testing.T, cfg load.Config) *load.Report {
	t.Helper()
	g, err := load.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r, err := g.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// well checks that all calls ended well.
func well(t *testing.T, r *load.Report, calls int) {
	t.Helper()
	if r.Begun != calls || r.Done != calls || r.Failed != 0 || r.Unfinished != 0 {
		t.Errorf("%d begun, %d done, %d failed, %d unfinished, want all %d done: %v\n%s",
			r.Begun, r.Done, r.Failed, r.Unfinished, calls, r.Reasons, strings.Join(r.Failures, "\n"))
	}
}

// everyScenario is a mix of all.
func everyScenario(but ...load.Scenario) []load.Share {
	var mix []load.Share
	for _, s := range load.Scenarios() {
		left := false
		for _, b := range but {
			left = left || s == b
		}
		if !left {
			mix = append(mix, load.Share{Scenario: s, Weight: 1})
		}
	}
	return mix
}
