package node

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/transport"
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
func (t *troubles) note(peer string, at netip.AddrPort, cause string, err error) {
	if peer == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == nil {
		t.last = make(map[string]Trouble)
	}
	t.last[peer] = Trouble{time.Now(), at, cause, mend(err)}
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

// refusedClient remembers that somebody who dialed was turned away. An address says who that was as far as it goes; so
// do the names in a certificate that proves nothing, which is why the words tell where it came from.
func (n *Node) refusedClient(at netip.AddrPort, names []string, err error) {
	judge := n.inForce.Load().judge
	peer := judge.nameFor("", at.Addr())
	for i := 0; i < len(names) && peer == ""; i++ {
		peer = judge.nameFor(names[i], netip.Addr{})
	}
	cause := err.Error()
	if refused, ok := errors.AsType[*identity.VerifyError](err); ok {
		cause = refused.Text
	}
	n.troubles.note(peer, at, "dialed from "+at.Addr().String()+" and was turned away: "+cause, err)
}

// mend says what to do about a failure.
func mend(err error) string {
	var dial *transport.DialError
	var refused *identity.VerifyError
	var auth *transport.AuthError
	switch {
	case errors.As(err, &refused):
		return mends[refused.Reason]
	case errors.As(err, &auth) && auth.Reference == "":
		return "the next hop is an IP address: set reference_identity of the peer to the name in its certificate"
	case errors.As(err, &auth):
		return "have the peer show a certificate that can be read"
	case errors.As(err, &dial) && dial.Handshake:
		return "see whether the peer speaks TLS there and believes our certificate's authority"
	case errors.As(err, &dial) && dial.Refused:
		return "nothing listens there: have the peer started, or mend its DNS records"
	case errors.As(err, &dial):
		return "see whether the address is right, and whether a firewall is in the way"
	case errors.Is(err, resolve.ErrNotFound):
		return "mend the DNS records of the domain: NAPTR and SRV lead to no address"
	case errors.Is(err, resolve.ErrTemporary):
		return "see whether the DNS servers answer (dns in the configuration)"
	case errors.Is(err, transport.ErrNoListener):
		return "add a listener of that transport and address family"
	}
	return ""
}

// mends are what to do about a certificate.
var mends = map[identity.Reason]string{
	identity.ReasonNoCertificate: "have the peer show a certificate",
	identity.ReasonTooManyNames:  "have the peer use a certificate with fewer names, or raise trust.max_names",
	identity.ReasonWeakKey:       "have the peer renew its certificate with a stronger key",
	identity.ReasonWeakSignature: "have the peer renew its certificate with a stronger signature",
	identity.ReasonKeyUsage:      "have the peer renew its certificate with the usages that TLS needs",
	identity.ReasonExtKeyUsage:   "have the peer renew its certificate with clientAuth and serverAuth, or set client_certificate: serverauth for it",
	identity.ReasonUntrusted:     "add the authority of the peer's certificate to trust.ca",
	identity.ReasonChain:         "have the peer send its intermediate certificates, rightly issued",
	identity.ReasonExpired:       "have the peer renew its certificate",
	identity.ReasonNotYetValid:   "see to the clocks, here and at the peer",
	identity.ReasonConstraint:    "have the peer use a certificate that its authority may issue",
	identity.ReasonRevoked:       "have the peer get a new certificate: this one is revoked",
	identity.ReasonRevocation:    "renew the revocation list of the authority (trust.crl)",
	identity.ReasonNoStaple:      "have the peer staple an OCSP response, or set trust.must_staple: false",
	identity.ReasonNoIdentity:    "have the peer renew its certificate with the subjectAltName URI:sip: of its domain",
	identity.ReasonMismatch:      "have the peer use a certificate with the name that is wanted, or mend reference_identity or the route",
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
