package transport

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/tandem-sip/tandem/sipaddr"
)

// endpoint is what this side says of itself over one listener and, with TLS, for one domain. It is
// immutable, and written out beforehand so that a message costs copying only.
type endpoint struct {
	advertised  sipaddr.Advertised
	listen      netip.AddrPort
	localDomain string
	viaHead     string // "SIP/2.0/TLS p1.example.com;branch="
	viaTail     string // ";alias", ";rport" or nothing
	uri         string
}

var noEndpoint endpoint

// plainEndpoint returns the endpoint of a listener without TLS: its sent-by is host and port of the
// listener, so that nobody has to look anything up to answer.
func plainEndpoint(t sipaddr.Transport, listen netip.AddrPort, host string) *endpoint {
	if host == "" {
		host = hostOf(listen.Addr())
	}
	ep := &endpoint{
		advertised: sipaddr.Advertised{Host: host, Port: listen.Port(), Transport: t},
		listen:     listen,
	}
	ep.uri = "sip:" + ep.advertised.SentBy()
	if t == sipaddr.UDP {
		ep.viaTail = ";rport" // RFC 3581, Section 3
	} else {
		ep.uri += ";transport=" + t.URIParam()
	}
	ep.setVia()
	return ep
}

// tlsEndpoint returns the endpoint of a listener with TLS for a domain. sentBy is Domain.SentBy, uriHost
// a host that the certificate names.
func tlsEndpoint(l Listen, domain, sentBy, uriHost string, alias bool) *endpoint {
	host, port := splitSentBy(sentBy)
	listen := l.Addr
	if port == 0 && listen.Port() != l.Transport.DefaultPort() {
		port = listen.Port()
	}
	ep := &endpoint{
		advertised:  sipaddr.Advertised{Host: host, Port: port, Transport: l.Transport},
		listen:      listen,
		localDomain: domain,
	}
	ep.uri = "sip:" + sipaddr.Advertised{Host: uriHost, Port: port}.SentBy() + ";transport=" + l.Transport.URIParam()
	if alias {
		ep.viaTail = ";alias" // RFC 5923, Section 8.1
	}
	ep.setVia()
	return ep
}

func (ep *endpoint) setVia() {
	ep.viaHead = "SIP/2.0/" + ep.advertised.Transport.String() + " " + ep.advertised.SentBy() + ";branch="
}

// matches reports whether a Via with this sent-by is one that ep writes.
func (ep *endpoint) matches(host string, port uint16) bool {
	a := &ep.advertised
	return strings.EqualFold(host, a.Host) &&
		(port == a.Port || sipaddr.Advertised{Port: port, Transport: a.Transport}.EffectivePort() == a.EffectivePort())
}

// hostOf writes ip as a host of SIP, an IPv6 address in brackets.
func hostOf(ip netip.Addr) string {
	if ip.Is6() {
		return "[" + ip.WithZone("").String() + "]"
	}
	return ip.String()
}

// splitSentBy cuts a sent-by into its host and its port, 0 when it has none.
func splitSentBy(s string) (host string, port uint16) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") {
		return s, 0
	}
	n, err := strconv.ParseUint(s[i+1:], 10, 16)
	if err != nil {
		return s, 0
	}
	return s[:i], uint16(n)
}

// listenerFor returns the listener of connections to dial to from: the first of the transport and the
// address family, else any of the family over the same protocol, TCP or SCTP. For TCP what UDP listens on will do.
func (t *Transport) listenerFor(to sipaddr.Resolved) (found listener) {
	t.mu.Lock()
	defer t.mu.Unlock()
	best := 0
	better := func(score int, addr netip.AddrPort) bool {
		if addr.Addr().Is4() != to.Addr().Is4() || score <= best {
			return false
		}
		best = score
		return true
	}
	for _, l := range t.listeners {
		if l.kind.OverSCTP() != to.Transport.OverSCTP() {
			continue
		}
		if l.kind == to.Transport && better(3, l.addr) || better(2, l.addr) {
			found = listener{addr: l.addr, provider: l.provider}
			if l.kind == to.Transport {
				found.ep = l.ep
			}
		}
	}
	for _, s := range t.sockets {
		if !to.Transport.OverSCTP() && better(1, s.ep.listen) {
			found = listener{addr: s.ep.listen}
		}
	}
	return found
}

// socketFor returns the UDP socket to send to ip from.
func (t *Transport) socketFor(ip netip.Addr) *udpSocket {
	for _, s := range t.sockets {
		if s.ep.listen.Addr().Is4() == ip.Is4() {
			return s
		}
	}
	return nil
}
