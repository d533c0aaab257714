package node

import (
	"net/netip"
	"sync"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/internal/config"
)

// Trouble is what was the matter with a peer last.
type Trouble struct {
	At      time.Time
	Address netip.AddrPort // invalid when none was found
	Cause   string         // in plain words
	Mend    string         // what to do about it
}

// troubles remembers the last one of each configured peer.
type troubles struct {
	// mu guards the field below.
	mu   sync.Mutex
	last map[string]Trouble
}

// note remembers why there is no connection with a peer; "" is nobody.
func (t *troubles) note(peer string, at netip.AddrPort, cause, mend string) {
	if peer == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == nil {
		t.last = make(map[string]Trouble)
	}
	t.last[peer] = Trouble{time.Now(), at, cause, mend}
}

// keep forgets those that are not configured any more.
func (t *troubles) keep(peers []config.Peer) {
	known := make(map[string]bool, len(peers))
	for _, p := range peers {
		known[p.Name] = true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for name := range t.last {
		if !known[name] {
			delete(t.last, name)
		}
	}
}

func (t *troubles) of(peer string) (Trouble, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, ok := t.last[peer]
	return last, ok
}

// nameFor returns the configured peer that a next hop is for: the one with the identity, else the one at the address.
func (j *judge) nameFor(reference string, at netip.Addr) string {
	if i, ok := j.byIdentity[reference]; ok {
		return j.peers[i].Name
	}
	if i := j.byAddress(at.Unmap()); i >= 0 {
		return j.peers[i].Name
	}
	return ""
}

// PeerStatus is a configured peer with what is known of it.
type PeerStatus struct {
	config.Peer
	Connections []Connection
	Trouble     Trouble // the last; At is zero when there was none
	// Backwards says that the peer sends requests over connections that this side dialed: it reuses them.
	Backwards bool
	// Rows counts the alias rows of connections that the peer dialed: this side may reuse them.
	Rows int
}

// Peers returns the configured peers, in the order of the configuration.
func (n *Node) Peers() []PeerStatus {
	s := n.inForce.Load()
	list := make([]PeerStatus, len(s.cfg.Peers))
	at := make(map[string]*PeerStatus, len(list))
	for i, p := range s.cfg.Peers {
		list[i].Peer = p
		list[i].Trouble, _ = n.troubles.of(p.Name)
		at[p.Name] = &list[i]
	}
	for _, c := range n.Survey() {
		p := at[c.PeerName]
		if p == nil {
			continue
		}
		p.Connections = append(p.Connections, c)
		if c.Direction == alias.Accepted {
			p.Rows += c.Rows
		} else if c.Backwards {
			p.Backwards = true
		}
	}
	return list
}
