package siptest

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// DNS is a DNS server that knows what it is told, and answers for all names like a recursive resolver. Its
// methods may be called at once, and while questions come in.
type DNS struct {
	t       testing.TB
	addr    netip.AddrPort
	servers []*dns.Server
	closing chan struct{}

	mu      sync.Mutex          // guards the fields below
	records map[string][]dns.RR // by lower-case name with the final dot
	faults  []Fault
	counts  map[string]int // by "name type", "name type tcp"
	total   int
}

// Fault is what goes wrong with some questions. The first that fits a question counts.
type Fault struct {
	Name string // of the question; empty: any
	Type string // of the question, such as "SRV"; empty: any
	// TCP and UDP say over which the fault holds. Neither: both.
	TCP, UDP bool

	Drop     bool          // no answer at all
	Delay    time.Duration // before anything else
	Rcode    int           // such as dns.RcodeServerFailure (2); 0: none
	Truncate bool          // empty, with the bit that asks for TCP; over UDP only
	Other    bool          // answered with another identifier, as by somebody who guesses
}

// ServerFailure and the others are for Fault.Rcode.
const (
	FormatError    = dns.RcodeFormatError
	ServerFailure  = dns.RcodeServerFailure
	NameError      = dns.RcodeNameError
	NotImplemented = dns.RcodeNotImplemented
	Refused        = dns.RcodeRefused
)

// NewDNS starts a server on an address of its own, over UDP and TCP, with records in zone-file form. Names
// in it are taken as complete.
func NewDNS(t testing.TB, zone string) *DNS {
	t.Helper()
	addr := Loopback(t)
	for range 10 { // somebody else may take the port meanwhile
		at := netip.AddrPortFrom(addr, FreePort(t, addr))
		if listener, socket, err := listenDNS(at); err == nil {
			return serveDNS(t, at, listener, socket, zone)
		}
	}
	t.Fatalf("siptest: DNS: no free port on %v", addr)
	return nil
}

// NewDNSAt is NewDNS at a given address.
func NewDNSAt(t testing.TB, at netip.AddrPort, zone string) *DNS {
	t.Helper()
	listener, socket, err := listenDNS(at)
	if err != nil {
		t.Fatalf("siptest: DNS: %v", err)
	}
	return serveDNS(t, at, listener, socket, zone)
}

func listenDNS(at netip.AddrPort) (*net.TCPListener, *net.UDPConn, error) {
	listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return nil, nil, err
	}
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		_ = listener.Close()
		return nil, nil, err
	}
	return listener, socket, nil
}

func serveDNS(t testing.TB, at netip.AddrPort, listener net.Listener, socket net.PacketConn, zone string) *DNS {
	d := &DNS{t: t, addr: at, closing: make(chan struct{}), counts: make(map[string]int)}
	d.Set(zone)
	var running, started sync.WaitGroup
	for _, s := range []*dns.Server{{Listener: listener}, {PacketConn: socket, UDPSize: 4096}} {
		running.Add(1)
		started.Add(1)
		s.Handler = dns.HandlerFunc(d.serve)
		s.NotifyStartedFunc = started.Done
		d.servers = append(d.servers, s)
		// Ends with the test, whose cleanup shuts the server down and waits.
		go func() {
			defer running.Done()
			_ = s.ActivateAndServe() // fails when it is shut down
		}()
	}
	started.Wait()
	t.Cleanup(func() {
		close(d.closing)
		for _, s := range d.servers {
			_ = s.Shutdown()
		}
		running.Wait()
	})
	return d
}

// Addr is where the server listens.
func (d *DNS) Addr() netip.AddrPort { return d.addr }

// Set replaces all records.
func (d *DNS) Set(zone string) {
	d.t.Helper()
	records := make(map[string][]dns.RR)
	parser := dns.NewZoneParser(strings.NewReader(zone), ".", "")
	parser.SetDefaultTTL(300)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		name := strings.ToLower(rr.Header().Name)
		records[name] = append(records[name], rr)
	}
	if err := parser.Err(); err != nil {
		d.t.Fatalf("siptest: zone: %v", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.records = records
}

// SetFaults replaces all faults; without any, all is well again.
func (d *DNS) SetFaults(faults ...Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = slices.Clone(faults)
}

// Queries counts the questions for a name and a type such as "SRV".
func (d *DNS) Queries(name, qtype string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts[countKey(name, qtype)]
}

// QueriesTCP counts those that came over TCP.
func (d *DNS) QueriesTCP(name, qtype string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts[countKey(name, qtype)+" tcp"]
}

// Total counts all questions.
func (d *DNS) Total() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.total
}

