package node_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/node"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// manyDomains writes a configuration of n served domains, each with a certificate and a key of its own, and a route.
func manyDomains(t testing.TB, n int) (file string, ca *siptest.CA) {
	t.Helper()
	ca = siptest.NewCA(t)
	dir := t.TempDir()
	addr := siptest.Loopback(t)
	var y, routes strings.Builder
	fmt.Fprintf(&y, "listen: [udp://%[1]s:5060, tcp://%[1]s:5060, tls://%[1]s:5061]\n", addr)
	fmt.Fprintf(&y, "trust: {ca: [%s]}\ndomains:\n", ca.WriteFile(t))
	for i := range n {
		name := fmt.Sprintf("customer-%d.example", i)
		cert, key := ca.Domain(t, name, "sbc."+name).WriteFiles(t)
		for suffix, from := range map[string]string{".pem": cert, ".key": key} {
			if err := os.Rename(from, filepath.Join(dir, name+suffix)); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprintf(&y, "  - {name: %[1]s, certificate: %[1]s.pem, key: %[1]s.key, sent_by: sbc.%[1]s}\n", name)
		fmt.Fprintf(&routes, "  - {match: {domain: %s}, to: \"sip:10.0.%d.%d:5060\"}\n", name, i/250, 1+i%250)
	}
	file = filepath.Join(dir, "tandem.yaml")
	if err := os.WriteFile(file, []byte(y.String()+"routes:\n"+routes.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, ca
}

// heap is how many bytes are in use.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what has finalizers goes with the second
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// loaded is a node that listens, made from a file.
func loaded(t testing.TB, file string) *node.Node {
	t.Helper()
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.New(cfg, node.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Open(); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestThousandDomains: each served domain costs less than 64 KiB, before and after a client of each came, and the
// start is short. Each is shown the certificate of the domain that it asked for.
func TestThousandDomains(t *testing.T) {
	const domains, most, longest = 1000, 64 << 10, 10 * time.Second
	file, ca := manyDomains(t, domains)
	before := heap()
	begin := time.Now()
	n := loaded(t, file)
	took := time.Since(begin)
	each := (heap() - before) / domains
	t.Logf("%d domains: started in %v, %d bytes each", domains, took.Round(time.Millisecond), each)
	if each > most {
		t.Errorf("%d bytes for each domain, more than %d", each, most)
	}
	if took > longest { // 2 s is the aim, on a machine that does nothing else
		t.Errorf("started in %v", took)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	// Ends when the test does.
	go func() { done <- n.Run(ctx) }()
	clientCert := ca.Domain(t, "far.example").TLS()
	at := n.Listening()[2].Addr.String()
	for i := range domains {
		name := fmt.Sprintf("customer-%d.example", i)
		conn, err := tls.Dial("tcp", at, &tls.Config{ServerName: name, RootCAs: ca.Pool(), Certificates: []tls.Certificate{clientCert}})
		if err != nil {
			t.Fatalf("%s: %v", name, err) // crypto/tls has compared the names
		}
		_ = conn.Close()
	}
	eventually(t, "all connections are gone", func() bool { return len(n.Connections()) == 0 })
	each = (heap() - before) / domains
	t.Logf("after a client of each: %d bytes each", each)
	siptest.Plan(t, "served domain, with a certificate and a trust store in common", each)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// BenchmarkThousandDomains is the start of a proxy for 1,000 domains, until it listens.
func BenchmarkThousandDomains(b *testing.B) {
	file, _ := manyDomains(b, 1000)
	for b.Loop() {
		_ = loaded(b, file).Close()
	}
}

// TestTrustOfEachDomain: a domain with a trust of its own believes nobody else, in both roles.
func TestTrustOfEachDomain(t *testing.T) {
	b := newBench(t)
	other := siptest.NewCA(t)
	alice := b.agent("alice", siptest.AnswerAll)
	p := &proxy{addr: siptest.Loopback(t), domain: "example.com", host: "p1.example.com"}
	var y strings.Builder
	fmt.Fprintf(&y, "listen: [udp://%[1]s:5060, tls://%[1]s:5061]\ndns: [%s]\n", p.addr, b.dns.Addr())
	fmt.Fprintf(&y, "trust: {ca: [%s]}\naccess: {relay_from: [%s]}\ndomains:\n", b.ca.WriteFile(t), alice.Addr())
	for name, trust := range map[string]string{"example.com": "", "example.org": ", trust: {ca: [" + other.WriteFile(t) + "]}"} {
		cert, key := b.ca.Domain(t, name).WriteFiles(t)
		fmt.Fprintf(&y, "  - {name: %s, certificate: %s, key: %s%s}\n", name, cert, key, trust)
	}
	started := b.run(y.String())
	p.Node, p.stop = started.Node, started.stop
	s := &stand{bench: b, p: p, alice: alice}
	for i, ca := range []*siptest.CA{b.ca, other} {
		name := fmt.Sprintf("far%d.example", i)
		far := siptest.NewPeer(t, siptest.PeerConfig{Name: "far", Cert: ca.Domain(t, name), Handle: siptest.AnswerAll})
		far.Listen(sipaddr.TLS, 5061)
		s.names(name, name, far.Addr(), 5061)
		for j, domain := range []string{"example.com", "example.org"} {
			// TLS 1.2 tells the client at once that it is refused.
			_, err := resumes(p.at(sipaddr.TLS), domain, tls.VersionTLS12, ca.Domain(t, name), &anySession{})
			if (err == nil) != (i == j) {
				t.Errorf("%s and a client with a certificate of authority %d: %v", domain, i, err)
			}
			if i == j {
				s.sends("sip:bob@"+name, far, from(domain))
			} else if got := s.fails("sip:bob@"+name, from(domain)); got.StatusCode() != 503 {
				t.Errorf("from %s to a server with a certificate of authority %d: %d", domain, i, got.StatusCode())
			}
		}
	}
}
