package lab

import (
	"flag"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sipaddr"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

func testPlace() place {
	return place{
		dns: netip.MustParseAddrPort("127.0.0.53:5300"),
		sides: [2]spot{
			{proxy: netip.MustParseAddr("127.0.0.11"), sip: 5060, tls: 5061, admin: 8060, agents: netip.MustParseAddr("127.0.0.21")},
			{proxy: netip.MustParseAddr("127.0.0.12"), sip: 5060, tls: 5061, admin: 8060, agents: netip.MustParseAddr("127.0.0.22")},
		},
	}
}

func TestPercentiles(t *testing.T) {
	var took []time.Duration
	for i := range 200 {
		took = append(took, time.Duration(200-i)*time.Millisecond)
	}
	tests := []struct {
		name string
		took []time.Duration
		want Percentiles
	}{
		{"none", nil, Percentiles{}},
		{"one", []time.Duration{3 * time.Millisecond}, Percentiles{3, 3, 3, 3}},
		{"many, out of order", took, Percentiles{100, 180, 198, 200}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := newPercentiles(tt.took); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestResultErr(t *testing.T) {
	r := &Result{Forward: Direction{Calls: 20}, Backward: Direction{Calls: 20}}
	if err := r.Err(); err != nil {
		t.Errorf("no call failed, and yet: %v", err)
	}
	r.Backward.Failed, r.Backward.Failures = 12, []string{"call x: INVITE was answered 503 Service Unavailable"}
	want := "lab: 12 of 40 calls failed\n  backward call x: INVITE was answered 503 Service Unavailable\n  backward: and 11 more"
	if err := r.Err(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestWriteText(t *testing.T) {
	one := 1
	r := &Result{
		Forward:        Direction{Calls: 50, Answered: 50, Dialed: 1, Reused: 49, Ringing: Percentiles{0.9, 1.5, 7.2, 7.4}},
		Backward:       Direction{Calls: 50, Failed: 1, Answered: 49, Reused: 49, Ringing: Percentiles{0.8, 1.1, 2.2, 2.3}},
		TLSConnections: &one, Handshakes: 1, Seconds: 1.25, place: testPlace(),
		Aliases: []Row{
			{Proxy: "p1.example.com", LocalDomain: "example.com", IP: netip.MustParseAddr("127.0.0.12"), Port: 5061, Transport: "TLS",
				Identities: []string{"example.net", "p2.example.net"}, Connection: 25, Direction: alias.Dialed},
		},
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/picture.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

// TestFindPlace takes two places at once; they must not overlap.
func TestFindPlace(t *testing.T) {
	a, err := findPlace(false)
	if err != nil {
		t.Fatal(err)
	}
	defer a.dns.Close()
	defer a.release()
	b, err := findPlace(false)
	if err != nil {
		t.Fatal(err)
	}
	defer b.dns.Close()
	defer b.release()
	if a.place.dns == b.place.dns || a.sides[0] == b.sides[0] || a.sides[1] == b.sides[1] {
		t.Errorf("the places overlap: %v and %v", a.place, b.place)
	}
}

// TestBindPlaceOneAddress takes a place as on a system that has 127.0.0.1 alone.
func TestBindPlaceOneAddress(t *testing.T) {
	here := netip.MustParseAddr("127.0.0.1")
	f, err := bindPlace(place{dns: netip.AddrPortFrom(here, 0), sides: [2]spot{{proxy: here, agents: here}, {proxy: here, agents: here}}}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.dns.Close()
	defer f.release()
	seen := make(map[uint16]bool)
	for _, s := range f.sides {
		for _, port := range []uint16{s.sip, s.tls} {
			if port == 0 || seen[port] {
				t.Errorf("port %d is no port, or taken twice: %+v", port, f.sides)
			}
			seen[port] = true
		}
	}
}

func TestZone(t *testing.T) {
	f, err := findPlace(false)
	if err != nil {
		t.Fatal(err)
	}
	f.release()
	z := newZone(f.dns, testPlace(), sipaddr.TLS)
	ended := make(chan error, 1)
	// Ends when the zone is closed.
	go func() { ended <- z.run() }()
	defer func() {
		z.close()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	}()
	tests := []struct {
		name  string
		kind  uint16
		rcode int
		want  string // in the first answer
	}{
		{"example.com.", dns.TypeNAPTR, dns.RcodeSuccess, `"SIPS+D2T" "" _sips._tcp.example.com.`},
		{"_sips._tcp.example.net.", dns.TypeSRV, dns.RcodeSuccess, "5061 p2.example.net."},
		{"P1.Example.com.", dns.TypeA, dns.RcodeSuccess, "127.0.0.11"},
		{"example.net.", dns.TypeA, dns.RcodeSuccess, "127.0.0.12"},
		{"p1.example.com.", dns.TypeAAAA, dns.RcodeSuccess, ""},
		{"nobody.example.com.", dns.TypeA, dns.RcodeNameError, ""},
		{"example.org.", dns.TypeA, dns.RcodeRefused, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name+dns.TypeToString[tt.kind], func(t *testing.T) {
			answer, err := dns.Exchange(new(dns.Msg).SetQuestion(tt.name, tt.kind), f.place.dns.String())
			if err != nil {
				t.Fatal(err)
			}
			if answer.Rcode != tt.rcode {
				t.Errorf("rcode %s, want %s", dns.RcodeToString[answer.Rcode], dns.RcodeToString[tt.rcode])
			}
			if tt.want == "" && len(answer.Answer) > 0 || tt.want != "" && (len(answer.Answer) == 0 || !strings.Contains(answer.Answer[0].String(), tt.want)) {
				t.Errorf("answer %v, want %q", answer.Answer, tt.want)
			}
			if tt.want == "" && tt.rcode != dns.RcodeRefused && len(answer.Ns) == 0 {
				t.Error("no SOA record says how long the no may be kept")
			}
		})
	}
}
