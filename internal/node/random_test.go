package node_test

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/internal/node"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
	"github.com/tandem-sip/tandem/transport"
)

// randomRow is a connection in the plain model of TestRandomReuse: requests of a local domain to a host may go over it
// for the domains that its certificate names.
type randomRow struct {
	local string
	host  int
	names []string
	conn  *siptest.Conn
}

// random is a proxy of two domains and two hosts that serve some domains each, with certificates that name more or
// less than they should.
type random struct {
	*stand
	*rand.Rand
	hosts []*siptest.Peer
	home  map[string]int      // domain -> the host that DNS leads to
	shown map[string][]string // domain -> what the certificate names that its host shows for it
	certs map[string]*siptest.Cert
	rows  []randomRow // newest first

	reused, dialed, refused int

	clients map[string]*siptest.Cert     // of the same names; others, or the proxy would give back one of two
	client  atomic.Pointer[siptest.Cert] // what a host shows when it dials
}

var randomLocals = []string{"example.com", "example.org"}

func newRandom(t *testing.T, seed uint64) *random {
	r := &random{stand: newStand(t, plan{domains: randomLocals[1:]}), Rand: rand.New(rand.NewPCG(seed, 0)),
		home: make(map[string]int), shown: make(map[string][]string)}
	r.certs, r.clients = make(map[string]*siptest.Cert), make(map[string]*siptest.Cert)
	var domains []string
	for i := range 8 {
		domains = append(domains, fmt.Sprintf("d%d.example", i))
	}
	for i, d := range domains {
		r.home[d] = i % 2
		names := []string{d}
		if i%4 == 3 {
			names = nil // what it shows names others only
		}
		for range r.IntN(3) + 1 {
			names = append(names, domains[(i+1+r.IntN(len(domains)-1))%len(domains)])
		}
		slices.Sort(names)
		r.shown[d] = slices.Compact(names)
		r.certs[d], r.clients[d] = r.ca.Domain(t, r.shown[d]...), r.ca.Domain(t, r.shown[d]...)
	}
	for range 2 {
		host := siptest.NewPeer(t, siptest.PeerConfig{Name: "host", Cert: r.ca.Domain(t, "host.example"), Handle: siptest.AnswerAll,
			TLS: func(c *tls.Config) {
				c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
					pair := r.certs[hello.ServerName].TLS()
					return &pair, nil
				}
				c.Certificates = nil
				if client := r.client.Load(); client != nil {
					c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
						pair := client.TLS()
						return &pair, nil
					}
				}
			}})
		host.Listen(sipaddr.TLS, 5061)
		r.hosts = append(r.hosts, host)
	}
	for d, host := range r.home {
		r.names(d, d, r.hosts[host].Addr(), 5061)
	}
	return r
}

// asks has alice ask for a domain on behalf of a local one, and holds what becomes of it against the model.
func (r *random) asks(step int, local, domain string) {
	r.t.Helper()
	host := r.home[domain]
	at := slices.IndexFunc(r.rows, func(w randomRow) bool {
		return w.local == local && w.host == host && slices.Contains(w.names, domain)
	})
	foretold := r.foretells(domain, local)
	sent := r.stand.asks("sip:bob@"+domain, from(local))
	final := r.alice.Expect("the answer to alice's MESSAGE", same(sent.CallID, false))
	got := arrived(r.hosts[host], sent.CallID, final)
	switch {
	case at >= 0 && (got == nil || got.Conn != r.rows[at].conn):
		r.t.Fatalf("step %d: from %s to %s: %d over %v, want reuse of %v", step, local, domain, final.StatusCode(), got, r.rows[at].conn)
	case at >= 0 && (foretold.Action != transport.Reuse || r.connection(foretold.Conn) != got.Conn.Local()):
		r.t.Fatalf("step %d: from %s to %s: explained as %v over %d", step, local, domain, foretold.Action, foretold.Conn)
	case at < 0 && (foretold.Action != transport.Dial || foretold.Decision.Reuse()):
		r.t.Fatalf("step %d: from %s to %s: explained as %v", step, local, domain, foretold.Action)
	case at >= 0:
		r.reused++
	case slices.Contains(r.shown[domain], domain):
		if got == nil || !got.Conn.Accepted() || slices.ContainsFunc(r.rows, func(w randomRow) bool { return w.conn == got.Conn }) {
			r.t.Fatalf("step %d: from %s to %s: %d over %v, want a new connection", step, local, domain, final.StatusCode(), got)
		}
		r.rows = slices.Insert(r.rows, 0, randomRow{local, host, r.shown[domain], got.Conn})
		r.dialed++
	case got != nil || final.StatusCode() != 503:
		r.t.Fatalf("step %d: from %s to %s: %d over %v, want 503", step, local, domain, final.StatusCode(), got)
	default:
		r.refused++
	}
}

