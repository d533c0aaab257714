package siptest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sctp"
	"github.com/tandem-sip/tandem/sipaddr"
)

// PeerConfig says what a Peer is. Its zero value is a peer on an address of its own that waits 5 s for
// what it expects, shows no certificate and trusts everybody.
type PeerConfig struct {
	Name  string            // in the log of the wire, and the user in From and Contact; default "peer"
	Addr  netip.Addr        // default: Loopback
	Cert  *Cert             // what it shows over TLS, on both sides; a listener needs one
	Trust *x509.CertPool    // roots for the other side's certificates; nil: not checked at all
	TLS   func(*tls.Config) // has the last word about TLS, on both sides
	Wait  time.Duration     // for each expectation; default 5 s
	// Handle gets each request as it comes, on the goroutine that reads the connection, so it must not
	// expect anything; AnswerAll is one. The requests can be expected all the same.
	Handle func(*Received)
}

// Peer is a scripted SIP endpoint over real sockets. Its methods end the test when they fail, so only the
// test's own goroutine may call those that fail; the others may be called at once.
type Peer struct {
	t    testing.TB
	cfg  PeerConfig
	wire *Wire
	tag  string
	run  sync.WaitGroup

	mu        sync.Mutex // guards the fields below
	closed    bool
	listening []listening
	shaking   map[net.Conn]bool // accepted connections before the end of their handshake
	provider  sctp.Provider     // nil: SCTP was not needed yet
	conns     []*Conn
	accepted  []*Conn     // not yet taken by Accept
	inbox     []*Received // not yet taken by an expectation
	all       []*Received
	failures  []error       // of TLS handshakes on accepted connections
	news      chan struct{} // closed and replaced when anything above changed
}

// listening is a port that a peer listens on.
type listening struct {
	transport sipaddr.Transport
	at        netip.AddrPort
	socket    *net.UDPConn // for UDP
	close     func() error
}

// NewPeer makes a peer, which has no port and no connection yet.
func NewPeer(t testing.TB, c PeerConfig) *Peer {
	t.Helper()
	if c.Name == "" {
		c.Name = "peer"
	}
	if !c.Addr.IsValid() {
		c.Addr = Loopback(t)
	}
	if c.Wait <= 0 {
		c.Wait = 5 * time.Second
	}
	p := &Peer{t: t, cfg: c, wire: wireOf(t), tag: Token(6), news: make(chan struct{}), shaking: make(map[net.Conn]bool)}
	t.Cleanup(p.Close)
	return p
}

// Addr is the peer's address.
func (p *Peer) Addr() netip.Addr { return p.cfg.Addr }

// Close closes all ports and connections and returns when nothing runs any more.
func (p *Peer) Close() {
	p.mu.Lock()
	p.closed = true
	listening, conns := slices.Clone(p.listening), slices.Clone(p.conns)
	for socket := range p.shaking {
		_ = socket.Close()
	}
	p.mu.Unlock()
	for _, l := range listening {
		_ = l.close()
	}
	for _, c := range conns {
		c.Close()
	}
	p.closeProvider()
	p.run.Wait()
}

// Listen opens a port on the peer's address, 0 for any. SCTP is carried over UDP (RFC 6951).
func (p *Peer) Listen(tr sipaddr.Transport, port uint16) netip.AddrPort {
	p.t.Helper()
	at := netip.AddrPortFrom(p.cfg.Addr, port)
	if tr == sipaddr.UDP {
		socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		if err != nil {
			p.t.Fatalf("siptest: %v", err)
		}
		at = socket.LocalAddr().(*net.UDPAddr).AddrPort()
		p.opened(listening{tr, at, socket, socket.Close})
		p.run.Add(1)
		// Ends when the socket is closed, by Close at the latest, which waits.
		go func() {
			defer p.run.Done()
			p.readDatagrams(socket, at)
		}()
		return at
	}
	if !tr.Reliable() {
		p.t.Fatalf("siptest: no peer listens on %v", tr)
	}
	if tr.Secure() && p.cfg.Cert == nil && p.cfg.TLS == nil {
		p.t.Fatalf("siptest: %s has no certificate to listen with", p.cfg.Name)
	}
	if tr.OverSCTP() {
		return p.listenSCTP(tr, port)
	}
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		p.t.Fatalf("siptest: %v", err)
	}
	at = l.Addr().(*net.TCPAddr).AddrPort()
	p.opened(listening{tr, at, nil, l.Close})
	p.run.Add(1)
	// Ends when the listener is closed, by Close at the latest, which waits.
	go func() {
		defer p.run.Done()
		for {
			socket, err := l.AcceptTCP()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				p.accept(tr, at, socket)
			}
		}
	}()
	return at
}

// StopListening closes the ports of one transport; connections stay.
func (p *Peer) StopListening(tr sipaddr.Transport) {
	p.mu.Lock()
	var stop []listening
	p.listening = slices.DeleteFunc(p.listening, func(l listening) bool {
		if l.transport == tr {
			stop = append(stop, l)
		}
		return l.transport == tr
	})
	p.mu.Unlock()
	for _, l := range stop {
		_ = l.close()
	}
	if tr.OverSCTP() && !p.usesSCTP() {
		p.closeProvider() // somebody else on the address may want the UDP port
	}
}

// opened notes a port.
func (p *Peer) opened(l listening) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listening = append(p.listening, l)
}

// Listening gives the first port that the peer listens on for a transport.
func (p *Peer) Listening(tr sipaddr.Transport) (netip.AddrPort, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.listening {
		if l.transport == tr {
			return l.at, true
		}
	}
	return netip.AddrPort{}, false
}

