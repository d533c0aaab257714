package node_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
	"github.com/tandem-sip/tandem/transport"
)

// The matrix of identity/testdata/certmatrix has a certificate for each way in which one can be right or wrong,
// and the verdicts that it must get. Here a running proxy gives them, in real handshakes: it dials a server that
// shows the certificate, and it is dialed by a client that does.

const matrixDir = "../../identity/testdata/certmatrix"

// matrixCase is one entry of table.json.
type matrixCase struct {
	ID     string
	Desc   string
	Client map[string]bool // next-hop URI: is a server with this certificate sent the request?
	Server matrixServer
}

// matrixServer says what becomes of a client with the certificate.
type matrixServer struct {
	Authenticated bool
	Identities    []string
	Alias         bool
	Reuse         map[string]bool
}

// matrixPorts are those that the next-hop URIs lead to.
var matrixPorts = []uint16{5061, 5099}

func matrixCases(t *testing.T) []matrixCase {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(matrixDir, "table.json"))
	if err != nil {
		t.Fatal(err)
	}
	var table struct{ Cases []matrixCase }
	if err := json.Unmarshal(data, &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Cases) < 60 {
		t.Fatalf("%d cases in the matrix", len(table.Cases))
	}
	return table.Cases
}

// matrixPair reads a certificate of the matrix as it lies there: crypto/tls shows what crypto/x509 cannot read.
func matrixPair(t *testing.T, id string) tls.Certificate {
	t.Helper()
	var pair tls.Certificate
	for _, b := range pemBlocks(t, filepath.Join(matrixDir, id, "chain.pem")) {
		pair.Certificate = append(pair.Certificate, b.Bytes)
	}
	for _, b := range pemBlocks(t, filepath.Join(matrixDir, id, "leaf.key")) {
		if key, err := x509.ParsePKCS8PrivateKey(b.Bytes); err == nil {
			pair.PrivateKey = key
		} else if key, err := x509.ParseECPrivateKey(b.Bytes); err == nil {
			pair.PrivateKey = key
		} else if key, err := x509.ParsePKCS1PrivateKey(b.Bytes); err == nil {
			pair.PrivateKey = key
		}
	}
	if _, ok := pair.PrivateKey.(crypto.Signer); !ok || len(pair.Certificate) == 0 {
		t.Fatalf("%s cannot be read", id)
	}
	return pair
}

func pemBlocks(t *testing.T, file string) (all []*pem.Block) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for b, rest := pem.Decode(data); b != nil; b, rest = pem.Decode(rest) {
		all = append(all, b)
	}
	return all
}

// matrixTrust is the policy behind the verdicts, in the words of the configuration: all lists, and the CN.
func matrixTrust(t *testing.T, more string) string {
	t.Helper()
	dir, err := filepath.Abs(matrixDir)
	if err != nil {
		t.Fatal(err)
	}
	lists, err := filepath.Glob(filepath.Join(dir, "*.crl"))
	if err != nil || len(lists) < 4 {
		t.Fatalf("CRLs %v: %v", lists, err)
	}
	if !strings.Contains(more, "cn_fallback") {
		more += ", cn_fallback: true"
	}
	return fmt.Sprintf("{ca: [%s], crl: [%s]%s}", filepath.Join(dir, "ca.pem"), strings.Join(lists, ", "), more)
}

// matrix is a proxy of near.test that believes in an authority, with an agent who may relay through it.
type matrix struct {
	*bench
	p     *proxy
	alice *siptest.Peer
	hops  map[string]string // next-hop URI: what alice asks for to have it taken
}

