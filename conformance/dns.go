package conformance

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// zone answers DNS questions about the prober's names, over UDP.
type zone struct {
	server *dns.Server
	names  string // the domain below which they are, with its dot
	done   sync.WaitGroup

	// mu guards the fields below.
	mu      sync.Mutex
	records map[string][]dns.RR
	asked   map[string]bool // names that somebody asked for
	next    int
}

// zoneTTL is how long answers may be kept, in seconds.
const zoneTTL = 5

// newZone starts the server.
func newZone(at netip.AddrPort, names string) (*zone, error) {
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, fmt.Errorf("conformance: DNS: %w", err)
	}
	z := &zone{names: dns.Fqdn(names), records: make(map[string][]dns.RR), asked: make(map[string]bool)}
	var started sync.WaitGroup
	started.Add(1)
	z.server = &dns.Server{PacketConn: socket, Handler: z, NotifyStartedFunc: started.Done}
	z.done.Add(1)
	// ends when close shuts the server down
	go func() {
		defer z.done.Done()
		_ = z.server.ActivateAndServe() // its end is asked for
	}()
	started.Wait()
	return z, nil
}

// close ends the server.
func (z *zone) close() {
	_ = z.server.Shutdown() // there is no more to do about it
	z.done.Wait()
}

// address says where a name is.
func (z *zone) address(name string, ip netip.Addr) {
	head := dns.RR_Header{Name: dns.Fqdn(name), Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: zoneTTL}
	var rr dns.RR = &dns.A{Hdr: head, A: ip.AsSlice()}
	if ip.Is6() {
		head.Rrtype = dns.TypeAAAA
		rr = &dns.AAAA{Hdr: head, AAAA: ip.AsSlice()}
	}
	z.add(rr)
}

// services makes a new name with SRV records for hosts and ports, all of the same priority and weight.
func (z *zone) services(service string, host string, ports ...uint16) string {
	z.mu.Lock()
	z.next++
	name := fmt.Sprintf("srv%d.%s", z.next, z.names)
	z.mu.Unlock()
	for _, port := range ports {
		z.add(&dns.SRV{
			Hdr:      dns.RR_Header{Name: service + "." + name, Rrtype: dns.TypeSRV, Class: dns.ClassINET, Ttl: zoneTTL},
			Priority: 10, Weight: 10, Port: port, Target: dns.Fqdn(host),
		})
	}
	return strings.TrimSuffix(name, ".")
}

func (z *zone) add(rr dns.RR) {
	z.mu.Lock()
	defer z.mu.Unlock()
	name := strings.ToLower(rr.Header().Name)
	z.records[name] = append(z.records[name], rr)
}

// wasAsked says whether somebody asked for a name or for one below it.
func (z *zone) wasAsked(name string) bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	for asked := range z.asked {
		if asked == dns.Fqdn(name) || strings.HasSuffix(asked, "."+dns.Fqdn(name)) {
			return true
		}
	}
	return false
}

// ServeDNS answers one question.
func (z *zone) ServeDNS(w dns.ResponseWriter, ask *dns.Msg) {
	m := new(dns.Msg).SetReply(ask)
	m.Authoritative, m.RecursionAvailable = true, true
	if len(ask.Question) == 1 {
		z.answer(m, ask.Question[0])
	} else {
		m.Rcode = dns.RcodeFormatError
	}
	_ = w.WriteMsg(m) // who asked may be gone
}

func (z *zone) answer(m *dns.Msg, q dns.Question) {
	z.mu.Lock()
	defer z.mu.Unlock()
	name := strings.ToLower(q.Name)
	z.asked[name] = true
	for _, rr := range z.records[name] {
		if rr.Header().Rrtype == q.Qtype {
			m.Answer = append(m.Answer, rr)
		}
	}
	switch {
	case len(m.Answer) > 0:
		return
	case !dns.IsSubDomain(z.names, name):
		m.Rcode = dns.RcodeRefused
		return
	case !z.exists(name):
		m.Rcode = dns.RcodeNameError
	}
	m.Ns = append(m.Ns, &dns.SOA{
		Hdr: dns.RR_Header{Name: z.names, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: zoneTTL},
		Ns:  z.names, Mbox: "nobody." + z.names, Serial: 1, Refresh: 60, Retry: 60, Expire: 60, Minttl: 1,
	})
}

// exists says whether there is something at a name or below it.
func (z *zone) exists(name string) bool {
	for have := range z.records {
		if have == name || strings.HasSuffix(have, "."+name) {
			return true
		}
	}
	return false
}
