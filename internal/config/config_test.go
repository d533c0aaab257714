package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sipaddr"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// TestSampleHasDefaults loads the annotated sample and compares it with what a file says that has
// only what has no default.
func TestSampleHasDefaults(t *testing.T) {
	dir := makeFiles(t)
	sample, err := os.ReadFile("sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(sample, dir, "sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Warnings) != 0 {
		t.Errorf("warnings: %v", got.Warnings)
	}
	want := defaults()
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"trust.cn_fallback", got.Trust.CNFallback, want.Trust.CNFallback},
		{"trust.eku", got.Trust.StrictEKU, want.Trust.StrictEKU},
		{"trust.must_staple", got.Trust.MustStaple, want.Trust.MustStaple},
		{"trust.max_names", got.Trust.MaxNames, want.Trust.MaxNames},
		{"access.untrusted_headers", got.Access.UntrustedHeaders, want.Access.UntrustedHeaders},
		{"log", got.Log, want.Log},
		{"limits", got.Limits, want.Limits},
		{"timers", got.Timers, want.Timers},
		{"memory", got.Memory, want.Memory},
		{"trace", got.Trace, want.Trace},
		{"peers[0].alias", got.Peers[0].DeclineAlias, false},
		{"peers[0].client_certificate", got.Peers[0].ServerAuthClient, false},
		{"peers[0].dialog_identity", got.Peers[0].InheritIdentity, false},
		{"peers[0].trust_identity", got.Peers[0].TrustIdentity, false},
		{"peers[0].keepalive", got.Peers[0].Keepalive, want.Timers.Keepalive},
		{"peers[0].connect", len(got.Peers[0].Connect), 0},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s is %v in the sample, and %v by default", c.name, c.got, c.want)
		}
	}
	if len(got.Access.RelayFrom) != 0 || len(got.Trust.CRL) != 0 {
		t.Error("access.relay_from and trust.crl are empty by default")
	}
}

// TestSampleHasEveryKey takes each key out of the reader's own lists and looks for it in the sample.
func TestSampleHasEveryKey(t *testing.T) {
	dir := makeFiles(t)
	sample, err := os.ReadFile("sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{"", "admin", "trust", "domains", "access", "peers", "routes", "log", "limits", "timers", "memory"} {
		text := "zzzzzzzzzz: 1\n"
		switch place {
		case "":
		case "domains", "peers", "routes":
			text = place + ": [{zzzzzzzzzz: 1}]\n"
		default:
			text = place + ": {zzzzzzzzzz: 1}\n"
		}
		_, err := Parse([]byte(text), dir, "x.yaml")
		_, list, ok := strings.Cut(err.Error(), "known here are ")
		if !ok {
			t.Fatalf("%q: no list of keys in %v", place, err)
		}
		list, _, _ = strings.Cut(list, "\n")
		for _, key := range strings.Split(list, ", ") {
			if !strings.Contains(string(sample), key+": ") && !strings.Contains(string(sample), key+":\n") {
				t.Errorf("%s.%s is not in the sample", place, key)
			}
		}
	}
}

// contractSample is the heart of the configuration as it was promised to the world.
const contractSample = `
listen:
  - udp://127.0.0.1:5060
  - tcp://127.0.0.1:5060
  - tls://127.0.0.1:5061
admin: 127.0.0.1:8060
dns: [127.0.0.1:5300]
trust:
  ca: [ca.pem]
  crl: [ca.crl]
  cn_fallback: false
  eku: compatible
domains:
  - name: example.com
    certificate: example.com.pem
    key: example.com.key
    sent_by: p1.example.com
access:
  relay_from: [127.0.0.0/8]
  dialog_key_file: dialog.key
peers:
  - name: partner
    identities: [Example.NET]
    addresses: [192.0.2.0/24, "2001:db8::1"]
    reference_identity: example.net
    alias: decline
    client_certificate: serverauth
    dialog_identity: inherit
routes:
  - match: {domain: example.com}
    to: sip:127.0.0.1:5070;transport=udp
  - to: ["<sip:10.0.0.5:5070>;q=0.7", "sip:10.0.0.6"]
`

