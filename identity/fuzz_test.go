package identity

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// FuzzURIName: a URI in a certificate yields at most one clean domain name, and never one from
// beyond an '@'.
func FuzzURIName(f *testing.F) {
	for _, uri := range []string{
		"sip:example.com", "SIP:EXAMPLE.com.:5061;transport=tls?a=b", "sip:alice@example.com", "sip:*.example.com",
		"sip:[2001:db8::1]", "sip:192.0.2.1", "sips:example.com", "sip://example.com", "sip:a;b=%40?c=d&e=", "sip:xn--bcher-kva.example",
	} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		host, ok := uriHost(uri)
		if !ok {
			if host != "" {
				t.Fatalf("%q: host %q without ok", uri, host)
			}
			return
		}
		if strings.ContainsAny(uri, "@ \x00\r\n#") || !isASCII(uri) || !strings.EqualFold(uri[:4], "sip:") {
			t.Fatalf("%q is an identity", uri)
		}
		rest := strings.ToLower(uri[4:])
		if !strings.HasPrefix(rest, host) {
			t.Fatalf("%q yields %q", uri, host)
		}
		if end := strings.TrimPrefix(rest[len(host):], "."); end != "" && !strings.ContainsAny(end[:1], ":;?") {
			t.Fatalf("%q yields a part of its host, %q", uri, host)
		}
		again, ok := uriHost("sip:" + host)
		if !ok || again != host || !newSet([]string{host}).Contains(host) {
			t.Fatalf("%q yields %q, and that %q", uri, host, again)
		}
	})
}

// FuzzNormalize: what comes out is a lower-case ASCII host name that is no address, and it is its
// own normal form; the set agrees with it.
func FuzzNormalize(f *testing.F) {
	for _, host := range []string{
		"example.com", "EXAMPLE.com.", "bücher.example", "xn--bcher-kva.example", "192.0.2.1", "[::1]", "a..b", "*.example.com",
		"faß.example", "\u0130.example", "\u212aelvin.example", "a\u200db.example", "1.2.3.4.", "\uff0e", "xn--a", "a.1b", "ⓔxample.com",
	} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		name, ok := Normalize(host)
		if !ok {
			if name != "" {
				t.Fatalf("%q: %q without ok", host, name)
			}
			if newSet([]string{"example.com"}).Contains(host) {
				t.Fatalf("%q is contained and is no name", host)
			}
			return
		}
		if again, ok := Normalize(name); !ok || again != name {
			t.Fatalf("%q becomes %q becomes %q", host, name, again)
		}
		if _, err := netip.ParseAddr(name); err == nil {
			t.Fatalf("%q is the address %q", host, name)
		}
		if len(name) > maxName || name != strings.ToLower(name) || !isHostname(name) {
			t.Fatalf("%q becomes %q", host, name)
		}
		for _, names := range [][]string{{name}, {name, "a.test", "b.test", "c.test", "d.test", "e.test"}} {
			if s := newSet(slices.Clone(names)); !s.Contains(host) || !s.Contains(name) || !s.Contains(strings.ToUpper(name)+".") {
				t.Fatalf("%q becomes %q and is not found by it", host, name)
			}
		}
	})
}
