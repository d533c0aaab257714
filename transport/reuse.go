package transport

// This file is the one place that answers which connection carries a request, and the one place
// that changes an alias table: RFC 5923, Section 8.1 for clients, RFC 5923, Section 8.2 for servers
// and RFC 5923, Section 9.3 for both.

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// maxUDPRequest is the size in bytes above which a request does not go over UDP, the path MTU being
// unknown: RFC 3261, Section 18.1.1.
const maxUDPRequest = 1300

// Hop says where a request is to go.
type Hop struct {
	// To is the resolved address.
	To sipaddr.Resolved
	// Reference is the name that the peer has to prove over TLS: the host of the URI that was given
	// to RFC 3263 (RFC 5922, Section 7.3). It says nothing without TLS.
	Reference string
	// Basis tells where Reference came from when it is not the host of the URI, because that is an IP
	// address. It changes nothing here but what the decision says.
	Basis alias.Basis
	// LocalDomain is the served domain on whose behalf the request goes out. With TLS "" is the
	// first one.
	LocalDomain string
	// Size is how many bytes are about to be sent, 0 if that is unknown.
	Size int
}

// Flow finds the connection that carries a request, or makes one, and hands it to done: at once, on
// the caller's goroutine, if there is one, and otherwise from another goroutine when the dial has
// ended. It does not block. The decision says why a connection is reused or is not.
//
// The errors are *DialError when the address cannot be reached, *AuthError when the peer does not
// prove the name, and ErrClosed, ErrTooManyConnections, ErrTooManyDials, ErrQueueFull,
// ErrNoListener, ErrUnknownDomain and ErrBadAddress.
func (t *Transport) Flow(h Hop, done func(Flow, alias.Decision, error)) {
	if h.To.Addr().Is4In6() {
		h.To.AddrPort = netip.AddrPortFrom(h.To.Addr().Unmap(), h.To.Port())
	}
	if !sendable(h.To.AddrPort) {
		done(Flow{}, alias.Decision{}, ErrBadAddress)
		return
	}
	switch h.To.Transport {
	case sipaddr.TLS, sipaddr.TLSSCTP:
		t.flowTLS(h, false, done)
	case sipaddr.TCP, sipaddr.SCTP:
		t.flowPlain(h, done)
	case sipaddr.UDP:
		t.flowUDP(h, done)
	default:
		done(Flow{}, alias.Decision{}, ErrNoListener)
	}
}

// Ready returns what Flow would hand to done at once: a connection that stands open, or a datagram socket. It reports
// false when Flow is to be called.
func (t *Transport) Ready(h Hop) (Flow, bool) {
	if h.To.Addr().Is4In6() || !sendable(h.To.AddrPort) {
		return Flow{}, false
	}
	switch h.To.Transport {
	case sipaddr.TLS, sipaddr.TLSSCTP:
		set := t.domains.Load()
		d := set.find(h.LocalDomain)
		if d == nil || h.Reference == "" {
			return Flow{}, false
		}
		d.mu.Lock()
		c, dec := d.findLocked(h)
		d.mu.Unlock()
		if c == nil || c.source.Load().generation < set.generation {
			return Flow{}, false
		}
		t.decided.add(dec.Reason)
		return Flow{conn: c}, true
	case sipaddr.TCP, sipaddr.SCTP:
		d := t.plainDomain(h.LocalDomain)
		d.mu.Lock()
		c := d.plain[h.To]
		d.mu.Unlock()
		if c == nil || c.State() != Open {
			return Flow{}, false
		}
		t.decided.add(alias.NotTLS)
		return Flow{conn: c}, true
	case sipaddr.UDP:
		if s := t.socketFor(h.To.Addr()); s != nil && h.Size <= maxUDPRequest {
			return Flow{sock: s, to: h.To.AddrPort}, true
		}
	}
	return Flow{}, false
}

