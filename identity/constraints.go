package identity

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// This file applies name constraints (RFC 5280, Section 4.2.1.10) to SIP-URIs, which crypto/x509
// cannot: it finds no host in them and refuses the chain as soon as any CA in it has constraints.

// constraints are the name constraints of the CAs of one path.
type constraints struct {
	cas []caConstraints
}

// caConstraints are those of one CA, each tree by its lower-case name.
type caConstraints struct {
	depth                    int // of the CA in the path: it binds what is below
	permittedDNS, excludeDNS map[string]bool
	parents                  map[string]bool // of excludeDNS: what a wildcard may stand for
	permittedURI, excludeURI map[string]bool
}

// newConstraints gathers the constraints of path.
func newConstraints(path []*x509.Certificate) *constraints {
	var all constraints
	for depth, ca := range path {
		if depth == 0 {
			continue
		}
		c := caConstraints{
			depth:        depth,
			permittedDNS: trees(ca.PermittedDNSDomains),
			excludeDNS:   trees(ca.ExcludedDNSDomains),
			permittedURI: trees(ca.PermittedURIDomains),
			excludeURI:   trees(ca.ExcludedURIDomains),
		}
		for tree := range c.excludeDNS {
			if i := strings.IndexByte(tree, '.'); i > 0 {
				if c.parents == nil {
					c.parents = make(map[string]bool)
				}
				c.parents[tree[i:]] = true
			}
		}
		if len(c.permittedDNS)+len(c.excludeDNS)+len(c.permittedURI)+len(c.excludeURI) > 0 {
			all.cas = append(all.cas, c)
		}
	}
	return &all
}

func trees(list []string) map[string]bool {
	if len(list) == 0 {
		return nil
	}
	m := make(map[string]bool, len(list))
	for _, s := range list {
		m[strings.ToLower(s)] = true
	}
	return m
}

// allowHost reports whether name, the host of an identity, lies within the DNS constraints. By the
// letter these bind DNS names alone; but then a CA that may speak for one domain only could certify
// every SIP domain there is.
func (c *constraints) allowHost(name string) bool {
	for _, ca := range c.cas {
		if ca.permittedDNS != nil && !inDNSTree(ca.permittedDNS, name) {
			return false
		}
		if inDNSTree(ca.excludeDNS, name) {
			return false
		}
		if parent, wild := strings.CutPrefix(name, "*"); wild && ca.parents[parent] {
			return false
		}
	}
	return true
}

// inDNSTree reports whether name is one of trees or lies below one. A tree that begins with a dot
// has only what lies below it, and the empty tree has everything.
func inDNSTree(trees map[string]bool, name string) bool {
	if len(trees) == 0 {
		return false
	}
	return trees[name] || inDomain(trees, name) || below(trees, name) || trees[""]
}

// below reports whether name lies below one of trees that is written without a dot.
func below(trees map[string]bool, name string) bool {
	for i := range len(name) {
		if name[i] == '.' && trees[name[i+1:]] {
			return true
		}
	}
	return false
}

// inDomain reports whether name lies below one of trees that is written with a dot in front.
func inDomain(trees map[string]bool, name string) bool {
	for i := 1; i < len(name); i++ {
		if name[i] == '.' && trees[name[i:]] {
			return true
		}
	}
	return false
}

// checkURIs holds the URIs of each certificate of path against the URI constraints of the CAs above
// it, and refuses the path for one outside them. For a URI in which there is no host name RFC 5280
// demands refusal as soon as there is any URI constraint.
func (c *constraints) checkURIs(path []*x509.Certificate) *fault {
	for _, ca := range c.cas {
		if ca.permittedURI == nil && ca.excludeURI == nil {
			continue
		}
		for _, cert := range path[:ca.depth] {
			for _, u := range cert.URIs {
				host, ok := constrainedHost(u)
				if !ok {
					return &fault{reason: ReasonConstraint, text: fmt.Sprintf("a CA above it constrains URIs, and %s has no host to compare", quote(u.String()))}
				}
				if ca.permittedURI != nil && !inURITree(ca.permittedURI, host) || inURITree(ca.excludeURI, host) {
					return &fault{reason: ReasonConstraint, text: fmt.Sprintf("the URI constraints of a CA above it forbid %s", quote(u.String()))}
				}
			}
		}
	}
	return nil
}

// inURITree reports whether host is one of trees, which without a dot in front are single hosts.
func inURITree(trees map[string]bool, host string) bool {
	return trees[host] || trees[""] || inDomain(trees, host)
}

// constrainedHost returns the host in u that URI constraints bind, in lower case.
func constrainedHost(u *url.URL) (string, bool) {
	if u.Host != "" {
		host := strings.ToLower(u.Hostname())
		_, err := netip.ParseAddr(host)
		return trimDot(host), host != "" && err != nil
	}
	if u.Scheme != "sip" && u.Scheme != "sips" {
		return "", false
	}
	rest := u.Opaque
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	if end := strings.IndexAny(rest, ":;"); end >= 0 {
		rest = rest[:end]
	}
	return normalSAN(rest)
}