func TestParse(t *testing.T) {
	dir := makeFiles(t)
	cfg, err := Parse([]byte(contractSample), dir, "tandem.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var listen []string
	for _, l := range cfg.Listen {
		listen = append(listen, l.String())
	}
	if got, want := strings.Join(listen, " "), "udp://127.0.0.1:5060 tcp://127.0.0.1:5060 tls://127.0.0.1:5061"; got != want {
		t.Errorf("listen: %s, want %s", got, want)
	}
	if cfg.Listen[2].Transport != sipaddr.TLS {
		t.Errorf("transport of listen[2]: %v", cfg.Listen[2].Transport)
	}
	if cfg.Admin.Listen.String() != "127.0.0.1:8060" || !cfg.Admin.Open() || len(cfg.DNS) != 1 || cfg.DNS[0].String() != "127.0.0.1:5300" {
		t.Errorf("admin %v, dns %v", cfg.Admin, cfg.DNS)
	}
	if len(cfg.Trust.CA) != 1 || len(cfg.Trust.CRL) != 1 {
		t.Errorf("%d CAs and %d CRLs, want one each", len(cfg.Trust.CA), len(cfg.Trust.CRL))
	}
	d := cfg.Domains[0]
	if d.Name != "example.com" || d.SentBy != "p1.example.com" || d.Certificate.Leaf == nil || !d.Identities.Contains("p1.example.com") {
		t.Errorf("domain: %+v", d)
	}
	if len(cfg.Access.DialogKey) != 64 || cfg.Access.RelayFrom[0].String() != "127.0.0.0/8" {
		t.Errorf("access: %+v", cfg.Access)
	}
	p := cfg.Peers[0]
	if p.Identities[0] != "example.net" || p.Addresses[1].String() != "2001:db8::1/128" || !p.DeclineAlias || !p.ServerAuthClient || !p.InheritIdentity || p.ReferenceIdentity != "example.net" {
		t.Errorf("peer: %+v", p)
	}
	if r := cfg.Routes[0]; r.Domain != "example.com" || r.To[0].URI.Port != 5070 || r.To[0].Q != 1 {
		t.Errorf("route: %+v", r)
	}
	if r := cfg.Routes[1]; r.Domain != "" || len(r.To) != 2 || r.To[0].Q != 0.7 || r.To[1].URI.Host != "10.0.0.6" {
		t.Errorf("route: %+v", r)
	}
	if cfg.Timers.T1 != 500*time.Millisecond {
		t.Errorf("t1: %v", cfg.Timers.T1)
	}
}

// TestShares: what one party may take of a limit follows the limit, unless the file says otherwise.
func TestShares(t *testing.T) {
	cfg, err := Parse([]byte(`
listen: [udp://127.0.0.1:5060]
limits: {connections: 100, transactions: 8, transactions_per_source: 7, handshakes: 1}
timers: {keepalive: 5s}
peers:
  - {name: a, identities: [a.example], connect: ["sip:192.0.2.7;transport=tcp", "sip:a.example"]}
  - {name: b, identities: [b.example], keepalive: 0s}
`), t.TempDir(), "tandem.yaml")
	if err != nil {
		t.Fatal(err)
	}
	l := cfg.Limits
	if l.ConnectionsPerSource != 75 || l.ConnectionsPerIdentity != 75 || l.HandshakesPerSource != 1 || l.TransactionsPerSource != 7 || l.TransactionsPerIdentity != 6 {
		t.Errorf("limits: %+v", l)
	}
	if cfg.Peers[0].Keepalive != 5*time.Second || cfg.Peers[1].Keepalive != 0 {
		t.Errorf("keepalive %v and %v", cfg.Peers[0].Keepalive, cfg.Peers[1].Keepalive)
	}
	if c := cfg.Peers[0].Connect; len(c) != 2 || c[0].Transport() != "tcp" {
		t.Errorf("connect: %v", c)
	}
}

// TestAdmin: the admin API may be reached from outside with credentials and TLS.
func TestAdmin(t *testing.T) {
	cfg, err := Parse([]byte(`
listen: [udp://127.0.0.1:5060]
admin:
  listen: 192.0.2.10:8060
  token_file: dialog.key
  client_ca: [ca.pem]
  certificate: example.com.pem
  key: example.com.key
`), makeFiles(t), "tandem.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if a := cfg.Admin; a.Open() || len(a.Token) != 64 || len(a.ClientCA) != 1 || a.Certificate.Leaf == nil || a.Listen.String() != "192.0.2.10:8060" {
		t.Errorf("admin: %+v", a)
	}
}

func TestLoad(t *testing.T) {
	dir := makeFiles(t)
	write(t, dir, "tandem.yaml", []byte(contractSample))
	path := filepath.Join(dir, "tandem.yaml")
	cfg, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.File != path {
		t.Errorf("the file is %q, want %q", cfg.File, path)
	}
	_, err = Load(filepath.Join(dir, "absent.yaml"))
	var bad *Error
	if !errors.As(err, &bad) || bad.Problems[0].File != filepath.Join(dir, "absent.yaml") {
		t.Errorf("absent file: %v", err)
	}
}

// TestProblems compares what is said about each testdata/*.yaml with the .txt beside it.
func TestProblems(t *testing.T) {
	dir := makeFiles(t)
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			switch cfg, err := Parse(data, dir, "tandem.yaml"); {
			case err != nil:
				lines = append(lines, err.Error())
			default:
				for _, w := range cfg.Warnings {
					lines = append(lines, "warning: "+w.String())
				}
			}
			got := strings.ReplaceAll(strings.Join(lines, "\n")+"\n", dir, "DIR")
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// FuzzParse looks for panics, and for errors that do not say where they are.
func FuzzParse(f *testing.F) {
	f.Add(contractSample)
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	dir := makeFiles(f)
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := Parse([]byte(text), dir, "tandem.yaml")
		var bad *Error
		switch {
		case err == nil && (len(cfg.Listen) == 0 || cfg.Limits.Connections == 0):
			t.Errorf("accepted without what every configuration has: %+v", cfg)
		case err != nil && (!errors.As(err, &bad) || len(bad.Problems) == 0):
			t.Errorf("an error that is no *Error: %v", err)
		case err != nil:
			for _, p := range bad.Problems {
				if !strings.HasPrefix(p.String(), "tandem.yaml:") || p.Text == "" {
					t.Errorf("a problem without a place or a text: %q", p)
				}
			}
		}
	})
}

// TestRouteToInternationalName: a next hop may be written as it is read.
func TestRouteToInternationalName(t *testing.T) {
	const text = "listen: [udp://127.0.0.1:5060]\nroutes:\n  - to: [\"<sip:bücher.example:5061;transport=tls>;q=0.5\", \"sip:ü@BÜCHER.example\", \"sip:bücher@example.com\"]\n"
	_, err := Parse([]byte(text), t.TempDir(), "x.yaml")
	if err == nil {
		t.Fatal("a user part that is not ASCII is accepted")
	}
	cfg, err := Parse([]byte(strings.NewReplacer("ü@", "u@", "bücher@", "b@").Replace(text)), t.TempDir(), "x.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"xn--bcher-kva.example", "xn--bcher-kva.example", "example.com"} {
		if got := cfg.Routes[0].To[i].URI.Host; got != want {
			t.Errorf("host %q, want %q", got, want)
		}
	}
}