// flowTLS looks into the alias table of the local domain. alone is set for a request that has
// waited for the dial of another reference identity in vain.
func (t *Transport) flowTLS(h Hop, alone bool, done func(Flow, alias.Decision, error)) {
	set := t.domains.Load()
	d := set.find(h.LocalDomain)
	switch {
	case d == nil:
		done(Flow{}, alias.Decision{}, ErrUnknownDomain)
		return
	case h.Reference == "":
		t.decided.add(alias.NoReference)
		done(Flow{}, alias.Decision{Reason: alias.NoReference, Basis: h.Basis}, &AuthError{To: h.To})
		return
	}
	d.mu.Lock()
	c, dec := d.findLocked(h)
	for c != nil && c.source.Load().generation < set.generation {
		// Update has not come to it yet, and it may not hold any more.
		d.mu.Unlock()
		c.review(set)
		d.mu.Lock()
		c, dec = d.findLocked(h)
	}
	if !alone {
		t.decided.add(dec.Reason)
	}
	if c != nil {
		d.mu.Unlock()
		done(Flow{conn: c}, dec, nil)
		return
	}
	x, err := t.joinLocked(d, dialKey{to: h.To, reference: h.Reference}, alone, waiter{h, dec, done})
	d.mu.Unlock()
	t.launch(x, err, dec, done)
}

// findLocked returns the connection that may carry a request, or nil and why there is none. d.mu is held.
func (d *domain) findLocked(h Hop) (*Conn, alias.Decision) {
	// Both conditions of RFC 5923, Section 8.1 and RFC 5923, Section 8.2: address and identity.
	dec := d.table.Find(h.To, h.Reference, time.Now()).On(h.Basis)
	if !dec.Reuse() {
		return nil, dec
	}
	if c := d.conns[dec.Conn]; c != nil && c.State() == Open {
		return c, dec
	}
	return nil, alias.Decision{Reason: alias.Closing, Basis: h.Basis}
}

// flowPlain uses a connection that this side dialed for the same local domain. A connection that was
// accepted never carries a request, whatever its Vias say: RFC 5923, Section 9.3.
func (t *Transport) flowPlain(h Hop, done func(Flow, alias.Decision, error)) {
	d := t.plainDomain(h.LocalDomain)
	dec := alias.Decision{Reason: alias.NotTLS}
	t.decided.add(dec.Reason)
	d.mu.Lock()
	if c := d.plain[h.To]; c != nil && c.State() == Open {
		d.mu.Unlock()
		dec.Conn = c.id
		done(Flow{conn: c}, dec, nil)
		return
	}
	x, err := t.joinLocked(d, dialKey{to: h.To}, false, waiter{h, dec, done})
	d.mu.Unlock()
	t.launch(x, err, dec, done)
}

// flowUDP uses the socket of the first UDP listener of the address family. A large request goes by
// TCP, unless TCP is refused there: RFC 3261, Section 18.1.1.
func (t *Transport) flowUDP(h Hop, done func(Flow, alias.Decision, error)) {
	dec := alias.Decision{Reason: alias.NotTLS}
	s := t.socketFor(h.To.Addr())
	if s == nil {
		done(Flow{}, dec, ErrNoListener)
		return
	}
	f := Flow{sock: s, to: h.To.AddrPort}
	if h.Size <= maxUDPRequest {
		done(f, dec, nil)
		return
	}
	t.count.largeTCP.Add(1)
	h.To.Transport = sipaddr.TCP
	if h.Size <= maxDatagram && t.refused.has(h.To.AddrPort, time.Now()) && !t.hasPlain(h) {
		t.count.largeUDP.Add(1)
		done(f, dec, nil)
		return
	}
	t.flowPlain(h, func(tcp Flow, dec alias.Decision, err error) {
		if de, ok := errors.AsType[*DialError](err); ok && de.Refused && h.Size <= maxDatagram {
			t.count.largeUDP.Add(1)
			t.refused.add(h.To.AddrPort, time.Now())
			tcp, err = f, nil
		}
		done(tcp, dec, err)
	})
}

// hasPlain reports whether there is a TCP connection for h.
func (t *Transport) hasPlain(h Hop) bool {
	d := t.plainDomain(h.LocalDomain)
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.plain[h.To]
	return c != nil && c.State() == Open
}

