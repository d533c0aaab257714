package conformance_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/conformance"
	"github.com/tandem-sip/tandem/framing"
	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// Domains that an element serves.
const (
	homeDomain  = "example.com"
	otherDomain = "example.org"
)

// sins are what an element does wrong. Without any it is a small proxy that keeps every clause which can be
// seen from outside.
type sins struct {
	addressOnly, lookupSentBy, anyPort, viaIgnored, firstName, dialsBeside, fromListenPort bool
	nobodyAliases, dropsAfter, dropsIdle, onceOnly, lowerCaseAlias, offersNone             bool
	deafWhenDialed, dialsAlways, listensOnce, anyServer, newestConn, keepsGone, noAnew     bool
	rejectsAlias, anyClient, aliasAnyway, drops, asksNot, plainAliases, oneTable, firstSRV bool
	srvName, keepsOpen, routeByIP, noSNI                                                   bool

	also func(leaf *x509.Certificate, name string) bool // takes a certificate for a name that it isn't
	but  func(leaf *x509.Certificate) bool              // refuses a certificate that is good
}

// element is a small stateful proxy for the prober to try its cases on.
type element struct {
	sins
	t        *testing.T
	ip       netip.Addr
	certs    map[string]*tls.Certificate
	verifier *identity.Verifier
	resolver *resolve.Resolver
	ctx      context.Context
	done     sync.WaitGroup
	closers  []io.Closer

	mu      sync.Mutex // guards the fields below
	rows    []*row
	pending map[string]*pending // by the branch that it made
	links   []*link
	dials   int
}

// row is an alias, or a connection that was dialed.
type row struct {
	at    netip.AddrPort
	local string
	over  *link
	only  string // the one name that it stands for; "": as the certificate says
}

// link is one connection.
type link struct {
	net.Conn
	transport sipaddr.Transport
	dialed    bool
	local     string // domain
	leaf      *x509.Certificate
	names     identity.Set
	remote    netip.AddrPort
	gone      bool // guarded by the element's lock
	open      int  // transactions
}

// pending is a request that was forwarded.
type pending struct {
	up     string // branch of the upstream side
	answer func([]byte)
	sent   *sip.Message
	over   *link
	at     netip.AddrPort
	name   string
	local  string
	source *link
}

