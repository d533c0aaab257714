package conformance_test

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// pemBytes is what a PEM text holds.
func pemBytes(text []byte) []byte {
	block, _ := pem.Decode(text)
	return block.Bytes
}

// message takes one message from anybody.
func (e *element) message(text string, from *link, answer func([]byte)) {
	m, err := sip.Parse(text)
	if err != nil {
		return
	}
	if !m.IsRequest() {
		e.response(m)
		return
	}
	via, err := m.TopVia()
	if err != nil {
		return
	}
	if from != nil && !from.dialed {
		if via.Alias && e.rejectsAlias && from.names.Len() == 0 {
			answer(sip.AppendResponse(nil, m, 403, "", "x"))
			return
		}
		e.learn(from, via)
	}
	u, err := m.URI()
	switch {
	case err != nil:
	case u.Host == homeDomain || u.Host == otherDomain:
		answer(sip.AppendResponse(nil, m, 200, "", "x"))
		if from != nil && e.dropsAfter {
			from.Close()
		}
	case m.Method() == sip.MethodCancel:
		e.cancel(m, answer)
	case m.Method() == sip.MethodAck && e.waits(m.Branch()) != nil:
	default:
		if m.Method() == sip.MethodAck || e.waits(m.Branch()) == nil {
			e.forward(m, u, from, answer)
		}
	}
}

// waits finds what was made of an upstream request.
func (e *element) waits(branch string) *pending {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.pending {
		if p.up == branch {
			return p
		}
	}
	return nil
}

// learn makes an alias.
func (e *element) learn(k *link, via *sip.Via) {
	offered := via.Alias
	if e.lowerCaseAlias {
		offered = strings.Contains(via.Params, ";alias")
	}
	switch {
	case !offered && !e.aliasAnyway,
		k.transport != sipaddr.TLS && !e.plainAliases,
		k.transport == sipaddr.TLS && via.Transport != "TLS" && !e.viaIgnored,
		k.transport == sipaddr.TLS && k.leaf == nil && !e.nobodyAliases,
		k.leaf != nil && k.names.IsZero() && e.also == nil:
		return
	}
	r := &row{at: netip.AddrPortFrom(k.remote.Addr(), sipaddr.FromVia(via).EffectivePort()), local: k.local, over: k}
	if e.lookupSentBy {
		if at, err := e.locate(&sip.URI{Scheme: "sip", Host: via.Host, Port: r.at.Port(), Params: ";transport=tls"}); err == nil {
			r.at = at
		}
	}
	if e.nobodyAliases && k.leaf == nil {
		r.only = via.Host
	}
	if e.firstName && k.names.Len() > 0 {
		r.only = k.names.Names()[0]
	}
	e.mu.Lock()
	e.rows = append(e.rows, r)
	e.mu.Unlock()
}

// locate resolves a URI.
func (e *element) locate(u *sip.URI) (netip.AddrPort, error) {
	answer, err := e.resolver.Resolve(e.ctx, u)
	if err != nil {
		return netip.AddrPort{}, err
	}
	addresses := slices.Clone(answer.Addresses)
	if fresh, ok := e.resolver.Cached(u); ok {
		addresses = slices.Clone(fresh.Addresses)
	}
	if e.firstSRV {
		slices.SortFunc(addresses, sipaddr.Resolved.Compare)
	}
	return addresses[0].AddrPort, nil
}

// find looks for a connection.
func (e *element) find(at netip.AddrPort, name, local string, tr sipaddr.Transport) *link {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.rows {
		r := e.rows[len(e.rows)-1-i]
		switch {
		case r.over.transport != tr, e.dialsAlways && r.over.dialed:
			continue
		case e.newestConn && r.over.dialed && r.at.Addr() == at.Addr():
			return r.over
		case r.at != at && (!e.anyPort || r.at.Addr() != at.Addr()):
			continue
		case tr == sipaddr.TLS && r.local != local && !e.oneTable:
			continue
		case r.only != "" && r.only == name, r.only == "" && (tr != sipaddr.TLS || e.addressOnly || e.stands(r.over, name)):
			if e.onceOnly && !r.over.dialed {
				e.rows = slices.DeleteFunc(e.rows, func(x *row) bool { return x == r })
			}
			return r.over
		}
	}
	return nil
}

