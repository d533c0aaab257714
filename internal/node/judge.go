package node

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/proxy"
	"github.com/tandem-sip/tandem/transaction"
	"github.com/tandem-sip/tandem/transport"
)

// judge says who is at the far end of a connection, and what they may do. It never changes.
type judge struct {
	relayFrom  []netip.Prefix
	peers      []config.Peer
	byIdentity map[string]int // identity -> index of the peer
	declines   bool           // some peer's offers of reuse are declined
}

// judgement is what was found about one connection, or one source of datagrams.
type judgement struct {
	peer          string                // name of the configured peer; "" for none
	identity      string                // the authenticated identities in one text; "" for nobody
	trustIdentity bool                  // what it says about its users is believed
	keepalive     time.Duration         // between pings on a connection with it; 0: none
	shares        [2]*transaction.Share // of the transactions, which its requests count against
	by            *judge                // nil: nobody

	proxy proxy.Source           // the same, in the words of the proxy
	last  atomic.Pointer[origin] // of the latest message, for the next one
}

func newJudge(cfg *config.Config) *judge {
	j := &judge{relayFrom: cfg.Access.RelayFrom, peers: cfg.Peers, byIdentity: make(map[string]int)}
	for i, p := range cfg.Peers {
		for _, id := range p.Identities {
			j.byIdentity[id] = i
		}
		j.declines = j.declines || p.DeclineAlias
	}
	return j
}

// of judges a connection once its handshake is done, or a source of datagrams.
func (j *judge) of(ci transport.ConnInfo) *judgement {
	out := &judgement{by: j}
	ip := ci.Remote.Addr().Unmap()
	for _, p := range j.relayFrom {
		if p.Contains(ip) {
			out.proxy.Relay, out.proxy.Inside = true, true
			break
		}
	}
	peer := -1
	if ci.Peer != nil && ci.Peer.Identities.Len() > 0 {
		ids := ci.Peer.Identities
		// It stays the same text when the peer is not believed any more: transactions are matched by it.
		out.identity, out.proxy.Reference = strings.Join(ids.Names(), " "), ids.Names()[0]
		if !ci.Distrusted {
			peer = j.byIdentities(ids)
		}
		if peer >= 0 {
			out.proxy.Reference = j.nameOf(ids) // the first may be none of a peer's
		}
		// A peer that authenticated may relay; an address alone proves nothing over UDP.
		out.proxy.Relay = out.proxy.Relay || peer >= 0
		// Who speaks for a domain of its own is a party outside, wherever it stands: the addresses inside
		// are for those that are known by their address alone.
		out.proxy.Inside = false
	}
	if peer < 0 && out.identity == "" {
		// Somebody who authenticated as one peer is not another one for coming from its address.
		peer = j.byAddress(ip)
	}
	if peer >= 0 {
		out.peer, out.trustIdentity = j.peers[peer].Name, j.peers[peer].TrustIdentity
		out.proxy.TrustIdentity = out.trustIdentity
		out.keepalive = j.peers[peer].Keepalive
	}
	return out
}

// byIdentities returns the peer that one of the names belongs to, or -1.
func (j *judge) byIdentities(ids identity.Set) int {
	for _, name := range ids.Names() {
		if i, ok := j.byIdentity[name]; ok {
			return i
		}
	}
	return -1
}

// nameOf returns the first of the names that belongs to a peer, or "".
func (j *judge) nameOf(ids identity.Set) string {
	for _, name := range ids.Names() {
		if _, known := j.byIdentity[name]; known {
			return name
		}
	}
	return ""
}

// byAddress returns the peer that an address belongs to, or -1.
func (j *judge) byAddress(ip netip.Addr) int {
	for i := range j.peers {
		for _, p := range j.peers[i].Addresses {
			if p.Contains(ip) {
				return i
			}
		}
	}
	return -1
}

// declinesAlias reports whether policy turns down the reuse that a client with these identities offers.
func (j *judge) declinesAlias(ids identity.Set) bool {
	i := j.byIdentities(ids)
	return i >= 0 && j.peers[i].DeclineAlias
}

// referenceFor returns the name to authenticate when the next hop is an IP address of a configured
// peer, "" when none is configured.
func (j *judge) referenceFor(ip netip.Addr) string {
	if i := j.byAddress(ip); i >= 0 {
		return j.peers[i].ReferenceIdentity
	}
	return ""
}

// inherits reports whether requests inside a dialog with the peer of that identity may go to its IP
// address by that identity.
func (j *judge) inherits(name string) bool {
	i, known := j.byIdentity[name]
	return known && (j.peers[i].InheritIdentity || j.peers[i].ReferenceIdentity != "")
}

// trusting is the judgement on a far end over UDP that is in the trust domain.
var trusting = &judgement{trustIdentity: true}

// datagrams judges the far end of an answer over UDP.
func (j *judge) datagrams(ip netip.Addr) *judgement {
	if i := j.byAddress(ip); i >= 0 && j.peers[i].TrustIdentity {
		return trusting
	}
	return stranger
}
