package proxy

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// Rules says which requests are for us, and where the others go. It is a snapshot: Core.Update puts another one in
// its place, and a request that is under way keeps the one it began with.
type Rules struct {
	// Served are the domains that we are responsible for (RFC 3261, Section 16.5). The first is the one on whose
	// behalf a request goes out when nothing says another.
	Served []Domain
	// Self are our own addresses: those that we listen on, and those that we write into Via and Record-Route.
	// Port 0 means the default port of the transport, or any of our ports when the transport is Unknown.
	Self []sipaddr.Advertised
	// Routes are tried in order, the first that matches decides. Without a match a request for a foreign URI
	// goes where RFC 3263 says.
	Routes []Route
	// UntrustedHeaders are removed from requests of sources that are not trusted. nil: DefaultUntrustedHeaders.
	UntrustedHeaders []string
	// TimerC is that of Config for these rules. Zero: as Config has it.
	TimerC time.Duration
	// DialogKey is the secret for dialog tokens from now on; what the one before it has signed stays good, so that
	// the dialogs of that time go on. nil: the one in force.
	DialogKey []byte
}

// Domain is a served domain.
type Domain struct {
	Name   string // host name or IP address
	SentBy string // our advertised host, and port when there is one, for this domain; "": Name
}

// Route is one routing rule. A field that is empty matches everything.
type Route struct {
	Domain string // host of the Request-URI, compared whole and without regard to case
	Method string
	Peer   string   // the configured peer that sent the request
	To     []Target // next hops; none refuses the request with 480
}

// Target is a next hop. Targets of one Q are tried at the same time, those with a lower one after them.
type Target struct {
	URI *sip.URI
	Q   int // thousandths, 1 to 1000; 0: 1000
}

// DefaultUntrustedHeaders are the header fields that say something about the sender on somebody's authority:
// RFC 3325, Section 5 and RFC 3325, Section 6, RFC 7315, and common extensions.
var DefaultUntrustedHeaders = []string{
	"P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "P-Asserted-Service",
	"P-Charging-Vector", "P-Charging-Function-Addresses", "P-Served-User", "P-Profile-Key", "X-Trusted",
}

type hostPort struct {
	host string
	port uint16
}

// ruleSet is Rules made ready for look-ups. It never changes.
type ruleSet struct {
	served    map[string]served // by name
	sentBy    map[string]string // host of a sent-by -> served domain
	first     string            // name of the first served domain
	agent     string            // warn-agent (RFC 3261, Section 20.43) when no domain is known
	hosts     map[string]bool   // every host that is ours
	self      map[hostPort]bool
	ports     map[uint16]bool // every port of ours
	routes    []route
	untrusted headerSet
	byPeer    bool // some rule looks at the peer
	timerC    time.Duration
	keys      *keyring
}

// served is a domain with its name as it is compared. Names that are handed out are these, not parts of a message
// that they would keep alive.
type served struct {
	Domain
	name string
}

type route struct {
	domain, method, peer string
	targets              []target // highest q first; shared by requests, so only to be read
}

func compile(r Rules) *ruleSet {
	s := &ruleSet{
		served: make(map[string]served, len(r.Served)),
		sentBy: make(map[string]string, len(r.Served)),
		hosts:  make(map[string]bool), self: make(map[hostPort]bool), ports: make(map[uint16]bool),
		untrusted: headers(r.UntrustedHeaders), agent: "tandem",
	}
	if r.UntrustedHeaders == nil {
		s.untrusted = headers(DefaultUntrustedHeaders)
	}
	for _, a := range r.Self {
		s.addSelf(normalHost(a.Host), a.Port, a.Transport)
	}
	for i, d := range r.Served {
		name := normalHost(d.Name)
		if d.SentBy == "" {
			d.SentBy = d.Name
		}
		if _, twice := s.served[name]; twice {
			continue
		}
		s.served[name] = served{d, name}
		s.hosts[name] = true
		host, port := splitHostPort(d.SentBy)
		if _, taken := s.sentBy[host]; !taken {
			s.sentBy[host] = name // domains may share a sent-by; the first then stands for it
		}
		s.addSelf(host, port, sipaddr.Unknown)
		if i == 0 {
			s.first, s.agent = name, d.SentBy
		}
	}
	if len(r.Served) == 0 && len(r.Self) > 0 {
		s.agent = r.Self[0].SentBy()
	}
	for _, in := range r.Routes {
		out := route{domain: normalHost(in.Domain), method: in.Method, peer: in.Peer}
		for _, t := range in.To {
			if t.Q <= 0 || t.Q > 1000 {
				t.Q = 1000
			}
			// RFC 3261, Section 16.5: no target twice.
			same := func(o target) bool { return o.hop.Equal(t.URI) }
			if t.URI != nil && !slices.ContainsFunc(out.targets, same) {
				out.targets = append(out.targets, target{hop: t.URI, q: t.Q, reach: reach{any: true}})
			}
		}
		slices.SortStableFunc(out.targets, func(a, b target) int { return b.q - a.q })
		out.targets = slices.Clip(out.targets)
		s.byPeer = s.byPeer || in.Peer != ""
		s.routes = append(s.routes, out)
	}
	return s
}

