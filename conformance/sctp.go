package conformance

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/tandem-sip/tandem/sctp"
	"github.com/tandem-sip/tandem/sipaddr"
)

// How the prober speaks SCTP: by the kernel where that can, else over UDP (RFC 6951). Only TLS is spoken over it.

// closing is how long the target has to agree to the end of an association.
const closing = time.Second

// speaks returns what speaks SCTP from one of the prober's addresses. Cases run one after another, but what they start
// does not.
func (p *Prober) speaks(at netip.Addr) (sctp.Provider, error) {
	p.speaking.Lock()
	defer p.speaking.Unlock()
	if s := p.speakers[at]; s != nil {
		return s, nil
	}
	s, err := sctp.Open(sctp.Config{Addresses: []netip.Addr{at}})
	if err != nil {
		return nil, err
	}
	if p.speakers == nil {
		p.speakers = make(map[netip.Addr]sctp.Provider)
	}
	p.speakers[at] = s
	return s, nil
}

// silence ends SCTP.
func (p *Prober) silence() {
	p.speaking.Lock()
	defer p.speaking.Unlock()
	for _, s := range p.speakers {
		_ = s.Close() // nothing is lost with it
	}
	p.speakers = nil
}

// connect opens a connection to an address, without TLS.
func (c *probe) connect(from netip.Addr, to netip.AddrPort, tr sipaddr.Transport) (net.Conn, error) {
	if tr != sipaddr.TLSSCTP {
		dialer := net.Dialer{Timeout: c.p.cfg.Wait, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
		return dialer.DialContext(c.ctx, "tcp", to.String())
	}
	s, err := c.p.speaks(from)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.p.cfg.Wait)
	defer cancel()
	a, err := s.Dial(ctx, to, 0)
	if err != nil {
		return nil, err
	}
	first, err := a.OpenStream(0)
	if err != nil {
		a.Abort("")
		return nil, err
	}
	return association{first, a}, nil
}

// bind opens a listener.
func (c *probe) bind(at netip.AddrPort, tr sipaddr.Transport) (net.Listener, error) {
	if tr != sipaddr.TLSSCTP {
		return net.Listen("tcp", at.String())
	}
	s, err := c.p.speaks(at.Addr())
	if err != nil {
		return nil, err
	}
	l, err := s.Listen(at.Port())
	if err != nil {
		return nil, err
	}
	return associations{l, c.p.cfg.Wait}, nil
}

// association is the first stream of an association, which ends with it.
type association struct {
	*sctp.Stream
	whole sctp.Association
}

// Close shuts the association down.
func (a association) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	return a.whole.Shutdown(ctx)
}

// associations makes a net.Listener of one for SCTP.
type associations struct {
	*sctp.Listener
	wait time.Duration
}

// Accept takes an association, and the first stream that the target opens on it.
func (l associations) Accept() (net.Conn, error) {
	for {
		a, err := l.Listener.Accept(context.Background())
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), l.wait)
		first, err := a.AcceptStream(ctx)
		cancel()
		if err == nil {
			return association{first, a}, nil
		}
		a.Abort("no TLS handshake")
	}
}

// Addr is the listen address.
func (l associations) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.Listener.Addr()) }

// service is the labels in front of SRV names for the transport under test.
func (p *Prober) service() string {
	if p.cfg.Transport == sipaddr.TLSSCTP {
		return "_sips._sctp"
	}
	return "_sips._tcp"
}