// newElement starts an element that trusts an authority and asks a DNS server.
func newElement(t *testing.T, a *conformance.Authority, dns netip.AddrPort, s sins) *element {
	t.Helper()
	caPEM, _ := a.PEM()
	root := parsePEM(t, caPEM)
	v, err := identity.NewVerifier(identity.Policy{Roots: []*x509.Certificate{root}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := resolve.New(resolve.Config{Servers: []netip.AddrPort{dns}, HostsFile: "/dev/null"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	e := &element{sins: s, t: t, ip: siptest.Loopback(t), verifier: v, resolver: r, ctx: ctx,
		pending: make(map[string]*pending), certs: make(map[string]*tls.Certificate)}
	for _, d := range []string{homeDomain, otherDomain} {
		certPEM, keyPEM, err := a.Issue(d)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(certPEM, keyPEM)
		if err != nil {
			t.Fatal(err)
		}
		e.certs[d] = &pair
	}
	e.listen(sipaddr.TLS)
	e.listen(sipaddr.TCP)
	e.listenUDP()
	t.Cleanup(func() {
		cancel()
		e.mu.Lock()
		for _, c := range e.closers {
			c.Close()
		}
		for _, l := range e.links {
			l.Close()
		}
		e.mu.Unlock()
		e.done.Wait()
		r.Close()
	})
	return e
}

// run runs f beside until the test ends.
func (e *element) run(f func()) {
	e.done.Add(1)
	// ends when what it reads from is closed, which the end of the test does
	go func() {
		defer e.done.Done()
		f()
	}()
}

func (e *element) listen(tr sipaddr.Transport) {
	l, err := net.Listen("tcp", netip.AddrPortFrom(e.ip, tr.DefaultPort()).String())
	if err != nil {
		e.t.Fatal(err)
	}
	e.closers = append(e.closers, l)
	e.run(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			e.run(func() { e.accepted(c, tr) })
		}
	})
}

// accepted serves a connection from the prober.
func (e *element) accepted(c net.Conn, tr sipaddr.Transport) {
	k := e.link(c, tr)
	if tr == sipaddr.TLS {
		k.local = homeDomain
		cfg := &tls.Config{ClientAuth: tls.RequestClientCert, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if e.certs[h.ServerName] != nil {
				k.local = h.ServerName
			}
			return e.certs[k.local], nil
		}}
		if e.asksNot {
			cfg.ClientAuth = tls.NoClientCert
		}
		s := tls.Server(c, cfg)
		k.Conn = s
		if s.HandshakeContext(e.ctx) != nil || !e.identify(k, s.ConnectionState().PeerCertificates, identity.Client, "") {
			k.Close()
			return
		}
	}
	e.read(k)
}

func (e *element) link(c net.Conn, tr sipaddr.Transport) *link {
	k := &link{Conn: c, transport: tr, remote: netip.MustParseAddrPort(c.RemoteAddr().String())}
	e.mu.Lock()
	e.links = append(e.links, k)
	e.mu.Unlock()
	return k
}

// identify finds out who the peer is, and whether the connection may stay.
func (e *element) identify(k *link, chain []*x509.Certificate, role identity.Role, name string) bool {
	if len(chain) == 0 {
		return role == identity.Client
	}
	k.leaf = chain[0]
	if e.but != nil && e.but(k.leaf) {
		return false
	}
	p, err := e.verifier.Verify(chain, role, nil)
	if err == nil && (role == identity.Server || p.MayAlias) {
		k.names = p.Identities
	}
	switch {
	case role == identity.Client && e.anyClient, e.anyServer && role == identity.Server:
		k.names = identity.FromCertificate(k.leaf, true)
		return true
	case role == identity.Server:
		return e.stands(k, name)
	}
	return err == nil || e.also != nil
}

// stands says whether a connection is authenticated for a name.
func (e *element) stands(k *link, name string) bool {
	return k.names.Contains(name) || e.also != nil && k.leaf != nil && e.also(k.leaf, name)
}

func (e *element) listenUDP() {
	s, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(e.ip, 5060)))
	if err != nil {
		e.t.Fatal(err)
	}
	e.closers = append(e.closers, s)
	e.run(func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := s.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			text := string(buf[:n])
			e.run(func() { e.message(text, nil, func(b []byte) { s.WriteToUDPAddrPort(b, from) }) })
		}
	})
}

// read takes messages from a connection.
func (e *element) read(k *link) {
	var dec framing.Decoder
	var buf []byte
	chunk := make([]byte, 16<<10)
	for {
		if e.dropsIdle {
			k.SetReadDeadline(time.Now().Add(60 * time.Millisecond))
		}
		n, err := k.Read(chunk)
		buf = append(buf, chunk[:n]...)
		for {
			kind, size, _ := dec.Next(buf)
			if kind != framing.Message {
				break
			}
			text := string(buf[:size])
			buf = buf[size:]
			if k.dialed && e.deafWhenDialed && !strings.HasPrefix(text, "SIP/2.0") {
				continue
			}
			e.message(text, k, func(b []byte) { k.Write(b) })
		}
		if err != nil {
			e.ended(k)
			return
		}
	}
}

// ended takes a connection out of the table. It is closed when nothing waits on it any more.
func (e *element) ended(k *link) {
	e.mu.Lock()
	if !e.keepsGone {
		k.gone = true
		e.rows = slices.DeleteFunc(e.rows, func(r *row) bool { return r.over == k })
	}
	closing := k.open == 0 && !e.keepsGone || e.drops
	e.mu.Unlock()
	if closing {
		k.Close()
	}
}

// parsePEM reads a certificate.
func parsePEM(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatal("no certificate")
	}
	cert, err := x509.ParseCertificate(pemBytes(text))
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// via is the Via that the element writes.
func (e *element) via(branch, local string, tr sipaddr.Transport) string {
	v := fmt.Sprintf("SIP/2.0/%s %s;branch=%s", tr, local, branch)
	if !e.offersNone && tr == sipaddr.TLS {
		v += ";alias"
	}
	return v
}