func (s *ruleSet) addSelf(host string, port uint16, t sipaddr.Transport) {
	if host == "" {
		return
	}
	s.hosts[host] = true
	if port == 0 {
		port = t.DefaultPort()
	}
	if port != 0 {
		s.self[hostPort{host, port}] = true
		s.ports[port] = true
	}
}

// normalHost returns a host as it is compared: lower case, an address in its one spelling, no final dot.
func normalHost(host string) string {
	if isNormal(host) {
		return host
	}
	h := strings.TrimSuffix(host, ".")
	bare := h
	if len(bare) > 2 && bare[0] == '[' && bare[len(bare)-1] == ']' {
		bare = bare[1 : len(bare)-1]
	}
	if len(bare) > 0 && (bare[0] >= '0' && bare[0] <= '9' || strings.Contains(bare, ":")) {
		if ip, err := netip.ParseAddr(bare); err == nil {
			return ip.Unmap().String()
		}
	}
	return strings.ToLower(h)
}

// isNormal reports whether a host is as it is compared already: most are, and cost nothing then.
func isNormal(host string) bool {
	if host == "" || host[len(host)-1] == '.' {
		return false
	}
	letters := false
	for i := range len(host) {
		switch c := host[i]; {
		case c >= 'a' && c <= 'z' || c == '-' || c == '_':
			letters = true
		case c != '.' && (c < '0' || c > '9'):
			return false
		}
	}
	if letters {
		return true // a colon or brackets would make it an IPv6 address
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Is4() // which has one spelling
}

func splitHostPort(s string) (host string, port uint16) {
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		if n, err := strconv.ParseUint(s[i+1:], 10, 16); err == nil && (s[0] == '[' || strings.Count(s, ":") == 1) {
			return normalHost(s[:i]), uint16(n)
		}
	}
	return normalHost(s), 0
}

// isSelf reports whether host and port of a URI are our own.
func (s *ruleSet) isSelf(u *sip.URI) bool {
	if !u.IsSIP() {
		return false
	}
	if !s.isSelfAt(normalHost(u.Host), u) {
		return false
	}
	maddr, ok := u.Param("maddr")
	return !ok || maddr == "" || s.isSelfAt(normalHost(maddr), u)
}

func (s *ruleSet) isSelfAt(host string, u *sip.URI) bool {
	if !s.hosts[host] {
		return false
	}
	if u.Port != 0 {
		// A name of ours with any of our ports is ours; an address needs its own port.
		return s.self[hostPort{host, u.Port}] || s.ports[u.Port] && !isAddress(host)
	}
	if !isAddress(host) {
		return true
	}
	t, _ := sipaddr.ParseTransport(u.Transport())
	port := t.DefaultPort()
	if u.Secure() {
		port = sipaddr.TLS.DefaultPort()
	} else if port == 0 {
		port = sipaddr.UDP.DefaultPort()
	}
	return s.self[hostPort{host, port}]
}

// servedDomain returns the served domain that a Request-URI belongs to. A maddr that leads elsewhere makes the
// request somebody else's (RFC 3261, Section 16.5).
func (s *ruleSet) servedDomain(u *sip.URI) (name string, ok bool) {
	if !u.IsSIP() {
		return "", false
	}
	d, ok := s.served[normalHost(u.Host)]
	if !ok {
		return "", false
	}
	if u.Port != 0 && !s.ports[u.Port] && len(s.ports) > 0 {
		return "", false
	}
	if maddr, has := u.Param("maddr"); has && !s.hosts[normalHost(maddr)] {
		return "", false
	}
	return d.name, true
}

// domainOf returns the served domain that a host of ours stands for: its name, or its sent-by.
func (s *ruleSet) domainOf(host string) (name string, ok bool) {
	host = normalHost(host)
	if d, ok := s.served[host]; ok {
		return d.name, true
	}
	name, ok = s.sentBy[host]
	return name, ok
}

// domainOfURI returns the served domain that a Request-URI belongs to, be it by its name or by the sent-by.
func (s *ruleSet) domainOfURI(u *sip.URI) (name string, ok bool) {
	if name, ok = s.servedDomain(u); !ok && s.isSelf(u) {
		name, ok = s.domainOf(u.Host)
	}
	return name, ok
}

// agentOf returns the warn-agent for responses made on behalf of a domain.
func (s *ruleSet) agentOf(domain string) string {
	if d, ok := s.served[domain]; ok {
		return d.SentBy
	}
	return s.agent
}

// match returns the first rule for a request. any is false for a request inside a dialog, which a rule without a
// domain must not divert from its route set.
func (s *ruleSet) match(u *sip.URI, method, peer string, any bool) *route {
	host := ""
	for i := range s.routes {
		r := &s.routes[i]
		if r.method != "" && r.method != method || r.peer != "" && r.peer != peer {
			continue
		}
		if r.domain == "" {
			if any {
				return r
			}
			continue
		}
		if host == "" {
			host = normalHost(u.Host)
		}
		if r.domain == host {
			return r
		}
	}
	return nil
}

func isAddress(host string) bool {
	if host == "" || host[0] > '9' && !strings.Contains(host, ":") {
		return false
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}
