package deploy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/devca"
	"github.com/tandem-sip/tandem/internal/node"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// samples are the sample configurations, with what has to lie beside each: authorities, and the names in certificates.
var samples = []struct {
	name, authority string
	certificates    [][]string
}{
	{"multi-tenant", "cloud-ca.pem", [][]string{{"customer-a.example", "sbc.customer-a.example"}, {"customer-b.example", "sbc.customer-b.example"}}},
	{"carrier", "carrier-ca.pem", [][]string{{"enterprise.example", "sbc.enterprise.example"}}},
	{"peering-east", "company-ca.pem", [][]string{{"east.example"}}},
	{"peering-west", "company-ca.pem", [][]string{{"west.example"}}},
	{"lab", "ca.pem", [][]string{{"example.com"}}},
}

// beside puts what a configuration refers to into a directory.
func beside(t *testing.T, dir, authority string, certificates ...[]string) {
	t.Helper()
	if err := devca.Write(dir, "Test CA", certificates...); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, authority)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "ca.pem"), filepath.Join(dir, authority)); err != nil {
		t.Fatal(err)
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	if err := os.WriteFile(filepath.Join(dir, "dialog.key"), []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// load reads a configuration as `tandem validate` does. Warnings are errors: a sample shows how it is done.
func load(t *testing.T, dir, name, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse([]byte(text), dir, name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.New(cfg, node.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, w := range cfg.Warnings {
		t.Errorf("warning: %s", w)
	}
	return cfg
}

// TestSamples: each sample configuration can be put to work as it is, when its files are there.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob("samples/*.yaml")
	if err != nil || len(files) != len(samples) {
		t.Errorf("%d samples, and %d are tested: %v", len(files), len(samples), err)
	}
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join("samples", s.name+".yaml")
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			beside(t, dir, s.authority, s.certificates...)
			load(t, dir, file, string(text))
		})
	}
}

// TestPeering runs the two sites of the sample, each on a loopback address of its own, and has each send a request to the
// other: one connection carries both.
func TestPeering(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	beside(t, dir, "company-ca.pem", []string{"east.example"}, []string{"west.example"})
	at := siptest.Loopback(t).String()
	run := func(site string) *node.Node {
		text, err := os.ReadFile(filepath.Join("samples", "peering-"+site+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		n, err := node.New(load(t, dir, site, strings.ReplaceAll(string(text), "127.0.0.1", at)), node.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Open(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		// Ends when the test does.
		go func() { ended <- n.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		return n
	}
	east, west := run("east"), run("west")
	options(t, east, at, "west.example")
	options(t, west, at, "east.example")
	// Each wants a connection with the other from the start. Where both dialed at once one is given back after a while; no
	// request dials another.
	for _, n := range []*node.Node{east, west} {
		if st := n.Stats().Transport; st.AuthFailed+st.PeersRefused > 0 || len(n.Connections()) > 2 {
			t.Errorf("%+v", st)
		}
	}
}

// options sends OPTIONS for a domain over UDP, from an address of the site, until it is answered 200.
func options(t *testing.T, n *node.Node, from, domain string) {
	t.Helper()
	var to string
	for _, l := range n.Listening() {
		if l.Transport == sipaddr.UDP {
			to = l.Addr.String()
		}
	}
	dialer := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 4096)
	last := ""
	for i := range 20 {
		fmt.Fprintf(conn, "OPTIONS sip:%[1]s SIP/2.0\r\nVia: SIP/2.0/UDP %[2]s;branch=z9hG4bK%[3]d;rport\r\nMax-Forwards: 70\r\n"+
			"From: <sip:a@%[2]s>;tag=1\r\nTo: <sip:%[1]s>\r\nCall-ID: %[3]d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n", domain, conn.LocalAddr(), i)
		conn.SetReadDeadline(time.Now().Add(3 * time.Second))
		got, err := conn.Read(buf)
		if err == nil && strings.HasPrefix(string(buf[:got]), "SIP/2.0 200 ") {
			return
		}
		last = fmt.Sprintf("%v %s", err, buf[:got])
	}
	t.Fatalf("OPTIONS for %s is not answered 200: %s", domain, last)
}
