package config

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// readRoutes reads the routing rules.
func (v value) readRoutes(cfg *Config) {
	for _, item := range v.items() {
		var route Route
		item.fields([]field{
			{"match", func(v value) {
				v.fields([]field{
					{"domain", func(v value) { route.Domain = v.readHost() }},
				})
			}},
			{"to", func(v value) { route.To = v.readTargets() }},
		})
		if item.r.lines[item.key+".to"] == 0 {
			item.problem("it goes nowhere: add `to:` with a SIP URI, such as sip:127.0.0.1:5070;transport=udp")
		}
		cfg.Routes = append(cfg.Routes, route)
	}
}

// readTargets reads one URI, or a list of name-addrs with q values.
func (v value) readTargets() (targets []Target) {
	items := []value{v}
	if v.node.Kind == yaml.SequenceNode {
		if items = v.items(); len(items) == 0 {
			v.problem("the list is empty: give at least one SIP URI")
		}
	}
	for _, item := range items {
		if s, ok := item.text(); ok {
			if t, ok := item.target(s); ok {
				targets = append(targets, t)
			}
		}
	}
	return targets
}

// target parses sip:host, <sip:host> or <sip:host>;q=0.5.
func (v value) target(s string) (Target, bool) {
	t := Target{Q: 1}
	text, params := strings.TrimSpace(s), ""
	if strings.HasPrefix(text, "<") {
		end := strings.IndexByte(text, '>')
		if end < 0 {
			v.problem("%q has no closing >: write <sip:10.0.0.5:5070>;q=0.7", s)
			return t, false
		}
		text, params = text[1:end], strings.TrimSpace(text[end+1:])
	}
	for params != "" {
		var param string
		param, params, _ = strings.Cut(strings.TrimPrefix(params, ";"), ";")
		name, q, _ := strings.Cut(strings.TrimSpace(param), "=")
		n, err := strconv.ParseFloat(q, 64)
		if !strings.EqualFold(name, "q") || err != nil || !(n >= 0 && n <= 1) || len(q) > len("0.123") {
			v.problem("%q is not understood behind the URI: write ;q= with a number from 0 to 1", param)
			return t, false
		}
		t.Q = n
	}
	uri, err := sip.ParseURI(asciiHost(text))
	switch {
	case err != nil || !uri.IsSIP():
		v.problem("%q is no SIP URI: write one such as sip:127.0.0.1:5070;transport=udp", text)
		return t, false
	case uri.Headers != "":
		v.problem("%q has header fields (behind the ?), which a next hop cannot have: take them out", text)
		return t, false
	}
	t.URI = uri
	return t, true
}

// listensAt tells whether a next hop with an IP address is one of the listen addresses.
func (c *Config) listensAt(u *sip.URI) bool {
	ip, ok := u.IP()
	if !ok {
		return false
	}
	transport, _ := sipaddr.ParseTransport(u.Transport())
	switch {
	case u.Secure() && transport.OverSCTP():
		transport = sipaddr.TLSSCTP
	case u.Secure():
		transport = sipaddr.TLS
	case transport == sipaddr.Unknown:
		transport = sipaddr.UDP
	}
	at := netip.AddrPortFrom(ip, cmp.Or(u.Port, transport.DefaultPort()))
	return slices.ContainsFunc(c.Listen, func(l Listen) bool { return l.Transport == transport && l.Addr == at })
}

// asciiHost puts the host of a URI into A-labels, which an operator may have written otherwise.
func asciiHost(uri string) string {
	_, rest, _ := strings.Cut(uri, ":")
	if end := strings.IndexAny(rest, ";?"); end >= 0 {
		rest = rest[:end]
	}
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	host, _ := splitPort(rest)
	name, ok := identity.Normalize(host)
	if !ok || strings.IndexFunc(host, func(r rune) bool { return r > unicode.MaxASCII }) < 0 {
		return uri
	}
	return strings.Replace(uri, host, name, 1)
}

// checkRoutes finds rules that are never asked, and served domains that lead nowhere.
func (r *reader) checkRoutes(cfg *Config) {
	first := make(map[string]int)
	for i, route := range cfg.Routes {
		key := index("routes", i)
		if r.lines[key+".match.domain"] != 0 && route.Domain == "" {
			continue // could not be read
		}
		j, same := first[route.Domain]
		if k, any := first[""]; any {
			j, same = k, true
		}
		if same {
			r.problemAt(key, "it is never asked: the route in line %d matches first: take one of them out, or put this one before it", r.line(index("routes", j)))
			continue
		}
		first[route.Domain] = i
		for _, t := range route.To {
			if cfg.listensAt(t.URI) {
				r.warnAt(key+".to", "%s is this proxy itself: requests that take it are answered 482 (Loop Detected)", t.URI)
			}
		}
	}
	if _, any := first[""]; any {
		return
	}
	for i, d := range cfg.Domains {
		if _, has := first[d.Name]; !has && d.Name != "" {
			r.warnAt(index("domains", i), "%s has no route: requests for its users are answered 404", d.Name)
		}
	}
}
