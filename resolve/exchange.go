package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	udpSize       = 1232            // bytes of an answer over UDP that crosses most paths in one piece
	deadAfter     = 2               // failures in a row after which a server is asked last
	deadTime      = 5 * time.Second // for how long
	maxStrayReads = 64              // datagrams that are not the answer, before a server is given up
)

// server is one DNS server and how it does. Its fields may be used at once.
type server struct {
	addr     netip.AddrPort
	failures atomic.Int32 // in a row
	dead     atomic.Int64 // until when it is asked last, in nanoseconds since 1970
}

// errServer says that a server answered with a failure of its own.
var errServer = errors.New("server failure")

// exchange asks a question of the servers in turn, those that seem dead last, until one gives an answer:
// records, or that there are none.
func (r *Resolver) exchange(ctx context.Context, q question) (*dns.Msg, netip.AddrPort, error) {
	select {
	case r.queries <- struct{}{}:
		defer func() { <-r.queries }()
	case <-ctx.Done():
		return nil, netip.AddrPort{}, context.Cause(ctx)
	}
	now := time.Now().UnixNano()
	var order, dead []*server
	for _, s := range r.servers {
		if s.dead.Load() > now {
			dead = append(dead, s)
		} else {
			order = append(order, s)
		}
	}
	attempts := r.cfg.Attempts
	if len(order) == 0 {
		attempts = 1
	}
	order = append(order, dead...)
	var last error
	for range attempts {
		for _, s := range order {
			m, err := r.askServer(ctx, s, q)
			if err == nil {
				return m, s.addr, nil
			}
			if ctx.Err() != nil {
				return nil, s.addr, context.Cause(ctx)
			}
			r.counts.failures.Add(1)
			last = fmt.Errorf("server %v: %w", s.addr, err)
		}
	}
	return nil, netip.AddrPort{}, last
}

// askServer asks one server once: over UDP, again without EDNS if the server does not know that, and over
// TCP if the answer was cut.
func (r *Resolver) askServer(ctx context.Context, s *server, q question) (*dns.Msg, error) {
	m, err := r.send(ctx, "udp", s, q, true)
	if err == nil && m.Rcode == dns.RcodeFormatError {
		m, err = r.send(ctx, "udp", s, q, false)
	}
	if err == nil && m.Truncated {
		r.counts.truncated.Add(1)
		m, err = r.send(ctx, "tcp", s, q, true)
	}
	if err != nil {
		if ctx.Err() == nil && s.failures.Add(1) >= deadAfter {
			s.dead.Store(time.Now().Add(deadTime).UnixNano())
		}
		return nil, err
	}
	s.failures.Store(0)
	s.dead.Store(0)
	switch {
	case m.Rcode == dns.RcodeSuccess, m.Rcode == dns.RcodeNameError:
		return m, nil
	case m.Rcode == dns.RcodeNotImplemented && q.qtype == typeNAPTR:
		m.Answer = nil // an old forwarder that knows no NAPTR records has none
		return m, nil
	}
	return nil, fmt.Errorf("%w: %s", errServer, dns.RcodeToString[m.Rcode])
}

// send sends a question from a port of its own and waits for the answer to it, for Config.Timeout at most.
// What does not repeat the identifier and the question is not the answer (RFC 5452, Section 9.1).
func (r *Resolver) send(ctx context.Context, network string, s *server, q question, edns bool) (*dns.Msg, error) {
	r.counts.queries.Add(1)
	deadline := time.Now().Add(r.cfg.Timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	dialer := net.Dialer{Deadline: deadline}
	socket, err := dialer.DialContext(ctx, network, s.addr.String())
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	stop := context.AfterFunc(ctx, func() { _ = socket.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := socket.SetDeadline(deadline); err != nil {
		return nil, err
	}
	ask := new(dns.Msg).SetQuestion(dns.Fqdn(q.name), q.qtype)
	if edns {
		ask.SetEdns0(udpSize, false)
	}
	conn := &dns.Conn{Conn: socket, UDPSize: udpSize}
	if err := conn.WriteMsg(ask); err != nil {
		return nil, err
	}
	for range maxStrayReads {
		m, err := conn.ReadMsg()
		if m == nil || err != nil {
			var failed net.Error
			if network == "udp" && !errors.As(err, &failed) && err != nil {
				continue // not DNS: perhaps somebody guesses at our port
			}
			return nil, err
		}
		if m.Response && m.Id == ask.Id && len(m.Question) == 1 && m.Question[0].Qtype == q.qtype &&
			m.Question[0].Qclass == dns.ClassINET && plainName(m.Question[0].Name) == q.name {
			return m, nil
		}
	}
	return nil, errors.New("many answers that belong to no question of ours")
}
