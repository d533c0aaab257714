package node

import (
	"crypto/tls"
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/transport"
)

// What can be the matter with a peer, in words for who has to see to it: the cause, and the mend.

// refusedClient remembers that the handshake of somebody who dialed failed. An address says who that was as far as it
// goes; so do the names in a certificate that proves nothing, which is why the words tell where it came from.
func (n *Node) refusedClient(at netip.AddrPort, names []string, err error) {
	judge := n.inForce.Load().judge
	peer := judge.nameFor("", at.Addr())
	for i := 0; i < len(names) && peer == ""; i++ {
		peer = judge.nameFor(names[i], netip.Addr{})
	}
	if peer == "" {
		return
	}
	from := "dialed from " + at.Addr().String()
	if refused, ok := errors.AsType[*identity.VerifyError](err); ok {
		n.troubles.note(peer, at, from+" and was turned away: "+refused.Text, mend(err))
		return
	}
	m := mend(&transport.DialError{Handshake: true, Err: err})
	n.troubles.note(peer, at, from+", and the TLS handshake failed"+handshakeWhy(err), m)
}

// alerted remembers that a peer has ended a connection by an alert: with TLS 1.3 who dials is turned away after its
// handshake.
func (n *Node) alerted(ci transport.ConnInfo, err error) {
	judge := n.inForce.Load().judge
	peer := judge.of(ci).peer
	if peer == "" {
		peer = judge.nameFor(ci.Reference, ci.Remote.Addr())
	}
	n.troubles.note(peer, ci.Remote, ci.Remote.String()+" ended the connection"+handshakeWhy(err), mend(&transport.DialError{Handshake: true, Err: err}))
}

// doubt remembers that a connection came from where a peer is, and did not prove to be the peer: it showed no
// certificate, or a good one that has none of its names.
func (n *Node) doubt(judge *judge, ci transport.ConnInfo, j *judgement) {
	i := judge.byAddress(ci.Remote.Addr().Unmap())
	if i < 0 || len(judge.peers[i].Identities) == 0 || ci.Distrusted {
		return
	}
	p := &judge.peers[i]
	from := "dialed from " + ci.Remote.Addr().String()
	switch {
	case ci.Peer == nil || ci.Peer.Identities.Len() == 0:
		n.troubles.note(p.Name, ci.Remote, from+" and showed no certificate: it proves nothing, and no request is sent to it over that connection",
			"have the peer show its certificate when it dials, and not only when it is dialed")
	case j.peer == "":
		n.troubles.note(p.Name, ci.Remote, from+" and proved "+shortList(ci.Peer.Identities.Names())+", which is not "+shortList(p.Identities),
			"have the peer use a certificate with a name that is configured, or add the name to identities of the peer")
	}
}

// shortList names the first of several.
func shortList(names []string) string {
	const most = 3
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}

// handshakeWhy says why a handshake failed, as far as that can be told: what goes behind the fact.
func handshakeWhy(err error) string {
	var record tls.RecordHeaderError
	words, alert := transport.RemoteAlert(err)
	switch {
	case alert:
		return ": it answered with the alert \"" + words + "\""
	case errors.As(err, &record):
		return ": what it sends is not TLS"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ": it did not go on in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return ": it closed the connection"
	}
	return ""
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
		return mendHandshake(err)
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

// mendHandshake says what to do about a handshake that failed for another reason than a certificate that is not
// believed here.
func mendHandshake(err error) string {
	var record tls.RecordHeaderError
	words, alert := transport.RemoteAlert(err)
	switch {
	case alert && strings.Contains(words, "certificate"):
		return "the peer does not take our certificate: see to its end, its names and usages, and whether the peer trusts its authority"
	case alert:
		return "the peer has no certificate for that name, or no version of TLS and no cipher that is taken here: TLS 1.2 is the oldest"
	case errors.As(err, &record):
		return "see to the port and the transport, in the DNS records, the route, or at the peer: one side means TLS there, and the other does not"
	}
	return "see whether the peer speaks TLS there, has a certificate, and believes our certificate's authority"
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
