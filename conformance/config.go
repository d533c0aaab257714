package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sctp"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// Config says whom to probe and from where. New copies it. The zero value of each field but Target is a good
// default.
type Config struct {
	// Target is the SIP URI of the element: "sip:example.com", "sip:192.0.2.1:5061". Its host is resolved by
	// RFC 3263 for the transport.
	Target string
	// Domain is a domain that the target serves and has a certificate for. Default: the host of Target.
	Domain string
	// SecondDomain is another one that it serves. Without it the cases about several local domains are not
	// testable.
	SecondDomain string
	// Transport is the one under test: TLS, which is the default, or TLSSCTP.
	Transport sipaddr.Transport
	// Plain is where the target takes SIP over TCP without TLS. Default: port 5060 of its IP address.
	Plain netip.AddrPort

	// Trigger is the SIP URI that the prober sends requests to, over UDP or TCP by its transport
	// parameter, which the target is to forward by their Request-URI. Default: port 5060 of the target's IP
	// address, over UDP.
	Trigger string
	// Command is called instead when it is there, and has to make the target send a request to the URI. It
	// returns when that has been asked for.
	Command func(ctx context.Context, uri string) error
	// Agent is the IP address that the prober sends to Trigger from. Default: Listen.
	Agent netip.Addr

	// Listen is the IP address that the prober dials from and listens on, both with any free port.
	// Default: the one that this machine uses towards the target.
	Listen netip.Addr
	// Second is another IP address of this machine. Without it the cases about several addresses are not
	// testable.
	Second netip.Addr
	// Names is the domain below which the prober has its names. Default check.test.
	Names string
	// DNS is where the prober answers DNS questions about its names. Without it the target has to find
	// them some other way, and the cases about SRV records are not testable.
	DNS netip.AddrPort
	// Authority signs the prober's certificates. Default: one that is made, which only a target that
	// trusts anybody trusts.
	Authority *Authority

	// Wait is how long to wait for what has to come. Default 5 s.
	Wait time.Duration
	// Quiet is how long nothing has to come where nothing may. Default 300 ms.
	Quiet time.Duration
	// Idle is how long a connection has to stay open without being used. Default 3 s.
	Idle time.Duration
	// Only has the cases to run, by their ids. Default: all.
	Only *regexp.Regexp
	// Found is called once with what was found out before the first case.
	Found func(Facts)
	// Progress is called with each result as it comes.
	Progress func(Result)
}

// Prober runs cases against one target.
type Prober struct {
	cfg       Config
	target    netip.AddrPort // listen address of the target for the transport under test
	requestTo string         // a URI for the target itself
	trigger   sip.URI
	triggerAt netip.AddrPort
	zone      *zone
	facts     Facts

	// speaking guards the field below.
	speaking sync.Mutex
	speakers map[netip.Addr]sctp.Provider // by the prober's addresses, for SCTP
}

// New checks cfg and finds the target's address, which may ask DNS. It sends the target nothing.
func New(ctx context.Context, cfg Config) (*Prober, error) {
	p := &Prober{cfg: cfg}
	if p.cfg.Transport == sipaddr.Unknown {
		p.cfg.Transport = sipaddr.TLS
	}
	if !p.cfg.Transport.Secure() {
		return nil, fmt.Errorf("conformance: no cases for transport %s", cfg.Transport)
	}
	for _, d := range []struct {
		d   *time.Duration
		def time.Duration
	}{{&p.cfg.Wait, 5 * time.Second}, {&p.cfg.Quiet, 300 * time.Millisecond}, {&p.cfg.Idle, 3 * time.Second}} {
		if *d.d <= 0 {
			*d.d = d.def
		}
	}
	if p.cfg.Names == "" {
		p.cfg.Names = "check.test"
	}
	if err := p.locate(ctx); err != nil {
		return nil, err
	}
	if err := p.addresses(ctx); err != nil {
		return nil, err
	}
	if p.cfg.Authority == nil {
		a, err := NewAuthority("Prober's authority")
		if err != nil {
			return nil, err
		}
		p.cfg.Authority = a
	}
	return p, nil
}

// Address returns where the target listens for the transport under test.
func (p *Prober) Address() netip.AddrPort { return p.target }

// Domain returns the domain that the target serves.
func (p *Prober) Domain() string { return p.cfg.Domain }

// ErrUsage is in errors of New that are about what the caller asked for; it comes wrapped.
var ErrUsage = errors.New("wrong usage")

// locate finds where the target listens.
func (p *Prober) locate(ctx context.Context) error {
	u, err := sip.ParseURI(p.cfg.Target)
	if err != nil || !u.IsSIP() {
		return fmt.Errorf("conformance: %w: %q is not a SIP URI such as sip:example.com", ErrUsage, p.cfg.Target)
	}
	at, err := lookUp(ctx, u, p.cfg.Transport)
	if err != nil {
		return fmt.Errorf("conformance: no address for %s: %w", p.cfg.Target, err)
	}
	p.target = at.AddrPort
	if p.cfg.Domain == "" {
		p.cfg.Domain = u.Host
	}
	p.requestTo = "sip:" + p.cfg.Domain
	if !p.cfg.Plain.IsValid() {
		p.cfg.Plain = netip.AddrPortFrom(at.Addr(), sipaddr.TCP.DefaultPort())
	}
	return nil
}

// lookUp resolves a URI for a transport by RFC 3263.
func lookUp(ctx context.Context, u *sip.URI, tr sipaddr.Transport) (sipaddr.Resolved, error) {
	r, err := resolve.New(resolve.Config{Transports: []sipaddr.Transport{tr}})
	if err != nil {
		return sipaddr.Resolved{}, err
	}
	defer r.Close()
	asked := sip.URI{Scheme: "sip", Host: u.Host, Port: u.Port, Params: ";transport=" + tr.URIParam()}
	answer, err := r.Resolve(ctx, &asked)
	if err != nil {
		return sipaddr.Resolved{}, err
	}
	return answer.Addresses[0], nil
}

// addresses fills in the prober's own addresses and where the trigger leads.
func (p *Prober) addresses(ctx context.Context) error {
	if !p.cfg.Listen.IsValid() {
		conn, err := net.Dial("udp", p.target.String()) // sends nothing, and finds the route
		if err != nil {
			return fmt.Errorf("conformance: no address of this machine leads to the target: %w", err)
		}
		p.cfg.Listen = conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
		_ = conn.Close()
	}
	if !p.cfg.Agent.IsValid() {
		p.cfg.Agent = p.cfg.Listen
	}
	if p.cfg.Trigger == "" {
		p.cfg.Trigger = "sip:" + netip.AddrPortFrom(p.target.Addr(), sipaddr.UDP.DefaultPort()).String() + ";transport=udp"
	}
	u, err := sip.ParseURI(p.cfg.Trigger)
	if err != nil || !u.IsSIP() {
		return fmt.Errorf("conformance: %w: trigger %q is not a SIP URI", ErrUsage, p.cfg.Trigger)
	}
	tr := sipaddr.UDP
	switch strings.ToLower(u.Transport()) {
	case "", "udp":
	case "tcp":
		tr = sipaddr.TCP
	default:
		return fmt.Errorf("conformance: %w: the trigger's transport is udp or tcp, not %s", ErrUsage, u.Transport())
	}
	p.trigger = *u
	if p.cfg.Command != nil {
		return nil
	}
	at, err := lookUp(ctx, u, tr)
	if err != nil {
		return fmt.Errorf("conformance: no address for trigger %s: %w", p.cfg.Trigger, err)
	}
	p.triggerAt = at.AddrPort
	return nil
}