// foretells asks the proxy where a request for a domain would go. There is one address.
func (r *random) foretells(domain, local string) node.Way {
	r.t.Helper()
	u, err := sip.ParseURI("sip:bob@" + domain)
	if err != nil {
		r.t.Fatal(err)
	}
	x := r.p.Explain(r.t.Context(), u, local)
	if x.Err != nil || len(x.Ways) != 1 || x.Ways[0].Err != nil {
		r.t.Fatalf("from %s to %s: %+v", local, domain, x)
	}
	return x.Ways[0]
}

// connection returns the far end of one of the proxy's connections.
func (r *random) connection(id alias.ConnID) netip.AddrPort {
	c, _ := r.p.Connection(id)
	return c.Remote
}

// offers has a host open a connection to a local domain, with one of its certificates, and offer an alias.
func (r *random) offers(step int, local, domain string) {
	r.t.Helper()
	host := r.home[domain]
	// It is the host that receives what comes over the connection: arrived looks there.
	r.client.Store(r.clients[domain])
	conn := r.hosts[host].DialName(sipaddr.TLS, r.p.at(sipaddr.TLS), local)
	req := conn.Request(sip.MethodOptions, "sip:p1."+local)
	conn.SendRequest(req.SetSentBy("host.example", "alias"))
	if got := r.hosts[host].Expect("the answer to OPTIONS", same(req.CallID, false)); got.StatusCode() != 200 {
		r.t.Fatalf("step %d: OPTIONS is answered %d", step, got.StatusCode())
	}
	r.rows = slices.Insert(r.rows, 0, randomRow{local, host, r.shown[domain], conn})
}

// closes ends a connection, and waits until the proxy knows.
func (r *random) closes(at int) {
	r.t.Helper()
	conn := r.rows[at].conn
	r.rows = slices.Delete(r.rows, at, at+1)
	conn.Close()
	eventually(r.t, "the row is gone", func() bool { return len(r.p.rows()) == len(r.rows) })
}

// TestRandomReuse takes random steps with a whole proxy, and holds each request against a plain model: no wrong reuse
// and none missed. TANDEM_CALLS says how many steps, TANDEM_SEED with which random numbers they begin.
func TestRandomReuse(t *testing.T) {
	t.Parallel()
	steps, seed := envInt(t, "TANDEM_CALLS", 300), envInt(t, "TANDEM_SEED", 5923)
	r := newRandom(t, uint64(seed))
	for step := range steps {
		local, domain := randomLocals[r.IntN(2)], fmt.Sprintf("d%d.example", r.IntN(8))
		switch what := r.IntN(10); {
		case what == 0 && len(r.rows) > 0:
			r.closes(r.IntN(len(r.rows)))
		case what == 1 && len(r.rows) < 8:
			r.offers(step, local, domain)
		default:
			r.asks(step, local, domain)
		}
	}
	t.Logf("%d steps: %d times reuse, %d times a new connection, %d times nobody who proves the name", steps, r.reused, r.dialed, r.refused)
	if least := steps / 60; r.reused < least || r.dialed < least || r.refused < least {
		t.Error("that tries too little")
	}
}

func envInt(t *testing.T, name string, standard int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return standard
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s=%q is no number", name, text)
	}
	return n
}
