package node

import (
	"cmp"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/framing"
	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/trace"
	"github.com/tandem-sip/tandem/proxy"
	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/transaction"
	"github.com/tandem-sip/tandem/transport"
)

// settings are a configuration and what is made of it. They never change: Reload puts others in their place.
type settings struct {
	cfg     *config.Config
	judge   *judge
	domains []transport.Domain
	finder  *resolve.Resolver
	former  []string // hosts that were advertised for domains that are still served: dialogs go by them
}

// newSettings makes settings that follow old ones; nil for the first. The resolver is kept, with all that it
// knows, unless it would ask others.
func newSettings(cfg *config.Config, old *settings) (*settings, error) {
	s := &settings{cfg: cfg, judge: newJudge(cfg)}
	var err error
	if s.domains, err = domains(cfg, s.judge); err != nil {
		return nil, err
	}
	if old != nil {
		s.former = formerHosts(cfg, old)
		if slices.Equal(cfg.DNS, old.cfg.DNS) {
			s.finder = old.finder
		}
	}
	if s.finder == nil {
		if s.finder, err = resolve.New(resolveConfig(cfg)); err != nil {
			return nil, fmt.Errorf("node: %w", err)
		}
	}
	return s, nil
}

// transportConfig makes the settings of the wire.
func (n *Node) transportConfig(s *settings) transport.Config {
	cfg := s.cfg
	out := transport.Config{
		Domains:             s.domains,
		Handler:             wire{n},
		Logger:              n.log,
		Judge:               n.judged,
		Refused:             n.refusedClient,
		Alerted:             n.alerted,
		PingPeer:            pingPeer,
		Outstanding:         n.outstanding,
		Busy:                n.busy,
		Ended:               n.ended,
		Limits:              framing.Limits{StartLine: cfg.Limits.StartLine, Header: cfg.Limits.Header, Body: cfg.Limits.Body},
		HandshakeTimeout:    cfg.Timers.Handshake,
		HeaderTimeout:       cfg.Timers.HeaderRead,
		BodyTimeout:         cfg.Timers.BodyRead,
		DialTimeout:         cfg.Timers.Dial,
		DrainTimeout:        cfg.Timers.Drain,
		PongTimeout:         cfg.Timers.Pong,
		SuspectAfter:        cmp.Or(cfg.Limits.Unanswered, -1),
		QueueBytes:          cfg.Limits.Queue,
		MaxConnections:      cfg.Limits.Connections,
		MaxPerSource:        cfg.Limits.ConnectionsPerSource,
		MaxPerIdentity:      cfg.Limits.ConnectionsPerIdentity,
		MaxPending:          cfg.Limits.Handshakes,
		MaxPendingPerSource: cfg.Limits.HandshakesPerSource,
		MaxRowsPerConn:      cfg.Limits.RowsPerConnection,
		Recommend:           cfg.Timers.Keepalive,
		MaxAge:              cfg.Timers.Recycle,
		SCTP:                sctpConfig(cfg.SCTP),
		TLSStreams:          cfg.SCTP.TLSStreams,
	}
	for _, l := range cfg.Listen {
		out.Listen = append(out.Listen, transport.Listen{Transport: l.Transport, Addr: l.Addr})
	}
	return out
}

// traceConfig says what the recorder keeps: nothing without an admin API, where nobody could ask for it.
func traceConfig(cfg *config.Config) trace.Config {
	out := trace.Config{Memory: cfg.Trace.Memory, ShowCredentials: cfg.Trace.ShowCredentials}
	if !cfg.Admin.Listen.IsValid() {
		out.Memory = 0
	}
	return out
}

// judged judges a connection, or a source of datagrams, by the rules in force.
func (n *Node) judged(ci transport.ConnInfo) any {
	judge := n.inForce.Load().judge
	j := judge.of(ci)
	if ci.Transport.Secure() && ci.Direction == alias.Accepted {
		n.doubt(judge, ci, j)
	}
	j.shares = n.shareOf(ci.Remote.Addr(), j.identity)
	return j
}

// busy tells how many transactions need each connection that any need.
func (n *Node) busy() map[uint64]int { return n.layer.OutstandingByConn() }

// pingPeer tells how often a connection is pinged.
func pingPeer(user any) time.Duration {
	if j, ok := user.(*judgement); ok {
		return j.keepalive
	}
	return 0
}