// tls makes the settings of TLS for both sides.
func (p *Peer) tls(serverName string) *tls.Config {
	c := &tls.Config{
		MinVersion: tls.VersionTLS12,
		ServerName: serverName,
		ClientAuth: tls.RequestClientCert,
		// The bench takes part in tests of bad certificates; with Trust, VerifyConnection checks the chain.
		InsecureSkipVerify: true,
	}
	if p.cfg.Cert != nil {
		pair := p.cfg.Cert.TLS()
		c.Certificates = []tls.Certificate{pair}
		// Whatever authorities the server names: a test says which certificate is shown.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	if p.cfg.Trust != nil {
		c.VerifyConnection = p.verify
	}
	if p.cfg.TLS != nil {
		p.cfg.TLS(c)
	}
	return c
}

// verify checks the chain of the other side. Names are the business of the test.
func (p *Peer) verify(cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		return nil
	}
	o := x509.VerifyOptions{Roots: p.cfg.Trust, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for _, c := range cs.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := cs.PeerCertificates[0].Verify(o)
	return err
}

// Dial opens a connection. Over UDP it is the peer's first listening socket, or a new one, with a far
// address. Over TLS no server name is sent; see DialName.
func (p *Peer) Dial(tr sipaddr.Transport, to netip.AddrPort) *Conn {
	p.t.Helper()
	return p.DialName(tr, to, "")
}

// DialName is Dial with the server name to send over TLS.
func (p *Peer) DialName(tr sipaddr.Transport, to netip.AddrPort, serverName string) *Conn {
	p.t.Helper()
	c, err := p.TryDial(tr, to, serverName)
	if err != nil {
		p.fatalf("%s dials %v over %v: %v", p.cfg.Name, to, tr, err)
	}
	return c
}

// TryDial is DialName for those who expect it to fail.
func (p *Peer) TryDial(tr sipaddr.Transport, to netip.AddrPort, serverName string) (*Conn, error) {
	if tr == sipaddr.UDP {
		if _, ok := p.Listening(tr); !ok {
			p.Listen(tr, 0)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		i := slices.IndexFunc(p.listening, func(l listening) bool { return l.transport == tr })
		return p.datagrams(p.listening[i].socket, p.listening[i].at, to), nil
	}
	deadline := time.Now().Add(p.cfg.Wait)
	socket, err := p.connect(tr, to, deadline)
	if err != nil {
		return nil, err
	}
	c := p.stream(tr, socket, false)
	if tr.Secure() {
		secure := tls.Client(socket, p.tls(serverName))
		_ = socket.SetDeadline(deadline)
		if err := secure.Handshake(); err != nil {
			_ = socket.Close()
			return nil, fmt.Errorf("siptest: TLS: %w", err)
		}
		_ = socket.SetDeadline(time.Time{})
		c.use(secure)
	}
	return c, p.start(c)
}

// connect opens a connection without TLS.
func (p *Peer) connect(tr sipaddr.Transport, to netip.AddrPort, deadline time.Time) (socket, error) {
	if tr.OverSCTP() {
		return p.dialSCTP(tr, to, deadline)
	}
	dialer := net.Dialer{Deadline: deadline, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.cfg.Addr, 0))}
	c, err := dialer.Dial("tcp", to.String())
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// accept takes a connection in; a TLS handshake happens beside, so that a slow one holds nobody up.
func (p *Peer) accept(tr sipaddr.Transport, at netip.AddrPort, socket socket) {
	c := p.stream(tr, socket, true)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = socket.Close()
		return
	}
	p.shaking[socket] = true
	p.run.Add(1)
	// Ends with the handshake, which has a deadline; Close ends it sooner, and waits for it.
	go func() {
		defer p.run.Done()
		defer func() {
			p.mu.Lock()
			delete(p.shaking, socket)
			p.mu.Unlock()
		}()
		if tr.Secure() {
			secure := tls.Server(socket, p.tls(""))
			_ = socket.SetDeadline(time.Now().Add(p.cfg.Wait))
			if err := secure.Handshake(); err != nil {
				_ = socket.Close()
				p.wire.add("%s refuses %v at %v: TLS: %v", p.cfg.Name, socket.RemoteAddr(), at, err)
				p.mu.Lock()
				p.failures = append(p.failures, err)
				p.changed()
				p.mu.Unlock()
				return
			}
			_ = socket.SetDeadline(time.Time{})
			c.use(secure)
		}
		_ = p.start(c) // fails when the peer is closed
	}()
}

// changed wakes those who wait. Callers hold mu.
func (p *Peer) changed() {
	close(p.news)
	p.news = make(chan struct{})
}

// fatalf ends the test and shows what was on the wire.
func (p *Peer) fatalf(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf("siptest: %s\n--- on the wire ---\n%s", fmt.Sprintf(format, args...), p.wire)
}

// await waits until check says true, which it may do with p.mu held; check runs under p.mu.
func (p *Peer) await(wait time.Duration, check func() bool) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		p.mu.Lock()
		ok, news := check(), p.news
		p.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-news:
		case <-timer.C:
			return false
		}
	}
}

// HandshakeFailures gives the errors of the TLS handshakes that failed on accepted connections, after
// waiting until there are n.
func (p *Peer) HandshakeFailures(n int) []error {
	p.t.Helper()
	if !p.await(p.cfg.Wait, func() bool { return len(p.failures) >= n }) {
		p.fatalf("%s expects %d failed handshakes", p.cfg.Name, n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.failures)
}
