package lab

import (
	"net"
	"strings"

	"github.com/miekg/dns"

	"github.com/tandem-sip/tandem/sipaddr"
)

// zone is a DNS server that knows the two domains and nothing else.
type zone struct {
	server  *dns.Server
	records map[string][]dns.RR // by name in lower case with its dot
}

// zoneTTL is how long its answers may be kept, in seconds.
const zoneTTL = 3600

// waysIn are the NAPTR service and the labels of the SRV name of each transport that the proxies may speak to each
// other: RFC 3263, Section 4.1 and RFC 4168, Section 6.
var waysIn = map[sipaddr.Transport]struct{ service, labels string }{
	sipaddr.TLS:     {"SIPS+D2T", "_sips._tcp."},
	sipaddr.SCTP:    {"SIP+D2S", "_sip._sctp."},
	sipaddr.TLSSCTP: {"SIPS+D2S", "_sips._sctp."},
}

// newZone makes the server on conn. Each domain says that one transport is the way in.
func newZone(conn net.PacketConn, p place, t sipaddr.Transport) *zone {
	z := &zone{records: make(map[string][]dns.RR)}
	way := waysIn[t]
	for i, s := range p.sides {
		domain, proxy := dns.Fqdn(domainNames[i]), dns.Fqdn(proxyNames[i])
		z.add(&dns.NAPTR{Hdr: header(domain, dns.TypeNAPTR), Order: 10, Preference: 10, Flags: "s", Service: way.service, Replacement: way.labels + domain})
		z.add(&dns.SRV{Hdr: header(way.labels+domain, dns.TypeSRV), Port: s.port(t), Target: proxy})
		address := s.proxy.AsSlice()
		z.add(&dns.A{Hdr: header(domain, dns.TypeA), A: address})
		z.add(&dns.A{Hdr: header(proxy, dns.TypeA), A: address})
		z.add(&dns.SOA{Hdr: header(domain, dns.TypeSOA), Ns: proxy, Mbox: "hostmaster." + domain, Serial: 1, Refresh: zoneTTL, Retry: zoneTTL, Expire: zoneTTL, Minttl: zoneTTL})
	}
	z.server = &dns.Server{PacketConn: conn, Handler: z}
	return z
}

func header(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: zoneTTL}
}

func (z *zone) add(rr dns.RR) {
	z.records[rr.Header().Name] = append(z.records[rr.Header().Name], rr)
}

// ServeDNS answers one query.
func (z *zone) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	answer := new(dns.Msg)
	answer.SetReply(query)
	answer.Authoritative = true
	if len(query.Question) == 1 {
		z.answer(answer, query.Question[0])
	} else {
		answer.Rcode = dns.RcodeFormatError
	}
	_ = w.WriteMsg(answer) // nobody is there to hear that it could not be sent; the resolver asks again
}

func (z *zone) answer(m *dns.Msg, q dns.Question) {
	name := strings.ToLower(q.Name)
	records, known := z.records[name]
	for _, rr := range records {
		if rr.Header().Rrtype == q.Qtype && q.Qclass == dns.ClassINET {
			m.Answer = append(m.Answer, rr)
		}
	}
	if len(m.Answer) > 0 {
		return
	}
	// RFC 2308: the SOA record says how long the "no" may be kept.
	for _, domain := range domainNames {
		if soa := dns.Fqdn(domain); dns.IsSubDomain(soa, name) {
			for _, rr := range z.records[soa] {
				if rr.Header().Rrtype == dns.TypeSOA {
					m.Ns = append(m.Ns, rr)
				}
			}
			if !known {
				m.Rcode = dns.RcodeNameError
			}
			return
		}
	}
	m.Rcode = dns.RcodeRefused
}

// run serves until close. It returns nil after that.
func (z *zone) run() error { return z.server.ActivateAndServe() }

func (z *zone) close() { _ = z.server.Shutdown() }
