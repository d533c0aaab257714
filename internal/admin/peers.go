package admin

import (
	"time"

	"github.com/tandem-sip/tandem/internal/admin/api"
	"github.com/tandem-sip/tandem/internal/node"
)

// peerColumns are what peers are sorted and filtered by.
var peerColumns = []column[api.Peer]{
	byText("name", func(p *api.Peer) string { return p.Name }),
	byText("status", func(p *api.Peer) string { return p.Status }, "connected", "failing", "idle"),
	{name: "identity", text: func(p *api.Peer) []string { return p.Identities }},
	byNumber("connections", func(p *api.Peer) int { return p.Connections }),
	byNumber("transactions", func(p *api.Peer) int { return p.Transactions }),
	byTime("certificate_expiry", func(p *api.Peer) *time.Time { return p.Expiry }),
	byTime("own_certificate_expiry", func(p *api.Peer) *time.Time { return p.OwnExpiry }),
	byTime("last_used", func(p *api.Peer) *time.Time { return p.LastUsed }),
}

func (s *Server) peerRoute() route {
	return listRoute("/v1/peers", "The configured peers, and what is the matter with them.", peerColumns, func() []api.Peer {
		own := make(map[string]time.Time)
		for _, d := range s.node.Config().Domains {
			if leaf := d.Certificate.Leaf; leaf != nil {
				own[d.Name] = leaf.NotAfter
			}
		}
		all := s.node.Peers()
		out := make([]api.Peer, len(all))
		for i := range all {
			out[i] = peerOf(&all[i], own, time.Now())
		}
		return out
	})
}

// peerOf says of a peer what the API says. own is when the certificate of each served domain ends.
func peerOf(p *node.PeerStatus, own map[string]time.Time, now time.Time) api.Peer {
	out := api.Peer{
		Name: p.Name, Status: p.State().String(), Identities: append([]string{}, p.Identities...), Addresses: []string{},
		Reference: p.ReferenceIdentity, Alias: "accept", ReusesOurs: p.Backwards, WeReuse: p.Rows > 0, Connections: len(p.Connections),
	}
	if p.DeclineAlias {
		out.Alias = "decline"
	}
	for _, a := range p.Addresses {
		out.Addresses = append(out.Addresses, a.String())
	}
	soonest := func(to **time.Time, at time.Time) {
		if !at.IsZero() && (*to == nil || at.Before(**to)) {
			*to = &at
		}
	}
	for _, c := range p.Connections {
		out.Transactions += c.Transactions
		soonest(&out.Expiry, c.CertificateExpiry)
		soonest(&out.OwnExpiry, own[c.LocalDomain])
		if out.LastUsed == nil || c.LastUsed.After(*out.LastUsed) {
			out.LastUsed = &c.LastUsed
		}
	}
	out.DaysLeft, out.OwnDaysLeft = daysLeft(out.Expiry, now), daysLeft(out.OwnExpiry, now)
	if t := p.Trouble; !t.At.IsZero() {
		out.Trouble = &api.Trouble{At: t.At, Cause: t.Cause, Mend: t.Mend}
		if t.Address.IsValid() {
			out.Trouble.Address = t.Address.String()
		}
	}
	return out
}

func daysLeft(until *time.Time, now time.Time) *int {
	if until == nil {
		return nil
	}
	days := int(until.Sub(now) / (24 * time.Hour))
	return &days
}