// forward sends a request on.
func (e *element) forward(m *sip.Message, u *sip.URI, from *link, answer func([]byte)) {
	local := homeDomain
	if f, err := m.From(); err == nil {
		if u, err := f.URI(); err == nil && u.Host == otherDomain {
			local = otherDomain
		}
	}
	at, err := e.locate(u)
	if err != nil {
		answer(sip.AppendResponse(nil, m, 404, "", "x"))
		return
	}
	tr, _ := sipaddr.ParseTransport(u.Transport())
	p := &pending{up: m.Branch(), answer: answer, at: at, name: u.Host, local: local, source: from}
	branch := sip.BranchCookie + siptest.Token(12)
	ed := m.Edit()
	if v, ok := m.FirstValue(sip.FieldRoute); ok && strings.Contains(v, ";lr") {
		ed.RemoveFirst(sip.FieldRoute)
	}
	ed.Prepend(sip.FieldVia, e.via(branch, local, tr))
	if m.Method() == sip.MethodInvite {
		host := local
		if e.routeByIP {
			host = e.ip.String()
		}
		ed.Prepend(sip.FieldRecordRoute, "<sip:"+host+";transport=tls;lr>")
	}
	if p.sent, err = sip.Parse(string(ed.AppendTo(nil))); err != nil {
		answer(sip.AppendResponse(nil, m, 500, "", "x"))
		return
	}
	if m.Method() != sip.MethodAck {
		e.mu.Lock()
		e.pending[branch] = p
		if from != nil {
			from.open++
		}
		e.mu.Unlock()
	}
	if p.over = e.connect(at, u.Host, local, tr); p.over == nil {
		e.mu.Lock()
		delete(e.pending, branch)
		e.mu.Unlock()
		answer(sip.AppendResponse(nil, m, 503, "", "x"))
		return
	}
	p.over.Write([]byte(p.sent.Raw()))
}

// connect finds or dials a connection.
func (e *element) connect(at netip.AddrPort, name, local string, tr sipaddr.Transport) *link {
	if k := e.find(at, name, local, tr); k != nil {
		if e.dialsBeside {
			e.dial(at, name, local, tr)
		}
		return k
	}
	k := e.dial(at, name, local, tr)
	if k != nil {
		e.mu.Lock()
		e.rows = append(e.rows, &row{at: at, local: local, over: k})
		e.mu.Unlock()
	}
	return k
}

func (e *element) dial(at netip.AddrPort, name, local string, tr sipaddr.Transport) *link {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(e.ip, 0))}
	if e.fromListenPort {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(siptest.Loopback(e.t), sipaddr.TLS.DefaultPort()))
	}
	c, err := d.DialContext(e.ctx, "tcp", at.String())
	if err != nil {
		return nil
	}
	k := e.link(c, tr)
	k.dialed, k.local = true, local
	e.mu.Lock()
	if e.dials++; e.listensOnce && e.dials > 1 {
		e.closers[0].Close() // for TLS
	}
	e.mu.Unlock()
	if tr == sipaddr.TLS {
		cfg := &tls.Config{ServerName: name, InsecureSkipVerify: true, Certificates: []tls.Certificate{*e.certs[local]}}
		if e.noSNI {
			cfg.ServerName = ""
		}
		reference := name
		if e.srvName && strings.HasPrefix(name, "srv") {
			reference = "a.check.test"
		}
		good := false
		cfg.VerifyConnection = func(s tls.ConnectionState) error {
			if good = e.identify(k, s.PeerCertificates, identity.Server, reference); !good && !e.keepsOpen {
				return fmt.Errorf("not %s", reference)
			}
			return nil
		}
		s := tls.Client(c, cfg)
		k.Conn = s
		if s.HandshakeContext(e.ctx) != nil {
			c.Close()
			return nil
		}
		if !good {
			return nil
		}
	}
	e.run(func() { e.read(k) })
	return k
}

// response sends a response back.
func (e *element) response(m *sip.Message) {
	e.mu.Lock()
	p := e.pending[m.Branch()]
	e.mu.Unlock()
	if p == nil {
		return
	}
	invite := p.sent.Method() == sip.MethodInvite
	if m.Method() != p.sent.Method() {
		return // to our CANCEL
	}
	if invite && m.StatusCode() >= 300 {
		e.again(p, sip.AppendAck(nil, p.sent, m))
	}
	ed := m.Edit()
	ed.RemoveFirst(sip.FieldVia)
	if e.dropsAfter && m.StatusCode() >= 200 {
		e.ended(p.over) // before the next request comes, which the answer lets come
		p.over.Close()
	}
	p.answer(ed.AppendTo(nil))
	if m.StatusCode() < 200 {
		return
	}
	e.mu.Lock()
	if p.source != nil {
		p.source.open--
	}
	e.mu.Unlock()
}

// cancel sends a CANCEL where its INVITE went.
func (e *element) cancel(m *sip.Message, answer func([]byte)) {
	answer(sip.AppendResponse(nil, m, 200, "", "x"))
	if p := e.waits(m.Branch()); p != nil {
		e.again(p, sip.AppendCancel(nil, p.sent))
	}
}

// again sends what belongs to a request: over its connection, or a new one to its address.
func (e *element) again(p *pending, b []byte) {
	e.mu.Lock()
	gone := p.over.gone
	e.mu.Unlock()
	if gone && e.noAnew {
		return
	}
	k := p.over
	if gone {
		k = e.connect(p.at, p.name, p.local, p.over.transport)
	}
	if k != nil {
		k.Write(b)
	}
}
