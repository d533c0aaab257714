package load

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// ErrConfig is wrapped by every error that says what is wrong with a Config.
var ErrConfig = errors.New("load")

// Endpoint is an address with the transport that is spoken there.
type Endpoint struct {
	Transport sipaddr.Transport
	Addr      netip.AddrPort
}

// String returns the endpoint as "tls://192.0.2.1:5061".
func (e Endpoint) String() string { return e.Transport.URIParam() + "://" + e.Addr.String() }

// Step is a time during which requests arrive at one rate.
type Step struct {
	Rate     float64       // arrivals a second, above 0
	Duration time.Duration // 0: until Config.Calls have begun, or the end of the context
}

// Config says what is offered to whom. With a Target the generator calls, with AnswerAt it is called, with both it
// is both ends and knows of each call what its other end did.
type Config struct {
	// Target is where requests are sent. The zero value: nobody is called.
	Target Endpoint
	// AnswerAt is where calls are taken, besides the connections that were dialed to Target.
	AnswerAt []Endpoint
	// Bind is the address that is called from, and where requests for the callers are taken. The zero value: the
	// address that leads to Target, and any port. With a port and several connections over UDP, the following ports.
	Bind netip.AddrPort
	// Connections is how many sockets (UDP) or connections are called over, in turn. 0: 1.
	Connections int
	// Handshakes is how many further connections a second are dialed to Target meanwhile; each ends when its handshake
	// has, and a ping was answered. 0: none. Not over UDP.
	Handshakes float64
	// Alias puts the alias parameter of RFC 5923 into the Via.
	Alias bool

	// From and To are the URIs of the callers and of those who are called. "{n}" in one stands for the number of
	// the identity; without it, and with more than one identity, the number is appended to the user. The zero
	// value: users at Bind and at Target.
	From, To string
	// Identities is how many callers and callees there are; they take turns. 0: 1, and at most MaxIdentities.
	Identities int

	// Password is what challenges (401, 407) are answered with, by digest: MD5 or SHA-256. "": none is answered.
	Password string
	// User is the user name that the callers answer with, numbered as From is. "": the user of From. A callee answers
	// with the user of its own URI.
	User string

	// Mix is what is offered. Empty: calls that the caller ends.
	Mix []Share
	// Steps are the rates, one after the other, for those who call.
	Steps []Step
	// Calls is after how many arrivals no more come. 0: no such limit.
	Calls int
	// Poisson spreads the arrivals as independent callers do. Otherwise they are evenly spaced.
	Poisson bool

	// Ring is the time between 180 and 200, Hold the time from the answer to the end of a call. 0: none. Those who
	// are called learn both from the body of the INVITE.
	Ring, Hold time.Duration
	// Timeout is how long a request may go without a final response, and a 200 without an ACK. 0: 32 s.
	Timeout time.Duration
	// Vias is how many Via values a request has to arrive with: one more than there are proxies between. 0: any,
	// as long as Max-Forwards tells the same.
	Vias int
	// Expect is the status that has to answer the first request of a call. 0: 200.
	Expect int

	// Certificates are shown to whom TLS is spoken with: over the connections in turn, and the first where calls
	// are taken.
	Certificates []tls.Certificate
	// Roots are the authorities that vouch for the far side. None: with TLS, Insecure has to be set.
	Roots []*x509.Certificate
	// ServerName is the domain that the target has to prove (RFC 5922, Section 7.3), and the SNI.
	ServerName string
	// Insecure takes any certificate.
	Insecure bool

	// T1 is the timer of that name (RFC 3261, Section 17.1.1.1). 0: 500 ms.
	T1 time.Duration
	// Version is put into User-Agent.
	Version string
	// Progress is called each second while Run offers load; nil: nobody is told. It must not block.
	Progress func(Progress)
}

// The largest values that make sense of what they count.
const (
	MaxIdentities  = 1_000_000
	MaxConnections = 100_000
	MaxRate        = 1_000_000 // arrivals a second
	maxOpen        = 200_000   // calls in progress, of one generator
)

// timerT2 is the longest time between two copies of a request but INVITE, in units of T1: RFC 3261, Table 4.
const timerT2 = 8

// wrong is an error about the configuration.
func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(format, args...))
}

