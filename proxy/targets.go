package proxy

// RFC 3261, Section 16.5: determining request targets.

import (
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// target is one element of the target set, with the URI that the procedures of RFC 3263 are applied to.
type target struct {
	hop       *sip.URI
	uri       string // the Request-URI to write; "": as it is
	q         int
	reach     reach
	reference string // identity to authenticate when hop is an address; "": none known
}

// isLocal reports whether the request is for this proxy itself and not for somebody behind it.
func (p *plan) isLocal() bool {
	if p.hasRoute || !p.uri.IsSIP() {
		return false
	}
	if _, served := p.rules.servedDomain(p.uri); served {
		// A domain without a user is the domain's server: us, unless a rule sends it elsewhere.
		if p.uri.User != "" {
			return false
		}
		return p.method == sip.MethodOptions || p.rules.match(p.uri, p.method, p.src.Peer, !p.dialog) == nil
	}
	return p.rules.isSelf(p.uri) && p.rules.match(p.uri, p.method, p.src.Peer, false) == nil
}

// chooseTargets fills the target set.
func (p *plan) chooseTargets() *StatusError {
	if p.local {
		return nil
	}
	if p.hasRoute {
		// Where the request goes next is settled by its Route; the Request-URI matters at its end.
		if !p.mayRelay(p.next) {
			return errNoRelay
		}
		return p.setTarget(p.named(p.next))
	}
	if name, served := p.rules.servedDomain(p.uri); served {
		r := p.rules.match(p.uri, p.method, p.src.Peer, !p.dialog)
		if r == nil {
			return statusError(404, "no route for "+name)
		}
		return p.useRule(r)
	}
	if p.rules.isSelf(p.uri) {
		if r := p.rules.match(p.uri, p.method, p.src.Peer, false); r != nil {
			return p.useRule(r)
		}
	}
	if !p.uri.IsSIP() {
		// A tel URI needs a rule, or a Route: it names no host.
		r := p.rules.match(p.uri, p.method, p.src.Peer, true)
		if r == nil {
			return statusError(416, "no route for scheme "+shown(p.uri.Scheme))
		}
		if !p.from.Relay {
			return errNoRelay
		}
		return p.useRule(r)
	}
	if !p.mayRelay(p.uri) {
		return errNoRelay
	}
	// Inside a dialog the Request-URI is a Contact, which only a rule for its very host may divert.
	if r := p.rules.match(p.uri, p.method, p.src.Peer, !p.dialog); r != nil {
		return p.useRule(r)
	}
	return p.setTarget(p.named(p.uri))
}

func (p *plan) useRule(r *route) *StatusError {
	if len(r.targets) == 0 {
		return statusError(480, "")
	}
	return p.setTargets(r.targets)
}

func (p *plan) setTarget(t target) *StatusError {
	p.oneTarget[0] = t
	return p.setTargets(p.oneTarget[:])
}

// setTargets takes over the target set. A request for a SIPS URI goes to each as if that were one too
// (RFC 3261, Section 16.6 item 7).
func (p *plan) setTargets(set []target) *StatusError {
	if p.uri.Secure() {
		kept := make([]target, 0, len(set)) // the set may be that of a rule
		for _, t := range set {
			if t.hop = secured(t.hop); t.hop != nil {
				kept = append(kept, t)
			}
		}
		if set = kept; len(set) == 0 {
			// RFC 5630, Section 4: there is no way there that TLS protects.
			return statusError(480, "no next hop for a sips URI")
		}
	}
	p.targets = set
	return nil
}

// secured returns a URI as a SIPS URI, nil when its transport cannot be secured.
func secured(u *sip.URI) *sip.URI {
	if u.Secure() {
		return u
	}
	if !u.IsSIP() {
		return nil
	}
	s := *u
	s.Scheme = "sips"
	if name := u.Transport(); name != "" {
		t, ok := sipaddr.ParseTransport(name)
		switch {
		case !ok || t == sipaddr.UDP:
			return nil
		case t.Secure():
			// RFC 5630, Section 3.1.3: with sips the transport below TLS is named.
			s.Params = withoutParams(u.Params, "transport")
			if t == sipaddr.TLSSCTP {
				s.Params += ";transport=sctp"
			}
		}
	}
	return &s
}

// isKnownMethod reports whether the meaning of a method is settled; of others nobody can say whether they make a dialog.
func isKnownMethod(m string) bool {
	switch m {
	case sip.MethodInvite, sip.MethodAck, sip.MethodBye, sip.MethodCancel, sip.MethodOptions, sip.MethodRegister, sip.MethodMessage,
		sip.MethodInfo, sip.MethodPrack, sip.MethodUpdate, sip.MethodPublish, sip.MethodSubscribe, sip.MethodNotify, sip.MethodRefer:
		return true
	}
	return false
}
