// Package identity answers one question: which SIP domains does this certificate prove its holder
// to be? It validates the certificate by RFC 5280, finds the identities by RFC 5922, Section 7.1
// and compares them by RFC 5922, Section 7.2.
package identity

import (
	"fmt"
	"slices"
	"strings"
)

// Set is the set of SIP domain identities that a certificate proves. It is immutable, and safe for
// use by several goroutines. The zero value is the empty set, which contains nothing.
type Set struct {
	names []string // sorted, without repetition, each as normal returns it
}

// NewSet returns the set of the domain names given, for lists that an operator wrote. The error is
// for a name that is none.
func NewSet(names ...string) (Set, error) {
	list := make([]string, 0, len(names))
	for _, n := range names {
		name, ok := Normalize(n)
		if !ok {
			return Set{}, fmt.Errorf("identity: %s is not a domain name", quote(n))
		}
		list = append(list, name)
	}
	return newSet(list), nil
}

// newSet takes over names, which are in normal form.
func newSet(names []string) Set {
	slices.Sort(names)
	return Set{names: slices.Clip(slices.Compact(names))}
}

// Contains reports whether host is, as a whole, one of the identities. Letters compare without
// regard to case and internationalised names by their A-labels; nothing else is equal to anything,
// no suffix and no wildcard: RFC 5922, Section 7.2. A host that is an IP address is never
// contained. It does not allocate when host is ASCII.
func (s Set) Contains(host string) bool {
	if len(s.names) == 0 || host == "" {
		return false
	}
	if !isASCII(host) {
		name, ok := Normalize(host)
		if !ok {
			return false
		}
		host = name
	}
	host = trimDot(host)
	if len(s.names) <= 4 {
		for _, n := range s.names {
			if compareFold(n, host) == 0 {
				return true
			}
		}
		return false
	}
	_, found := slices.BinarySearchFunc(s.names, host, compareFold)
	return found
}

// Overlaps reports whether s and o have an identity in common, as a server asks that keeps a list
// of the domains it accepts: RFC 5922, Section 7.4.
func (s Set) Overlaps(o Set) bool {
	if len(s.names) > len(o.names) {
		s, o = o, s
	}
	for _, n := range s.names {
		if _, found := slices.BinarySearch(o.names, n); found {
			return true
		}
	}
	return false
}

// Equal reports whether s and o hold the same identities.
func (s Set) Equal(o Set) bool { return slices.Equal(s.names, o.names) }

// Names returns the identities in order, in a slice that is the caller's own.
func (s Set) Names() []string { return slices.Clone(s.names) }

// Len returns how many identities there are.
func (s Set) Len() int { return len(s.names) }

// IsZero reports whether there is no identity at all.
func (s Set) IsZero() bool { return len(s.names) == 0 }

// String lists the identities for a log line: the first few, and how many more there are.
func (s Set) String() string {
	const most = 200
	var b strings.Builder
	for i, n := range s.names {
		if i > 0 && b.Len()+len(n) > most {
			fmt.Fprintf(&b, " and %d more", len(s.names)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(n)
	}
	return b.String()
}

// compareFold compares name, which is in lower case, with host in any case of its ASCII letters:
// RFC 4343.
func compareFold(name, host string) int {
	n := min(len(name), len(host))
	for i := range n {
		c := host[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if name[i] != c {
			return int(name[i]) - int(c)
		}
	}
	return len(name) - len(host)
}
