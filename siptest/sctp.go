package siptest

import (
	"context"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/tandem-sip/tandem/sctp"
	"github.com/tandem-sip/tandem/sipaddr"
)

// sctpGrace is how long the far side has to agree to the end of an association.
const sctpGrace = time.Second

// speaks gives what speaks SCTP for the peer. It is on the usual UDP port, unless another peer on the address has that:
// then this one can dial, and nobody finds it.
func (p *Peer) speaks() (sctp.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, net.ErrClosed
	}
	if p.provider != nil {
		return p.provider, nil
	}
	cfg := sctp.Config{Kind: sctp.UDP, Addresses: []netip.Addr{p.cfg.Addr}, RTOInitial: 200 * time.Millisecond, PingInterval: time.Second}
	provider, err := sctp.Open(cfg)
	if err != nil {
		cfg.UDPPort = -1
		provider, err = sctp.Open(cfg)
	}
	if err == nil {
		p.provider = provider
	}
	return provider, err
}

// usesSCTP tells whether a port or a connection needs SCTP.
func (p *Peer) usesSCTP() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.listening {
		if l.transport.OverSCTP() {
			return true
		}
	}
	for _, c := range p.conns {
		if c.transport.OverSCTP() && !c.Closed() {
			return true
		}
	}
	return false
}

// closeProvider ends SCTP.
func (p *Peer) closeProvider() {
	p.mu.Lock()
	provider := p.provider
	p.provider = nil
	p.mu.Unlock()
	if provider != nil {
		_ = provider.Close()
	}
}

// listenSCTP opens a port for SCTP.
func (p *Peer) listenSCTP(tr sipaddr.Transport, port uint16) netip.AddrPort {
	p.t.Helper()
	provider, err := p.speaks()
	if err != nil {
		p.t.Fatalf("siptest: %v", err)
	}
	l, err := provider.Listen(port)
	if err != nil {
		p.t.Fatalf("siptest: %v", err)
	}
	at := netip.AddrPortFrom(p.cfg.Addr, l.Addr().Port())
	p.opened(listening{tr, at, nil, l.Close})
	p.run.Add(1)
	// Ends when the listener is closed, by Close at the latest, which waits.
	go func() {
		defer p.run.Done()
		for {
			a, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			p.run.Add(1)
			// Ends when the far side has begun a stream, or its time for that is over.
			go func() {
				defer p.run.Done()
				ctx, cancel := context.WithTimeout(context.Background(), p.cfg.Wait)
				defer cancel()
				s, err := p.over(ctx, tr, a, a.AcceptStream)
				if err != nil {
					a.Abort("")
					return
				}
				p.accept(tr, at, s)
			}()
		}
	}()
	return at
}

// dialSCTP opens an association.
func (p *Peer) dialSCTP(tr sipaddr.Transport, to netip.AddrPort, deadline time.Time) (socket, error) {
	provider, err := p.speaks()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	a, err := provider.Dial(ctx, to, 0)
	if err != nil {
		return nil, err
	}
	return p.over(ctx, tr, a, func(context.Context) (*sctp.Stream, error) { return a.OpenStream(0) })
}

// over makes a socket of an association: of one stream with TLS, of all messages without.
func (p *Peer) over(ctx context.Context, tr sipaddr.Transport, a sctp.Association, first func(context.Context) (*sctp.Stream, error)) (socket, error) {
	if tr.Secure() {
		s, err := first(ctx)
		return &streamSocket{s, a}, err
	}
	r, w := io.Pipe()
	m := &messageSocket{PipeReader: r, a: a}
	p.run.Add(1)
	// Ends with the association, or when nobody reads any more.
	go func() {
		defer p.run.Done()
		err := a.Serve(func(b []byte, _ uint16) { _, _ = w.Write(b) })
		_ = w.CloseWithError(err)
	}()
	return m, nil
}

// shutDown ends an association in order.
func shutDown(a sctp.Association) error {
	ctx, cancel := context.WithTimeout(context.Background(), sctpGrace)
	defer cancel()
	return a.Shutdown(ctx)
}

// streamSocket is a stream of an association, which it closes.
type streamSocket struct {
	*sctp.Stream
	a sctp.Association
}

func (s *streamSocket) Close() error      { return shutDown(s.a) }
func (s *streamSocket) CloseWrite() error { return nil } // a stream of SCTP has no end of its own
func (s *streamSocket) abort()            { s.a.Abort("") }

// messageSocket reads all messages of an association as one text, and sends each write as a message.
type messageSocket struct {
	*io.PipeReader
	a sctp.Association
}

func (m *messageSocket) Write(b []byte) (int, error) {
	if err := m.a.Send(context.Background(), b, 0, true); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (m *messageSocket) Close() error {
	_ = m.PipeReader.Close()
	return shutDown(m.a)
}

func (m *messageSocket) CloseWrite() error                { return m.Close() }
func (m *messageSocket) LocalAddr() net.Addr              { return net.TCPAddrFromAddrPort(m.a.LocalAddr()) }
func (m *messageSocket) RemoteAddr() net.Addr             { return net.TCPAddrFromAddrPort(m.a.RemoteAddr()) }
func (m *messageSocket) SetDeadline(time.Time) error      { return nil }
func (m *messageSocket) SetReadDeadline(time.Time) error  { return nil }
func (m *messageSocket) SetWriteDeadline(time.Time) error { return nil }
func (m *messageSocket) abort()                           { m.a.Abort("") }