// domains makes the served domains that have a certificate and somebody to believe, as the wire sees them.
func domains(cfg *config.Config, j *judge) (out []transport.Domain, err error) {
	verifiers := make(map[*config.Trust]*identity.Verifier) // domains without a trust of their own share one
	for _, d := range cfg.Domains {
		trust := d.Trust
		if trust == nil {
			trust = &cfg.Trust
		}
		if len(d.Certificate.Certificate) == 0 || len(trust.CA) == 0 {
			continue // served on plain transports only
		}
		if verifiers[trust] == nil {
			if verifiers[trust], err = newVerifier(cfg, trust); err != nil {
				return nil, err
			}
		}
		dom := transport.Domain{Name: d.Name, SentBy: d.SentBy, Certificate: d.Certificate, Verifier: verifiers[trust]}
		if j.declines {
			dom.DeclineAlias = j.declinesAlias
		}
		out = append(out, dom)
	}
	return out, nil
}

// newVerifier returns what believes, or not, the certificates of peers.
func newVerifier(cfg *config.Config, trust *config.Trust) (*identity.Verifier, error) {
	var lenient []string
	for _, p := range cfg.Peers {
		if p.ServerAuthClient {
			lenient = append(lenient, p.Identities...)
		}
	}
	serverAuth, err := identity.NewSet(lenient...)
	if err != nil {
		return nil, fmt.Errorf("%s: peers: %w", cfg.File, err)
	}
	v, err := identity.NewVerifier(identity.Policy{
		Roots:             trust.CA,
		CRLs:              trust.CRL,
		CNFallback:        trust.CNFallback,
		StrictEKU:         trust.StrictEKU,
		MustStaple:        trust.MustStaple,
		MaxNames:          trust.MaxNames,
		ServerAuthClients: serverAuth,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: trust: %w", cfg.File, err)
	}
	return v, nil
}

// resolveConfig makes the settings of the resolver: it finds what the listeners can reach.
func resolveConfig(cfg *config.Config) resolve.Config {
	out := resolve.Config{Servers: cfg.DNS}
	has := make(map[sipaddr.Transport]bool)
	for _, l := range cfg.Listen {
		has[l.Transport] = true
		ip := l.Addr.Addr()
		out.IPv4 = out.IPv4 || ip.Is4() || ip.Is4In6() || ip == netip.IPv6Unspecified()
		out.IPv6 = out.IPv6 || ip.Is6() && !ip.Is4In6()
	}
	for _, t := range []sipaddr.Transport{sipaddr.TLS, sipaddr.TLSSCTP, sipaddr.TCP, sipaddr.SCTP, sipaddr.UDP} {
		if has[t] {
			out.Transports = append(out.Transports, t)
		}
	}
	return out
}

// timers returns the timers of the transactions.
func timers(cfg *config.Config) transaction.Timers {
	return transaction.Timers{T1: cfg.Timers.T1, T2: cfg.Timers.T2, T4: cfg.Timers.T4, Trying: cfg.Timers.Trying}
}

// rules makes the proxy's rules. listening are the listen addresses with their real ports.
func (s *settings) rules(listening []transport.Listen) proxy.Rules {
	cfg := s.cfg
	out := proxy.Rules{
		UntrustedHeaders: cfg.Access.UntrustedHeaders,
		TimerC:           cfg.Timers.TimerC,
		DialogKey:        cfg.Access.DialogKey,
	}
	if out.UntrustedHeaders == nil {
		out.UntrustedHeaders = []string{} // the operator's empty list is not the default
	}
	for _, d := range cfg.Domains {
		out.Served = append(out.Served, proxy.Domain{Name: d.Name, SentBy: d.SentBy})
	}
	for _, l := range listening {
		for _, host := range hostsOf(l.Addr.Addr()) {
			out.Self = append(out.Self, sipaddr.Advertised{Host: host, Port: l.Addr.Port(), Transport: l.Transport})
		}
		// What is advertised for a domain carries the port of the listener.
		for _, d := range cfg.Domains {
			out.Self = append(out.Self, sipaddr.Advertised{Host: hostPart(d.SentBy), Port: l.Addr.Port(), Transport: l.Transport})
		}
		for _, host := range s.former {
			out.Self = append(out.Self, sipaddr.Advertised{Host: host, Port: l.Addr.Port(), Transport: l.Transport})
		}
	}
	for _, r := range cfg.Routes {
		route := proxy.Route{Domain: r.Domain}
		for _, t := range r.To {
			route.To = append(route.To, proxy.Target{URI: t.URI, Q: int(math.Round(t.Q * 1000))})
		}
		out.Routes = append(out.Routes, route)
	}
	return out
}

// hostsOf returns how an own listen address may stand in a URI. An unspecified one stands for all
// addresses of the machine.
func hostsOf(ip netip.Addr) []string {
	if !ip.IsUnspecified() {
		return []string{ip.String()}
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var hosts []string
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && (ip.Is6() || p.Addr().Is4()) {
			hosts = append(hosts, p.Addr().WithZone("").String())
		}
	}
	return hosts
}

// hostPart returns the host of a sent-by.
func hostPart(sentBy string) string {
	if host, _, err := net.SplitHostPort(sentBy); err == nil {
		return host
	}
	return sentBy
}
