//go:build interop

package interop

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"text/template"
)

// tandemConfig serves one domain of two. The other domain is found by DNS; its proxy may name itself by its
// IP address in Record-Route, and must then prove its domain all the same. Of strangers, only the agent of the
// own domain may call out.
var tandemConfig = template.Must(template.New("tandem").Parse(`listen:
  - udp://{{.Own.IP}}:5060
  - tcp://{{.Own.IP}}:5060
  - {{.Over}}://{{.Own.IP}}:{{.Port}}
dns: ["{{.DNS}}"]
trust:
  ca: [ca.pem]
domains:
  - name: {{.Own.Domain}}
    certificate: {{.Own.Domain}}.pem
    key: {{.Own.Domain}}.key
    sent_by: {{.Own.SentBy}}
access:
  relay_from: ["{{.Caller}}/32"]
peers:
  - name: other
    identities: [{{.Peer.Domain}}]
    addresses: ["{{.Peer.IP}}/32"]
    reference_identity: {{.Peer.Domain}}
{{- if eq .Over "sctp"}}
    connect: ["sip:{{.Peer.Domain}}"]
{{- end}}
routes:
  - match: {domain: {{.Own.Domain}}}
    to: sip:{{.Agent}};transport={{.AgentTransport}}
`))

// tandem is the program that this repository builds.
type tandem struct{}

func (tandem) String() string { return "Tandem" }

func (tandem) start(t *testing.T, s site) {
	t.Helper()
	config := s.file(s.own.Domain + ".yaml")
	write(t, config, func(f *os.File) error {
		return tandemConfig.Execute(f, map[string]any{"Own": s.own, "Peer": s.peer, "DNS": s.dns,
			"Caller": s.callers.Addr(), "Agent": s.agent, "AgentTransport": s.agentTransport, "Over": s.over, "Port": s.port()})
	})
	p := start(t, s.own.Domain, s.dir, binary(t), "serve", "--config", config)
	p.awaitListening(t, "udp", netip.AddrPortFrom(s.own.IP, plainPort))
	s.awaitPeers(t, p)
}

// built is the program, once for all tests; TestMain removes it.
var built struct {
	sync.Mutex
	dir  string
	name string
}

// binary builds the program, or gives the one that was built, or that the environment has.
func binary(t *testing.T) string {
	t.Helper()
	if name := os.Getenv("TANDEM_BINARY"); name != "" {
		return name
	}
	built.Lock()
	defer built.Unlock()
	if built.name != "" {
		return built.name
	}
	name := filepath.Join(built.dir, "tandem")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", name, "../cmd/tandem").CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	built.name = name
	return name
}

// TestMain gives the program a place to stand.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "tandem-interop-*")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		built.dir = dir
		return m.Run()
	}())
}

// TestTandem holds the first promise: calls of every shape, both ways, over one TLS connection.
func TestTandem(t *testing.T) {
	trunk{tandem{}, tandem{}, [][2]string{{"udp", "udp"}, {"tcp", "tcp"}, {"udp", "tcp"}, {"tcp", "udp"}}, "tls", 1, 0}.run(t, 2)
}

// TestKamailio puts Kamailio in either place. It takes and makes the offer of an alias when it is told to, and
// then the proxies share the connection that was dialed first, by example.com; as it is installed it does
// neither, so that each side dials.
func TestKamailio(t *testing.T) {
	udp := [][2]string{{"udp", "udp"}}
	for i, k := range []trunk{
		{tandem{}, kamailio{aliases: true}, udp, "tls", 1, 0},
		{kamailio{aliases: true}, tandem{}, udp, "tls", 1, 0},
		{tandem{}, kamailio{}, udp, "tls", 1, 1},
		{kamailio{}, tandem{}, udp, "tls", 1, 1},
	} {
		t.Run(k.p1.String()+" and "+k.p2.String(), func(t *testing.T) {
			t.Parallel()
			k.run(t, 3+i)
		})
	}
}