// withDefaults returns the configuration with what was left out, or says what is wrong with it.
func (c Config) withDefaults() (Config, error) {
	c.Connections, c.Identities = max(c.Connections, 1), max(c.Identities, 1)
	if c.Timeout == 0 {
		c.Timeout = 32 * time.Second
	}
	if c.T1 == 0 {
		c.T1 = 500 * time.Millisecond
	}
	if c.Expect == 0 {
		c.Expect = 200
	}
	if len(c.Mix) == 0 {
		c.Mix = []Share{{Scenario: Call, Weight: 1}}
	}
	if !c.calls() && len(c.AnswerAt) == 0 {
		return c, wrong("there is neither a target to call nor an address to answer at")
	}
	if c.Connections > MaxConnections || c.Identities > MaxIdentities {
		return c, wrong("%d connections and %d identities are more than %d and %d", c.Connections, c.Identities, MaxConnections, MaxIdentities)
	}
	if h := c.Handshakes; h != 0 && (!(h > 0 && h <= MaxRate) || !c.calls() || c.Target.Transport == sipaddr.UDP) {
		return c, wrong("%v handshakes a second need a target, but not over UDP, and are at most %d", h, MaxRate)
	}
	if c.Expect < 200 || c.Expect > 699 {
		return c, wrong("%d is not the status of a final response", c.Expect)
	}
	if c.Ring < 0 || c.Hold < 0 || c.Timeout < 0 || c.T1 < 0 {
		return c, wrong("a time is negative")
	}
	if strings.ContainsFunc(c.User, unquotable) || strings.ContainsFunc(c.Password, unicode.IsControl) || c.User != "" && c.Password == "" {
		return c, wrong("a user name goes with a password, and neither has characters that cannot be sent")
	}
	if err := c.checkTransports(); err != nil {
		return c, err
	}
	for _, s := range c.Mix {
		if scripts[s.Scenario] == nil || s.Weight < 1 || s.Weight > maxWeight {
			return c, wrong("%q with weight %d is not a scenario with a weight from 1 to %d", s.Scenario, s.Weight, maxWeight)
		}
	}
	return c, c.checkSteps()
}

// unquotable says whether a character cannot stand between quotation marks as it is.
func unquotable(r rune) bool { return r == '"' || r == '\\' || unicode.IsControl(r) }

// calls says whether anybody is called.
func (c *Config) calls() bool { return c.Target.Addr.IsValid() }

func (c *Config) checkTransports() error {
	endpoints := c.AnswerAt
	if c.calls() {
		endpoints = append([]Endpoint{c.Target}, endpoints...)
	}
	for i, e := range endpoints {
		answers := i > 0 || !c.calls()
		switch e.Transport {
		case sipaddr.UDP, sipaddr.TCP, sipaddr.SCTP:
		case sipaddr.TLS, sipaddr.TLSSCTP:
			if len(c.Roots) == 0 && !c.Insecure {
				return wrong("%v needs the authorities that vouch for the far side, or leave to take any certificate", e)
			}
			if answers && len(c.Certificates) == 0 {
				return wrong("answering at %v needs a certificate", e)
			}
			if !answers && c.ServerName == "" && !c.Insecure {
				return wrong("%v needs the name that its certificate has to prove", e)
			}
		default:
			return wrong("%v is not a transport that load can be offered over: udp, tcp, tls, sctp or tls-sctp", e.Transport)
		}
		if !e.Addr.IsValid() || e.Addr.Port() == 0 {
			return wrong("%v has no port", e)
		}
	}
	return nil
}

func (c *Config) checkSteps() error {
	if !c.calls() {
		return nil
	}
	for _, uri := range []string{c.From, c.To} {
		if uri == "" {
			continue
		}
		u, err := sip.ParseURI(strings.ReplaceAll(uri, placeholder, "0"))
		if err != nil || !u.IsSIP() || u.Host == "" {
			return wrong("%q is not a SIP URI", uri)
		}
	}
	for i, s := range c.Steps {
		if !(s.Rate > 0 && s.Rate <= MaxRate) {
			return wrong("a rate of %v is not above 0 and at most %d", s.Rate, MaxRate)
		}
		if s.Duration < 0 || s.Duration == 0 && i < len(c.Steps)-1 {
			return wrong("a rate of %v has no duration, and is not the last", s.Rate)
		}
	}
	return nil
}
