package resolve

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/tandem-sip/tandem/sipaddr"
)

// Config is what a Resolver needs to know. The zero value asks the servers of the system for everything.
type Config struct {
	// Servers are the DNS servers, in the order to ask. None: those of /etc/resolv.conf, read once by New.
	// Search domains are never applied: names in SIP are complete.
	Servers []netip.AddrPort
	// HostsFile is the hosts file, reread when it changes. Empty: /etc/hosts. It need not exist.
	HostsFile string
	// Transports are those that can be used, most wanted first. The order matters only for a domain that
	// has SRV records of several transports and no NAPTR records, which would tell its own preference.
	// None: TLS, TCP, UDP.
	Transports []sipaddr.Transport
	// IPv4 and IPv6 say which address families can be used. Neither: both.
	IPv4, IPv6 bool

	// Timeout is how long one server may take for one question. Default 1 s.
	Timeout time.Duration
	// Attempts is how often each server is asked one question. Default 2; 1 for as long as all are dead.
	Attempts int
	// LookupTimeout is how long all the questions for one URI may take together. Default 5 s.
	LookupTimeout time.Duration

	// MaxTargets bounds the SRV targets that are looked up for one URI, and the addresses of one answer.
	// Default 16. Of more SRV records of one priority a random part is used, drawn by weight.
	MaxTargets int
	// MaxEntries bounds the answers kept, and the DNS answers behind them. Default 8192 of each.
	MaxEntries int
	// MaxLookups bounds the URIs being looked up at once. Default 256. More get ErrTemporary.
	MaxLookups int
	// MaxQueries bounds the questions on their way to servers at once. Default 64. More wait.
	MaxQueries int

	// MinTTL is the shortest time that an answer is kept, also one with TTL 0. Default 1 s.
	MinTTL time.Duration
	// MaxTTL is the longest. Default 1 h.
	MaxTTL time.Duration
	// NegativeTTL is the longest time that "no such name" is kept. Default 30 s.
	NegativeTTL time.Duration
	// MaxStale is how long past its TTL an answer is used while DNS fails. Default 1 h; negative: not at all.
	MaxStale time.Duration

	// Random is the source of the order within an SRV priority; tests give one with a seed. It is used
	// under a lock. Nil: the runtime's own source, without one.
	Random rand.Source
	// Logger gets what an operator acts on. Nil: nothing is logged.
	Logger *slog.Logger
}

// resolvConf is where the system names its DNS servers.
const resolvConf = "/etc/resolv.conf"

// withDefaults fills what is zero and refuses what cannot be.
func (c Config) withDefaults() (Config, error) {
	c.Servers, c.Transports = slices.Clone(c.Servers), slices.Clone(c.Transports)
	if len(c.Servers) == 0 {
		c.Servers = systemServers(resolvConf)
	}
	for _, s := range c.Servers {
		if !s.IsValid() || s.Port() == 0 {
			return c, fmt.Errorf("resolve: %q is not the address and port of a DNS server", s)
		}
	}
	if len(c.Transports) == 0 {
		c.Transports = []sipaddr.Transport{sipaddr.TLS, sipaddr.TCP, sipaddr.UDP}
	}
	for _, t := range c.Transports {
		if serviceOf(t).srv == "" {
			return c, fmt.Errorf("resolve: transport %v has no place in DNS", t)
		}
	}
	if !c.IPv4 && !c.IPv6 {
		c.IPv4, c.IPv6 = true, true
	}
	if c.HostsFile == "" {
		c.HostsFile = "/etc/hosts"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	setDefault(&c.Timeout, time.Second)
	setDefault(&c.Attempts, 2)
	setDefault(&c.LookupTimeout, 5*time.Second)
	setDefault(&c.MaxTargets, 16)
	setDefault(&c.MaxEntries, 8192)
	setDefault(&c.MaxLookups, 256)
	setDefault(&c.MaxQueries, 64)
	setDefault(&c.MinTTL, time.Second)
	setDefault(&c.MaxTTL, time.Hour)
	setDefault(&c.NegativeTTL, 30*time.Second)
	if c.MaxStale == 0 {
		c.MaxStale = time.Hour
	}
	c.MaxStale = max(c.MaxStale, 0)
	return c, nil
}

// setDefault gives a field that is not positive its default.
func setDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// systemServers reads the DNS servers of the system. A system that names none has one of its own.
func systemServers(path string) []netip.AddrPort {
	var servers []netip.AddrPort
	if conf, err := dns.ClientConfigFromFile(path); err == nil {
		for _, s := range conf.Servers {
			if addr, err := netip.ParseAddr(s); err == nil {
				servers = append(servers, netip.AddrPortFrom(addr, 53))
			}
		}
	}
	if len(servers) == 0 {
		servers = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
	}
	return servers
}