// newMatrix starts a proxy for which the hosts of the URIs are at an address. trust is the value of that key, rest
// are further keys.
func newMatrix(t *testing.T, at netip.Addr, uris []string, trust, rest string) *matrix {
	t.Helper()
	m := &matrix{bench: newBench(t), hops: make(map[string]string)}
	m.alice = m.agent("alice", siptest.AnswerAll)
	var routes strings.Builder
	for i, uri := range uris {
		host, hop := matrixHost(uri), uri
		if _, err := netip.ParseAddr(host); err == nil || strings.Contains(uri, ":50") {
			hop += ";transport=tls" // or RFC 3263 chooses UDP
		}
		if _, err := netip.ParseAddr(host); err != nil {
			name, ok := identity.Normalize(host)
			if !ok {
				t.Fatalf("host of %s", uri)
			}
			m.names(name, name, at, matrixPorts[0])
		}
		if strings.IndexFunc(host, func(r rune) bool { return r > 0x7f }) >= 0 {
			// In a message the host of a URI is ASCII; an operator may write it so.
			fmt.Fprintf(&routes, "  - {match: {domain: hop%d.test}, to: %q}\n", i, uri)
			hop = fmt.Sprintf("sip:alice@hop%d.test", i)
		}
		m.hops[uri] = hop
	}
	cert, key := m.ca.Domain(t, "near.test", "p1.near.test").WriteFiles(t)
	m.p = &proxy{addr: siptest.Loopback(t), domain: "near.test", host: "p1.near.test"}
	var y strings.Builder
	fmt.Fprintf(&y, "listen: [udp://%[1]s:5060, tls://%[1]s:5061]\ndns: [%s]\ntrust: %s\n", m.p.addr, m.dns.Addr(), trust)
	fmt.Fprintf(&y, "domains: [{name: near.test, certificate: %s, key: %s, sent_by: p1.near.test}]\n", cert, key)
	fmt.Fprintf(&y, "access: {relay_from: [%s]}\n%s\n", m.alice.Addr(), rest)
	if routes.Len() > 0 {
		fmt.Fprintf(&y, "routes:\n%s", routes.String())
	}
	started := m.run(y.String())
	m.p.Node, m.p.stop = started.Node, started.stop
	return m
}

// matrixHost returns the host of a next-hop URI.
func matrixHost(uri string) string {
	_, rest, _ := strings.Cut(uri, ":")
	if _, host, found := strings.Cut(rest, "@"); found {
		rest = host
	}
	if end := strings.IndexAny(rest, ":;?"); end >= 0 {
		rest = rest[:end]
	}
	return rest
}

// ask has alice send a request towards a next hop, and gives its Call-ID and the final answer.
func (m *matrix) ask(uri string) (callID string, final *siptest.Received) {
	m.t.Helper()
	conn := m.alice.Dial(sipaddr.UDP, m.p.at(sipaddr.UDP))
	r := conn.SendRequest(conn.Request(sip.MethodMessage, m.hops[uri]))
	return r.CallID, m.alice.Expect("the answer to alice's MESSAGE to "+uri, same(r.CallID, false))
}

// matrixPeer makes a peer that shows a certificate, on both sides, whatever that is.
func matrixPeer(t *testing.T, pair tls.Certificate) *siptest.Peer {
	t.Helper()
	sessions := tls.NewLRUClientSessionCache(4)
	return siptest.NewPeer(t, siptest.PeerConfig{Name: "far", Handle: siptest.AnswerAll, TLS: func(c *tls.Config) {
		c.ClientSessionCache = sessions
		c.Certificates = []tls.Certificate{pair}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		if key, ok := pair.PrivateKey.(*ecdsa.PrivateKey); ok && key.Curve.Params().BitSize < 256 {
			c.MaxVersion = tls.VersionTLS12 // TLS 1.3 has no signatures with such a key
		}
	}})
}

// asServer is the client view: the proxy dials a server with the certificate for each of the URIs.
func asServer(t *testing.T, pair tls.Certificate, want map[string]bool, trust, rest string) {
	t.Helper()
	uris := sortedKeys(want)
	far := matrixPeer(t, pair)
	for _, port := range matrixPorts {
		far.Listen(sipaddr.TLS, port)
	}
	m := newMatrix(t, far.Addr(), uris, trust, rest)
	for _, uri := range uris {
		callID, final := m.ask(uri)
		came := arrived(far, callID, final) != nil
		switch {
		case want[uri] && !came:
			t.Errorf("%s: answered %d (%s), want 200 from the server", uri, final.StatusCode(), warning(final))
		case !want[uri] && final.StatusCode() != 503:
			t.Errorf("%s: answered %d (%s), want 503", uri, final.StatusCode(), warning(final))
		case !want[uri] && came:
			t.Errorf("%s: the request was sent to a server that is not authenticated", uri)
		case !want[uri] && warning(final) == "":
			t.Errorf("%s: the answer does not say why", uri)
		}
	}
	for _, c := range far.Conns() {
		if !slices.ContainsFunc(uris, func(u string) bool { return want[u] }) && c.Heard() > 0 {
			t.Errorf("%d bytes were sent to a server that is not authenticated", c.Heard())
		}
	}
}

