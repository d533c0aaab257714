package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// readPeers reads the known peers.
func (v value) readPeers(cfg *Config) {
	for _, item := range v.items() {
		p := Peer{Keepalive: unset}
		alias, certificate, dialog := "accept", "clientauth", "strict"
		item.fields([]field{
			{"name", func(v value) { p.Name, _ = v.text() }},
			{"identities", func(v value) { p.Identities = v.readNames() }},
			{"addresses", func(v value) { p.Addresses = v.readPrefixes() }},
			{"reference_identity", func(v value) { p.ReferenceIdentity = v.readName() }},
			{"alias", func(v value) { v.readOneOf(&alias, "accept", "decline") }},
			{"client_certificate", func(v value) { v.readOneOf(&certificate, "clientauth", "serverauth") }},
			{"dialog_identity", func(v value) { v.readOneOf(&dialog, "strict", "inherit") }},
			{"trust_identity", func(v value) { v.readBool(&p.TrustIdentity) }},
			{"keepalive", func(v value) { v.readInterval(&p.Keepalive, 24*time.Hour) }},
			{"connect", func(v value) { p.Connect = v.readConnect() }},
		})
		p.DeclineAlias, p.ServerAuthClient, p.InheritIdentity = alias == "decline", certificate == "serverauth", dialog == "inherit"
		cfg.Peers = append(cfg.Peers, p)
	}
}

// unset stands for a keepalive that the file does not have, until that of timers is known.
const unset time.Duration = -1

// readConnect reads where connections are opened to before they are needed. What listens for datagrams has
// none.
func (v value) readConnect() (uris []*sip.URI) {
	list, at := v.texts()
	for i, s := range list {
		t, ok := at[i].target(s)
		switch {
		case !ok:
		case t.URI.Transport() != "" && !connects(t.URI.Transport()):
			at[i].problem("%q asks for %s, which has no connections: write transport=tcp, tls, sctp or tls-sctp", s, strings.ToUpper(t.URI.Transport()))
		case isLiteral(t.URI.Host) && t.URI.Transport() == "" && !t.URI.Secure():
			at[i].problem("%q leads to UDP, which has no connections: add ;transport=tcp or ;transport=tls", s)
		default:
			uris = append(uris, t.URI)
		}
	}
	return uris
}

// connects tells whether a transport has connections.
func connects(name string) bool {
	t, ok := sipaddr.ParseTransport(name)
	return ok && t.Reliable()
}

// isLiteral tells whether the host of a URI is an IP address.
func isLiteral(host string) bool {
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// readName reads a name that can stand in a certificate.
func (v value) readName() string {
	s, ok := v.text()
	if !ok {
		return ""
	}
	name, ok := identity.Normalize(s)
	if !ok {
		v.problem("%q cannot be an identity: write a domain name without a port, such as example.net", s)
		return ""
	}
	return name
}

// readNames reads a list of names; one that could not be read is left empty.
func (v value) readNames() (list []string) {
	for _, item := range v.items() {
		list = append(list, item.readName())
	}
	return list
}

// checkPeers finds peers that are nobody, and whatever would be two peers at once.
func (r *reader) checkPeers(cfg *Config) {
	type place struct {
		peer string
		line int
	}
	peerNames, ids := make(map[string]int), make(map[string]place)
	for i := range cfg.Peers {
		p, key := &cfg.Peers[i], index("peers", i)
		if p.Keepalive == unset {
			p.Keepalive = cfg.Timers.Keepalive
		}
		if p.Name == "" && r.lines[key+".name"] == 0 {
			r.problemAt(key, "it has no name: add `name:`, which logs and metrics will show")
		} else if line, twice := peerNames[p.Name]; twice && p.Name != "" {
			r.problemAt(key+".name", "%s is the peer of line %d already: give it another name, or put the two together", p.Name, line)
		} else {
			peerNames[p.Name] = r.line(key + ".name")
		}
		if len(p.Identities) == 0 && len(p.Addresses) == 0 {
			r.problemAt(key, "nothing says who %q is: add `identities` (names in its certificate), `addresses`, or both", p.Name)
		}
		for j, id := range p.Identities {
			at := index(key+".identities", j)
			if first, twice := ids[id]; twice && id != "" {
				r.problemAt(at, "%s is an identity of peer %q in line %d already: an identity is one peer", id, first.peer, first.line)
				continue
			}
			ids[id] = place{p.Name, r.line(at)}
		}
		for j, prefix := range p.Addresses {
			r.checkOverlap(cfg.Peers[:i], prefix, index(key+".addresses", j))
		}
		r.checkLeniency(cfg, p, key)
	}
}

// checkLeniency finds leniency towards a peer that can have no effect.
func (r *reader) checkLeniency(cfg *Config, p *Peer, key string) {
	if p.ServerAuthClient && cfg.Trust.StrictEKU {
		r.problemAt(key+".client_certificate", "trust.eku is strict, so that a certificate for servers only is refused all the same: take one of the two out")
	}
	if p.ServerAuthClient && len(p.Identities) == 0 {
		r.problemAt(key+".client_certificate", "it holds for certificates that name the peer, and the peer has no `identities`: add them")
	}
	if p.InheritIdentity && len(p.Identities) == 0 {
		r.problemAt(key+".dialog_identity", "it holds for a peer that proved who it is, and the peer has no `identities`: add them")
	}
}

// checkOverlap compares an address range with those of the peers before.
func (r *reader) checkOverlap(before []Peer, prefix netip.Prefix, at string) {
	if !prefix.IsValid() {
		return
	}
	for i, other := range before {
		for j, p := range other.Addresses {
			if p.IsValid() && p.Overlaps(prefix) {
				r.problemAt(at, "%s overlaps %s of peer %q in line %d: an address is one peer; peers that share one are told apart by `identities` alone",
					prefix, p, other.Name, r.line(index(index("peers", i)+".addresses", j)))
				return
			}
		}
	}
}

// readAccess reads who may do what.
func (v value) readAccess(a *Access) {
	v.fields([]field{
		{"relay_from", func(v value) { a.RelayFrom = v.readPrefixes() }},
		{"untrusted_headers", func(v value) {
			list, at := v.texts()
			for i, name := range list {
				if !isToken(name) {
					at[i].problem("%q is no header field name: write one such as P-Asserted-Identity", name)
				} else if f := sip.FieldOf(name); slices.Contains(vital, f) {
					at[i].problem("%s cannot be removed: no message works without it", name)
				}
			}
			a.UntrustedHeaders = list
		}},
		{"dialog_key_file", func(v value) { a.DialogKey = v.readSecret() }},
	})
}

// vital lists the header fields that requests are carried by.
var vital = []sip.Field{
	sip.FieldVia, sip.FieldFrom, sip.FieldTo, sip.FieldCallID, sip.FieldCSeq, sip.FieldContact, sip.FieldRoute,
	sip.FieldRecordRoute, sip.FieldMaxForwards, sip.FieldContentLength, sip.FieldContentType,
}

// isToken tells whether s is a token of RFC 3261, Section 25.1.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-.!%*_+`'~", c) >= 0) {
			return false
		}
	}
	return s != ""
}