// joinLocked lets w wait for a dial that is in progress, or makes a new one, which the caller has
// to launch. Requests for the same address, domain and reference share a dial; one for another
// reference waits for it too, because the certificate may name both, unless it is alone. d.mu is
// held.
func (t *Transport) joinLocked(d *domain, key dialKey, alone bool, w waiter) (*dial, error) {
	dl := d.dials[key]
	if dl == nil && !alone {
		dl = d.leads[key.to]
	}
	if dl != nil {
		if len(dl.waiters) >= t.cfg.MaxWaiters {
			return nil, ErrQueueFull
		}
		dl.waiters = append(dl.waiters, w)
		return nil, nil
	}
	dl = &dial{key: key, waiters: []waiter{w}}
	dl.launch = &dialer{t: t, d: d, dl: dl, key: key}
	d.dials[key] = dl
	if d.leads[key.to] == nil {
		d.leads[key.to] = dl
	}
	return dl, nil
}

// launch starts a new dial, if there is one.
func (t *Transport) launch(dl *dial, err error, dec alias.Decision, done func(Flow, alias.Decision, error)) {
	switch {
	case err != nil:
		t.count.dialsRefused.Add(1)
		done(Flow{}, dec, err)
		return
	case dl == nil:
		t.count.dialsShared.Add(1)
		return
	}
	x := dl.launch
	if err := x.prepare(); err != nil {
		x.tell(nil, err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	x.d.mu.Lock()
	dl.cancel = cancel
	x.d.mu.Unlock()
	select {
	case <-t.quit:
		cancel() // Close has gone through the dials already
	default:
	}
	// Ends after DialTimeout and HandshakeTimeout at the latest, or by cancel; Run waits for it.
	go x.run(ctx)
}

// prepare finds what the dial needs, and a place for it.
func (x *dialer) prepare() error {
	t := x.t
	ln := t.listenerFor(x.key.to)
	if !ln.addr.IsValid() {
		return ErrNoListener
	}
	x.listen, x.provider, x.creds = ln.addr, ln.provider, x.d.creds.Load()
	if to := x.key.to.Transport; to.Secure() {
		x.ep = t.endpoint(x.creds, Listen{to, ln.addr})
	} else if x.ep = ln.ep; x.ep == nil {
		x.ep = plainEndpoint(to, ln.addr, t.plainHost(ln.addr))
		t.mu.Lock()
		t.addEndpointLocked(x.ep)
		t.mu.Unlock()
	}
	return t.admitDialed()
}

// enter puts a new connection into the tables of its domain: the first of the three moments, a dial
// was authenticated (RFC 5923, Section 8.1). An accepted connection gets no row here.
func (t *Transport) enter(c *Conn) {
	d := c.domain
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case c.tls == nil && c.direction == alias.Dialed:
		d.plain[c.dialed] = c
	case c.tls != nil:
		d.conns[c.id] = c
		if c.direction == alias.Dialed {
			d.table.Add(alias.Row{
				Resolved: c.dialed, Identities: c.peer.Identities, LocalDomain: d.name,
				Fingerprint: c.peer.Fingerprint, NotAfter: c.peer.NotAfter, Conn: c.id,
				Direction: alias.Dialed, MadeBy: "dial", LastUsed: time.Now(),
			})
			t.settleLocked(d, c.dialed)
		}
	}
}

// learn is the second of the three moments: a request came that offers its connection for requests
// backwards. Nothing that is found here ever rejects the request (RFC 5923, Section 8.2).
func (c *Conn) learn(m *sip.Message) {
	if c.direction != alias.Accepted {
		if !c.backwards.Load() {
			c.backwards.Store(true)
		}
		return
	}
	via, err := m.TopVia()
	if err != nil || !via.Alias {
		return
	}
	transport, _ := sipaddr.ParseTransport(via.Transport)
	// RFC 5923, Section 8.2: the port of sent-by, or else 5061.
	port := sipaddr.Advertised{Port: via.Port, Transport: sipaddr.TLS}.EffectivePort()
	own := transport == c.ep.advertised.Transport
	var generation uint64
	if c.tls != nil {
		generation = c.domain.creds.Load().generation
	}
	if own && c.learnedGen == generation {
		for _, p := range c.learned {
			if p == port {
				return // decided already
			}
		}
	}
	reason := c.decideAlias(m, transport, port)
	c.t.count.learned(reason)
	if own {
		if c.learnedGen != generation {
			c.learnedGen, c.learned = generation, [4]uint16{}
		}
		c.learned[c.learnedNext%len(c.learned)] = port
		c.learnedNext++
	}
	if reason != alias.Reuse {
		c.t.cfg.Logger.Debug("no alias", "conn", uint64(c.id), "peer", c.remote, "call_id", m.CallID(), "err", reason.String())
	}
}

// decideAlias makes a row for an accepted connection, or says why there is none.
func (c *Conn) decideAlias(m *sip.Message, transport sipaddr.Transport, port uint16) alias.Reason {
	if c.tls == nil || transport != c.ep.advertised.Transport {
		return alias.NotTLS // RFC 5923, Section 9.3; and the row's transport is that of the Via: RFC 5923, Section 5
	}
	d := c.domain
	row := alias.Row{
		// RFC 5923, Section 5: the source IP address, never one that sent-by leads to.
		Resolved:    sipaddr.Resolved{AddrPort: netip.AddrPortFrom(c.remote.Addr(), port), Transport: transport},
		LocalDomain: d.name, Conn: c.id, Direction: alias.Accepted, LastUsed: time.Now(),
	}
	creds := d.creds.Load()
	reason := alias.Reuse
	if c.peer == nil {
		reason = alias.Unauthenticated // RFC 5923, Section 9.2
	} else {
		row.Identities, row.Fingerprint, row.NotAfter = c.peer.Identities, c.peer.Fingerprint, c.peer.NotAfter
		if decline := creds.DeclineAlias; !c.peer.MayAlias {
			reason = alias.ClientOnly // RFC 5923, Section 5
		} else if decline != nil && decline(row.Identities) {
			reason = alias.DeclinedByPolicy // RFC 5923, Section 8.2
		}
	}
	d.mu.Lock()
	if d.creds.Load() != creds {
		// Update may have taken back the rows of c already, which this decision knows nothing of.
		d.mu.Unlock()
		return c.decideAlias(m, transport, port)
	}
	defer d.mu.Unlock()
	if c.State() != Open {
		return alias.Closing // RFC 5923, Section 8.3
	}
	if reason == alias.Reuse {
		row.MadeBy = m.CallID()
		if _, reason = d.table.Add(row); reason == alias.Reuse {
			c.t.settleLocked(d, row.Resolved)
		}
	}
	if reason != alias.Reuse && len(c.refused) < maxRefused {
		row.MadeBy = ""
		c.refused = append(c.refused, alias.Verdict{Row: row, Reason: reason})
	}
	return reason
}

// maxRefused is how many refused rows a connection keeps for Explain.
const maxRefused = 2

// reconsider takes back the rows of an accepted connection when Update brought a policy that
// declines them. The connection stays open for everything else.
func (c *Conn) reconsider() {
	d := c.domain
	decline := d.creds.Load().DeclineAlias
	if c.direction != alias.Accepted || decline == nil || !decline(c.peer.Identities) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, row := range d.table.RowsOf(c.id) {
		if len(c.refused) < maxRefused {
			c.refused = append(c.refused, alias.Verdict{Row: row, Reason: alias.DeclinedByPolicy})
		}
	}
	if c.State() == Open {
		d.table.Remove(c.id)
	}
}

// forget is the third of the three moments: a connection began to close (RFC 5923, Section 8.3). It
// may be called more than once.
func (t *Transport) forget(c *Conn) {
	d := c.domain
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.tls != nil {
		d.table.MarkClosing(c.id)
	}
	if d.plain[c.dialed] == c {
		delete(d.plain, c.dialed)
	}
}

// leave takes a connection that has ended out of the tables of its domain.
func (t *Transport) leave(c *Conn) {
	d := c.domain
	d.mu.Lock()
	defer d.mu.Unlock()
	d.table.Remove(c.id)
	delete(d.conns, c.id)
}

// Aliases returns the rows of all alias tables.
func (t *Transport) Aliases() []alias.Row {
	var rows []alias.Row
	for _, d := range t.domains.Load().list {
		d.mu.Lock()
		rows = append(rows, d.table.Rows()...)
		d.mu.Unlock()
	}
	return rows
}

// plainDomain returns the domain whose plain connections carry requests on behalf of name.
func (t *Transport) plainDomain(name string) *domain {
	if name != "" {
		if d := t.domains.Load().find(name); d != nil {
			return d
		}
	}
	return t.nameless
}