// asClient is the server view: a client with the certificate offers an alias, and the proxy has requests for each
// of the URIs, which all lead to the client's address, where nobody listens.
func asClient(t *testing.T, pair tls.Certificate, want matrixServer, trust, rest string) (found *transport.ConnInfo) {
	t.Helper()
	uris := sortedKeys(want.Reuse)
	far := matrixPeer(t, pair)
	m := newMatrix(t, far.Addr(), uris, trust, rest)
	conn, err := far.TryDial(sipaddr.TLS, m.p.at(sipaddr.TLS), m.p.host)
	if err == nil && !want.Authenticated {
		// The other side has ended the handshake before it refused the certificate.
		eventually(t, "the proxy refuses the connection", func() bool { return m.p.Stats().Transport.HandshakesServerFailed > 0 })
	}
	if want.Authenticated {
		if err != nil {
			t.Fatalf("the handshake failed: %v", err)
		}
		for _, port := range matrixPorts {
			r := conn.Request(sip.MethodOptions, "sip:p1.near.test")
			conn.SendRequest(r.SetSentBy(fmt.Sprintf("far.test:%d", port), "alias"))
			if got := far.Expect("the answer to OPTIONS", same(r.CallID, false)); got.StatusCode() != 200 {
				t.Fatalf("OPTIONS is answered %d", got.StatusCode())
			}
		}
	}
	for _, ci := range m.p.Connections() {
		if ci.Peer != nil {
			found = &ci
		}
	}
	if (found != nil) != want.Authenticated {
		t.Fatalf("authenticated: %t, want %t", found != nil, want.Authenticated)
	}
	if found != nil {
		if got := found.Peer.Identities.Names(); !slices.Equal(got, want.Identities) {
			t.Errorf("identities %.200q, want %.200q", got, want.Identities)
		}
	}
	if got := len(m.p.rows()) > 0; got != want.Alias {
		t.Errorf("alias rows: %t, want %t", got, want.Alias)
	}
	for _, uri := range uris {
		callID, final := m.ask(uri)
		got := arrived(far, callID, final)
		switch {
		case want.Reuse[uri] && (got == nil || got.Conn != conn):
			t.Errorf("%s: answered %d (%s), want reuse of the client's connection", uri, final.StatusCode(), warning(final))
		case !want.Reuse[uri] && (got != nil || final.StatusCode() < 500):
			t.Errorf("%s: answered %d (%s), arrived: %t; want no reuse, and a dial that fails", uri, final.StatusCode(), warning(final), got != nil)
		}
	}
	return found
}

// arrived gives the request of that Call-ID if it came to a peer, which has to be when the answer is 200.
func arrived(far *siptest.Peer, callID string, final *siptest.Received) *siptest.Received {
	if final.StatusCode() == 200 {
		return far.Expect("alice's MESSAGE", same(callID, true))
	}
	for _, r := range far.Received() {
		if same(callID, true)(r) {
			return r
		}
	}
	return nil
}

func warning(r *siptest.Received) string {
	w, _ := r.Header("Warning")
	return w
}

func sortedKeys(m map[string]bool) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// matrixOf5001 are the identities of the certificate that names 5,001 domains.
func matrixOf5001() []string {
	names := []string{"example.com"}
	for i := range 5000 {
		names = append(names, fmt.Sprintf("d%d.example.net", i))
	}
	slices.Sort(names)
	return names
}

func TestCertificateMatrix(t *testing.T) {
	for _, c := range matrixCases(t) {
		if c.ID == "id-50-5000-sans" {
			c.Server.Identities = matrixOf5001()
		}
		pair := matrixPair(t, c.ID)
		t.Run(c.ID+"/server", func(t *testing.T) {
			t.Parallel()
			asServer(t, pair, c.Client, matrixTrust(t, ""), "")
		})
		t.Run(c.ID+"/client", func(t *testing.T) {
			t.Parallel()
			asClient(t, pair, c.Server, matrixTrust(t, ""), "")
		})
	}
}
