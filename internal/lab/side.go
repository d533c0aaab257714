package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/tandem-sip/tandem/internal/admin"
	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/devca"
	"github.com/tandem-sip/tandem/internal/metrics"
	"github.com/tandem-sip/tandem/internal/node"
	"github.com/tandem-sip/tandem/sipaddr"
)

// agentsPerSide is how many user agents each domain has. The first of them is the one that is called;
// all of them call.
const agentsPerSide = 4

// side is one domain: its proxy and its user agents.
type side struct {
	domain, name string // of the domain and of its proxy
	spot         spot
	node         *node.Node
	opened       bool
	admin        *admin.Server // nil when the lab ends with its calls
	agents       []*agent
}

// writeCertificates makes the authority and the certificates of both proxies, each with the two
// identities that RFC 5923, Section 5 shows.
func writeCertificates(dir string) error {
	var sets [][]string
	for i := range domainNames {
		sets = append(sets, []string{domainNames[i], proxyNames[i]})
	}
	if err := devca.Write(dir, "Tandem lab CA", sets...); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	return nil
}

// newSide binds the agents, writes the proxy's configuration, and builds the proxy from it.
func newSide(dir string, i int, p place, opts Options, b *book) (*side, error) {
	s := &side{domain: domainNames[i], name: proxyNames[i], spot: p.sides[i]}
	for n := range agentsPerSide {
		a, err := newAgent(agentConfig{
			user: fmt.Sprintf("alice%d", n), domain: s.domain, peerDomain: domainNames[1-i],
			bind: s.spot.agents, proxy: netip.AddrPortFrom(s.spot.proxy, s.spot.sip), hold: opts.Hold, book: b,
		})
		if err != nil {
			_ = s.close()
			return nil, err
		}
		s.agents = append(s.agents, a)
	}
	path, text := filepath.Join(dir, s.name+".yaml"), s.settings(p, 1-i, opts.Transport)
	if !opts.Once {
		text += "admin: " + netip.AddrPortFrom(s.spot.proxy, s.spot.admin).String() + "\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		_ = s.close()
		return nil, fmt.Errorf("lab: %w", err)
	}
	cfg, err := config.Load(path)
	if err == nil {
		err = s.build(cfg, opts)
	}
	if err != nil {
		_ = s.close()
		return nil, fmt.Errorf("lab: %w", err)
	}
	return s, nil
}

// build makes the proxy, and its admin API when it is to be looked at.
func (s *side) build(cfg *config.Config, opts Options) (err error) {
	with := node.Options{Logger: opts.Logger.With("node", s.name), Version: opts.Version}
	times := new(metrics.Times)
	if !opts.Once {
		times.Watch(&with)
	}
	if s.node, err = node.New(cfg, with); err != nil || opts.Once {
		return err
	}
	s.admin = admin.New(admin.Options{Node: s.node, Times: times, Logger: with.Logger, Version: opts.Version})
	return nil
}

// settings is the proxy's configuration as an operator would write it. far is the number of the other side.
func (s *side) settings(p place, far int, t sipaddr.Transport) string {
	sentBy := s.name
	if s.spot.tls != 5061 {
		sentBy = fmt.Sprintf("%s:%d", s.name, s.spot.tls)
	}
	spoken := ""
	if s.spot.encap != 0 && s.spot.encap != usualEncap {
		spoken = fmt.Sprintf("sctp: {udp_port: %d, peer_udp_port: %d}\n", s.spot.encap, p.sides[far].encap)
	}
	if t == sipaddr.SCTP {
		// Plain SCTP carries no requests backwards (RFC 5923, Section 9.3): each side opens an association of its own.
		spoken += fmt.Sprintf("peers:\n  - name: %s\n    addresses: [%s]\n    connect: [\"sip:%s\"]\n", proxyNames[far], p.sides[far].proxy, domainNames[far])
	}
	return strings.NewReplacer(
		"DOMAIN", s.domain,
		"SENTBY", sentBy,
		"SIP", netip.AddrPortFrom(s.spot.proxy, s.spot.sip).String(),
		"DNS", p.dns.String(),
		"LISTEN", t.URIParam()+"://"+netip.AddrPortFrom(s.spot.proxy, s.spot.port(t)).String(),
		"SPOKEN", spoken,
		"AGENTS", s.spot.agents.String(),
		"DESK", s.agents[0].addr.String(),
	).Replace(`listen:
  - udp://SIP
  - tcp://SIP
  - LISTEN
dns: [DNS]
trust:
  ca: [ca.pem]
domains:
  - name: DOMAIN
    certificate: DOMAIN.pem
    key: DOMAIN.key
    sent_by: SENTBY
access:
  relay_from: [AGENTS]
routes:
  - match: {domain: DOMAIN}
    to: sip:DESK;transport=udp
SPOKEN`)
}

// close ends what newSide opened, and the proxy.
func (s *side) close() error {
	var err error
	if s.node != nil && s.opened {
		err = s.node.Close()
	}
	for _, a := range s.agents {
		err = errors.Join(err, a.conn.Close())
	}
	return err
}

// handshakes returns the TLS handshakes that the proxy did, as client and as server.
func (s *side) handshakes() (client, server int) {
	stats := s.node.Stats()
	return int(stats.Transport.HandshakesClient), int(stats.Transport.HandshakesServer)
}
