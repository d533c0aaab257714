package transport

import (
	"context"
	"net/netip"

	"github.com/tandem-sip/tandem/sctp"
)

// providerLocked returns who speaks SCTP from a local address, one for all listeners there. t.mu is held.
func (t *Transport) providerLocked(at netip.Addr) (sctp.Provider, error) {
	if p := t.providers[at]; p != nil {
		return p, nil
	}
	cfg := t.cfg.SCTP
	if cfg.Addresses = nil; !at.IsUnspecified() {
		cfg.Addresses = []netip.Addr{at}
	}
	p, err := sctp.Open(cfg)
	if err != nil {
		return nil, err
	}
	if t.providers == nil {
		t.providers = make(map[netip.Addr]sctp.Provider)
	}
	t.providers[at] = p
	return p, nil
}

// closeProviders ends SCTP, when nothing needs it any more.
func (t *Transport) closeProviders() {
	for _, p := range t.providers {
		_ = p.Close() // what the operating system says of a socket that is given up is of no use
	}
}

// listenAssociationsLocked opens a listener for SCTP. t.mu is held.
func (t *Transport) listenAssociationsLocked(i int, l Listen) error {
	p, err := t.providerLocked(l.Addr.Addr().Unmap())
	if err != nil {
		return err
	}
	s, err := p.Listen(l.Addr.Port())
	if err != nil {
		return err
	}
	ln := &listener{t: t, index: i, kind: l.Transport, sctp: s, provider: p,
		addr: netip.AddrPortFrom(l.Addr.Addr().Unmap(), s.Addr().Port())}
	if !l.Transport.Secure() {
		ln.ep = plainEndpoint(l.Transport, ln.addr, t.plainHost(ln.addr))
		t.addEndpointLocked(ln.ep)
	}
	t.listeners = append(t.listeners, ln)
	t.cfg.Logger.Info("SCTP is spoken", "listen", Listen{l.Transport, ln.addr}, "by", p.Kind())
	return nil
}

// close closes the listener.
func (l *listener) close() {
	if l.sctp != nil {
		_ = l.sctp.Close() // it never fails
		return
	}
	_ = l.tcp.Close()
}

// acceptAssociations takes associations until the listener is closed.
func (l *listener) acceptAssociations() {
	t := l.t
	for {
		a, err := l.sctp.Accept(context.Background())
		if err != nil {
			return // it is closed
		}
		ip := a.RemoteAddr().Addr()
		if err := t.admit(ip); err != nil {
			a.Abort("too many connections")
			continue
		}
		t.count.accepted.Add(1)
		if !t.hold() {
			t.dismiss(ip)
			a.Abort("")
			return
		}
		place := uint64(0)
		if l.kind.Secure() {
			place = t.wait(func() { a.Abort("too many handshakes") }, source(ip))
		}
		// Ends with the handshake, HandshakeTimeout at the latest; Run waits for it.
		go l.establishAssociation(t.newAssociation(a, l.provider.Kind()), ip, place)
	}
}

// establishAssociation makes a connection out of an association, after the handshake with TLS.
func (l *listener) establishAssociation(a *association, ip netip.Addr, place uint64) {
	t := l.t
	defer t.wg.Done()
	defer t.ready(place, source(ip))
	if !l.kind.Secure() {
		l.begin(t.streamOver(whole{a}), ip)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.cfg.HandshakeTimeout)
	defer cancel()
	// The client chooses the stream: RFC 3436, Section 5.
	first, err := a.AcceptStream(ctx)
	if err != nil {
		t.handshakeFailed(&handshake{}, err)
		a.Abort("no TLS handshake")
		t.dismiss(ip)
		return
	}
	l.greeted(t.streamOver(bidirectional{first, a}), ip)
}

// openAssociation makes an association with the address that is dialed, from a port of its own.
func (x *dialer) openAssociation(ctx context.Context) (*stream, error) {
	t, to := x.t, x.key.to
	ctx, cancel := context.WithTimeout(ctx, t.cfg.DialTimeout)
	defer cancel()
	dialed, err := x.provider.Dial(ctx, to.AddrPort, 0)
	if err != nil {
		return nil, dialError(to, err)
	}
	a := t.newAssociation(dialed, x.provider.Kind())
	if !to.Transport.Secure() {
		return t.streamOver(whole{a}), nil
	}
	// The side that opened the association is the TLS client, beginning with stream zero.
	first, err := a.OpenStream(0)
	if err != nil {
		a.Abort("")
		return nil, dialError(to, err)
	}
	return t.streamOver(bidirectional{first, a}), nil
}

// addStats adds the figures of one local address to those of the others.
func addStats(to *sctp.Stats, s sctp.Stats) {
	to.Associations += s.Associations
	to.Dialing += s.Dialing
	for _, x := range []struct {
		to *uint64
		n  uint64
	}{
		{&to.Dialed, s.Dialed}, {&to.Accepted, s.Accepted}, {&to.Lost, s.Lost}, {&to.Aborted, s.Aborted},
		{&to.Restarted, s.Restarted}, {&to.Violations, s.Violations}, {&to.Malformed, s.Malformed},
		{&to.WrongTag, s.WrongTag}, {&to.OutOfTheBlue, s.OutOfTheBlue}, {&to.Inits, s.Inits},
		{&to.BadCookies, s.BadCookies}, {&to.Refused, s.Refused}, {&to.QueueFull, s.QueueFull},
		{&to.OtherAddress, s.OtherAddress}, {&to.UnknownChunks, s.UnknownChunks}, {&to.WriteErrors, s.WriteErrors},
	} {
		*x.to += x.n
	}
}
