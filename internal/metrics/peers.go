package metrics

import (
	"time"

	"github.com/tandem-sip/tandem/internal/node"
	"github.com/tandem-sip/tandem/transport"
)

// peers sends what is known of the configured peers. Their names come from the configuration.
func (s scrape) peers(n *node.Node) {
	for _, p := range n.Peers() {
		state, expiry, open := p.State(), time.Time{}, 0
		for i := range p.Connections {
			c := &p.Connections[i]
			if c.State == transport.Open {
				open++
			}
			if at := c.CertificateExpiry; !at.IsZero() && (expiry.IsZero() || at.Before(expiry)) {
				expiry = at
			}
		}
		for _, word := range node.PeerStates() {
			s.gauge("tandem_peer_state", "1 for the state of a configured peer; failing: the last that happened was a failure.", oneIf(word == state), "peer", p.Name, "state", word.String())
		}
		s.gauge("tandem_peer_connections", "Connections open with a configured peer.", float64(open), "peer", p.Name)
		if !expiry.IsZero() {
			s.gauge("tandem_peer_certificate_expiry_timestamp_seconds", "When the certificate ends that a configured peer shows; the soonest.", float64(expiry.Unix()), "peer", p.Name)
		}
	}
}