// countKey is the key of counts.
func countKey(name, qtype string) string {
	return strings.ToLower(strings.TrimSuffix(name, ".")) + " " + strings.ToUpper(qtype)
}

// serve answers one question.
func (d *DNS) serve(w dns.ResponseWriter, ask *dns.Msg) {
	if len(ask.Question) != 1 {
		return
	}
	q := ask.Question[0]
	_, tcp := w.RemoteAddr().(*net.TCPAddr)
	fault := d.count(q, tcp)
	if fault.Delay > 0 {
		timer := time.NewTimer(fault.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-d.closing:
			return
		}
	}
	if fault.Drop {
		return
	}
	m := new(dns.Msg).SetReply(ask)
	m.RecursionAvailable = true
	switch {
	case fault.Rcode != 0:
		m.Rcode = fault.Rcode
	case fault.Truncate && !tcp:
		m.Truncated = true
	default:
		d.fill(m, q)
	}
	size := dns.MaxMsgSize
	if opt := ask.IsEdns0(); opt != nil {
		m.SetEdns0(4096, false)
		if !tcp {
			size = int(opt.UDPSize())
		}
	} else if !tcp {
		size = dns.MinMsgSize
	}
	m.Truncate(size)
	if fault.Other {
		stray := m.Copy()
		stray.Id++
		_ = w.WriteMsg(stray)
		stray = m.Copy()
		stray.Question[0].Name = "other.invalid."
		_ = w.WriteMsg(stray)
	}
	_ = w.WriteMsg(m) // who asked may be gone
}

// count counts a question and finds its fault.
func (d *DNS) count(q dns.Question, tcp bool) Fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total++
	qtype := dns.TypeToString[q.Qtype]
	key := countKey(q.Name, qtype)
	d.counts[key]++
	if tcp {
		d.counts[key+" tcp"]++
	}
	for _, f := range d.faults {
		over := f.TCP == f.UDP || f.TCP == tcp
		if over && (f.Type == "" || strings.EqualFold(f.Type, qtype)) && (f.Name == "" || countKey(f.Name, qtype) == key) {
			return f
		}
	}
	return Fault{}
}

// fill puts in the answer, following CNAME records as a recursive resolver does.
func (d *DNS) fill(m *dns.Msg, q dns.Question) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := strings.ToLower(q.Name)
	for range 10 {
		var next string
		for _, rr := range d.records[name] {
			if rr.Header().Rrtype == q.Qtype {
				m.Answer = append(m.Answer, dns.Copy(rr))
			} else if c, ok := rr.(*dns.CNAME); ok {
				m.Answer = append(m.Answer, dns.Copy(rr))
				next = strings.ToLower(c.Target)
			}
		}
		if next == "" || q.Qtype == dns.TypeCNAME {
			break
		}
		name = next
	}
	if len(m.Answer) == 0 || m.Answer[len(m.Answer)-1].Header().Rrtype != q.Qtype {
		if !d.exists(name) {
			m.Rcode = dns.RcodeNameError
		}
		m.Ns = append(m.Ns, d.soa(name))
	}
}

// exists tells whether there is a record at a name or below it.
func (d *DNS) exists(name string) bool {
	for have := range d.records {
		if have == name || strings.HasSuffix(have, "."+name) {
			return true
		}
	}
	return false
}

// soa gives the SOA record of the zone that a name is in, or one made up that lets "no" be kept for 60 s.
func (d *DNS) soa(name string) dns.RR {
	for zone := name; zone != ""; {
		for _, rr := range d.records[zone] {
			if rr.Header().Rrtype == dns.TypeSOA {
				return dns.Copy(rr)
			}
		}
		_, zone, _ = strings.Cut(zone, ".")
	}
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60},
		Ns:  "ns.invalid.", Mbox: "nobody.invalid.", Serial: 1, Refresh: 60, Retry: 60, Expire: 60, Minttl: 60,
	}
}
