package resolve_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// all are the transports of a house that has everything, in an order of preference.
var all = []sipaddr.Transport{sipaddr.TLS, sipaddr.TCP, sipaddr.UDP, sipaddr.SCTP, sipaddr.TLSSCTP}

// newResolver makes a resolver that asks the server, with a hosts file of its own.
func newResolver(t testing.TB, c resolve.Config, servers ...*siptest.DNS) *resolve.Resolver {
	t.Helper()
	for _, d := range servers {
		c.Servers = append(c.Servers, d.Addr())
	}
	if c.HostsFile == "" {
		c.HostsFile = writeHosts(t, "")
	}
	if c.Random == nil {
		c.Random = rand.NewPCG(1, 2)
	}
	r, err := resolve.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// writeHosts writes a hosts file.
func writeHosts(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// uri parses a URI.
func uri(t testing.TB, s string) *sip.URI {
	t.Helper()
	u, err := sip.ParseURI(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// list writes addresses in one line.
func list(a resolve.Answer) string {
	var texts []string
	for _, to := range a.Addresses {
		texts = append(texts, to.String())
	}
	return strings.Join(texts, " ")
}

// TestRFC3263 walks through RFC 3263, Section 4, and the others that say where a URI leads.
func TestRFC3263(t *testing.T) {
	const zone = `
; a domain as in RFC 3263, Section 4.1
example.com.            NAPTR 50  50 "s" "SIPS+D2T" "" _sips._tcp.example.com.
example.com.            NAPTR 90  50 "S" "sip+d2t"  "" _sip._tcp.example.com.
example.com.            NAPTR 100 50 "s" "SIP+D2U"  "" _sip._udp.example.com.
example.com.            NAPTR 10  50 "u" "E2U+sip"  "!^.*$!sip:a@b!" .
example.com.            NAPTR 20  50 "s" "SIPS+D2U" "" _sips._udp.example.com.
example.com.            NAPTR 30  50 "s" "SIP+D2T"  "!^.*$!x!" .
example.com.            NAPTR 40  50 "a" "SIP+D2T"  "" server1.example.com.
_sips._tcp.example.com. SRV 0 0 5061 server1.example.com.
_sips._tcp.example.com. SRV 5 0 5081 server2.example.com.
_sip._tcp.example.com.  SRV 0 0 5060 server2.example.com.
_sip._udp.example.com.  SRV 0 0 5070 server1.example.com.
example.com.            A 127.0.1.100
server1.example.com.    A 127.0.1.1
server2.example.com.    A 127.0.1.2
; SCTP: RFC 4168, Section 6
sctp.example.           NAPTR 10 1 "s" "SIPS+D2S" "" _sips._sctp.sctp.example.
sctp.example.           NAPTR 10 2 "s" "SIP+D2S"  "" _sip._sctp.sctp.example.
_sips._sctp.sctp.example. SRV 0 0 5061 host.example.
_sip._sctp.sctp.example.  SRV 0 0 5060 host.example.
; the replacement is in another domain
moved.example.          NAPTR 10 1 "s" "SIP+D2U" "" _sip._udp.elsewhere.example.
_sip._udp.elsewhere.example. SRV 0 0 5999 host.example.
; NAPTR records whose SRV records are not there
hollow.example.         NAPTR 10 1 "s" "SIP+D2T" "" _sip._tcp.hollow.example.
hollow.example.         A 127.0.1.7
half.example.           NAPTR 10 1 "s" "SIP+D2T" "" _sip._tcp.half.example.
half.example.           NAPTR 20 1 "s" "SIP+D2U" "" _sip._udp.half.example.
_sip._udp.half.example. SRV 0 0 5062 host.example.
; NAPTR records for what we have not
other.example.          NAPTR 10 1 "s" "SIP+D2W" "" _sip._ws.other.example.
other.example.          A 127.0.1.8
; no NAPTR records
srv.example.            A 127.0.1.100
_sips._tcp.srv.example. SRV 0 0 5071 host.example.
_sip._udp.srv.example.  SRV 0 0 5072 host.example.
udp.example.            A 127.0.1.100
_sip._udp.udp.example.  SRV 0 0 5072 host.example.
; addresses only
host.example.           A 127.0.1.5
two.example.            A 127.0.1.5
two.example.            A 127.0.1.6
dual.example.           A 127.0.1.5
dual.example.           AAAA ::1
six.example.            AAAA ::1
; odd SRV records
closed.example.         A 127.0.1.9
_sip._udp.closed.example.  SRV 0 0 0 .
_sips._tcp.closed.example. SRV 0 0 0 .
nowhere.example.        A 127.0.1.9
_sip._udp.nowhere.example. SRV 0 0 5060 gone.example.
zero.example.           A 127.0.1.9
_sip._udp.zero.example. SRV 0 0 0 host.example.
_sip._udp.zero.example. SRV 1 0 5060 host.example.
alias.example.          CNAME other-alias.example.
other-alias.example.    CNAME two.example.
_sip._tcp.alias.example. CNAME _sip._tcp.example.com.
loop.example.           CNAME pool.example.
pool.example.           CNAME loop.example.
same.example.           A 127.0.1.100
_sip._udp.same.example. SRV 1 0 5060 host.example.
_sip._udp.same.example. SRV 2 0 5060 two.example.
`
	tests := []struct {
		name, uri, want string
		err             error
		transports      []sipaddr.Transport
	}{
		{"address", "sip:bob@127.0.0.1", "udp:127.0.0.1:5060", nil, nil},
		{"address, sips", "sips:127.0.0.1", "tls:127.0.0.1:5061", nil, nil},
		{"address with port", "sip:127.0.0.1:5070", "udp:127.0.0.1:5070", nil, nil},
		{"address with transport", "sip:127.0.0.1;transport=TCP", "tcp:127.0.0.1:5060", nil, nil},
		{"address with TLS", "sip:127.0.0.1;transport=tls", "tls:127.0.0.1:5061", nil, nil},
		{"address with SCTP, sips", "sips:127.0.0.1;transport=sctp", "tls-sctp:127.0.0.1:5061", nil, nil},
		{"IPv6 address", "sip:[::1]:5070;transport=tcp", "tcp:[::1]:5070", nil, nil},
		{"IPv4 address in IPv6", "sip:[::ffff:127.0.0.1]", "udp:127.0.0.1:5060", nil, nil},
		{"maddr is an address", "sip:example.com;maddr=127.0.0.9", "udp:127.0.0.9:5060", nil, nil},
		{"maddr is a name", "sip:127.0.0.1:5070;maddr=host.example", "udp:127.0.1.5:5070", nil, nil},

		{"port", "sip:example.com:5080", "udp:127.0.1.100:5080", nil, nil},
		{"port 5060 means addresses too", "sip:example.com:5060", "udp:127.0.1.100:5060", nil, nil},
		{"port, sips", "sips:example.com:5080", "tls:127.0.1.100:5080", nil, nil},
		{"port and transport", "sip:example.com:5080;transport=tcp", "tcp:127.0.1.100:5080", nil, nil},
		{"port, sips with TCP", "sips:example.com:5080;transport=tcp", "tls:127.0.1.100:5080", nil, nil},
		{"port, no UDP here", "sip:host.example:5080", "tcp:127.0.1.5:5080", nil, []sipaddr.Transport{sipaddr.TCP}},

		{"NAPTR", "sip:example.com", "tls:127.0.1.1:5061 tls:127.0.1.2:5081", nil, nil},
		{"capital letters, final dot", "sip:EXAMPLE.com.", "tls:127.0.1.1:5061 tls:127.0.1.2:5081", nil, nil},
		{"NAPTR, no TLS here", "sip:example.com", "tcp:127.0.1.2:5060", nil, []sipaddr.Transport{sipaddr.UDP, sipaddr.TCP}},
		{"NAPTR, UDP only", "sip:example.com", "udp:127.0.1.1:5070", nil, []sipaddr.Transport{sipaddr.UDP}},
		{"NAPTR, sips", "sips:example.com", "tls:127.0.1.1:5061 tls:127.0.1.2:5081", nil, nil},
		{"NAPTR, SCTP", "sip:sctp.example", "sctp:127.0.1.5:5060", nil, []sipaddr.Transport{sipaddr.UDP, sipaddr.SCTP}},
		{"NAPTR, SCTP, sips", "sips:sctp.example", "tls-sctp:127.0.1.5:5061", nil, nil},
		{"NAPTR to another domain", "sip:moved.example", "udp:127.0.1.5:5999", nil, nil},
		{"NAPTR without SRV", "sip:hollow.example", "tcp:127.0.1.7:5060", nil, nil},
		{"NAPTR, the second has SRV", "sip:half.example", "udp:127.0.1.5:5062", nil, nil},
		{"NAPTR for others", "sip:other.example", "udp:127.0.1.8:5060", nil, nil},

		{"SRV, most wanted transport", "sip:srv.example", "tls:127.0.1.5:5071", nil, nil},
		{"SRV, other preference", "sip:srv.example", "udp:127.0.1.5:5072", nil, []sipaddr.Transport{sipaddr.UDP, sipaddr.TLS}},
		{"SRV, sips", "sips:srv.example", "tls:127.0.1.5:5071", nil, []sipaddr.Transport{sipaddr.UDP, sipaddr.TLS}},
		{"SRV, given transport", "sip:srv.example;transport=udp", "udp:127.0.1.5:5072", nil, nil},
		{"SRV, given TLS", "sip:srv.example;transport=tls", "tls:127.0.1.5:5071", nil, nil},
		{"no SRV for the given transport", "sip:srv.example;transport=tcp", "tcp:127.0.1.100:5060", nil, nil},
		{"sips never takes _sip", "sips:udp.example", "tls:127.0.1.100:5061", nil, nil},
		{"SRV at an alias", "sip:alias.example;transport=tcp", "tcp:127.0.1.2:5060", nil, nil},

		{"no records but addresses", "sip:two.example", "udp:127.0.1.5:5060 udp:127.0.1.6:5060", nil, nil},
		{"no records but addresses, sips", "sips:two.example", "tls:127.0.1.5:5061 tls:127.0.1.6:5061", nil, nil},
		{"alias", "sip:other-alias.example", "udp:127.0.1.5:5060 udp:127.0.1.6:5060", nil, nil},
		{"both families", "sip:dual.example", "udp:[::1]:5060 udp:127.0.1.5:5060", nil, nil},
		{"the same address twice", "sip:same.example", "udp:127.0.1.5:5060 udp:127.0.1.6:5060", nil, nil},
		{"SRV with port 0", "sip:zero.example", "udp:127.0.1.5:5060", nil, nil},
		{"localhost", "sip:localhost", "udp:127.0.0.1:5060 udp:[::1]:5060", nil, nil},
		{"below localhost", "sip:a.localhost:5070;transport=tcp", "tcp:127.0.0.1:5070 tcp:[::1]:5070", nil, nil},

		{"service not available", "sip:closed.example", "", resolve.ErrNotFound, nil},
		{"service not available, sips", "sips:closed.example", "", resolve.ErrNotFound, nil},
		{"another service is", "sip:closed.example;transport=tcp", "tcp:127.0.1.9:5060", nil, nil},
		{"SRV to a host that is not there", "sip:nowhere.example", "", resolve.ErrNotFound, nil},
		{"no such name", "sip:nobody.example", "", resolve.ErrNotFound, nil},
		{"no such name with port", "sip:nobody.example:5060", "", resolve.ErrNotFound, nil},
		{"aliases in a circle", "sip:loop.example:5060", "", resolve.ErrNotFound, nil},
		{"aliases in a circle, no port", "sip:loop.example", "", resolve.ErrNotFound, nil},
		{"not a name", "sip:256.1.1.1", "", resolve.ErrNotFound, nil},
		{"not a name in maddr", "sip:example.com;maddr=a%20b", "", resolve.ErrNotFound, nil},
		{"sips over UDP", "sips:example.com;transport=udp", "", resolve.ErrUnsupported, nil},
		{"unknown transport", "sip:example.com;transport=carrier-pigeon", "", resolve.ErrUnsupported, nil},
		{"transport that we lack", "sip:example.com;transport=sctp", "", resolve.ErrUnsupported, []sipaddr.Transport{sipaddr.UDP}},
		{"sips without TLS", "sips:example.com", "", resolve.ErrUnsupported, []sipaddr.Transport{sipaddr.UDP}},
		{"other scheme", "tel:+123", "", resolve.ErrUnsupported, nil},
	}
	d := siptest.NewDNS(t, zone)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := resolve.Config{Transports: test.transports}
			if c.Transports == nil {
				c.Transports = all
			}
			r := newResolver(t, c, d)
			u := uri(t, test.uri)
			a, err := r.Resolve(t.Context(), u)
			if got := list(a); got != test.want || !errors.Is(err, test.err) {
				e, _ := r.Explain(t.Context(), u)
				t.Fatalf("got %q, %v\nwant %q, %v\n%+v", got, err, test.want, test.err, e.Steps)
			}
			cached, ok := r.Cached(u)
			if ok != (test.err == nil) || list(cached) != test.want {
				t.Errorf("cached: %q, %v", list(cached), ok)
			}
			explained, err := r.Explain(t.Context(), u)
			if list(explained) != test.want || !errors.Is(err, test.err) {
				t.Errorf("explained: %q, %v", list(explained), err)
			}
		})
	}
}

// TestFamilies holds that addresses of families that we lack are left alone (RFC 7984, Section 3.1).
func TestFamilies(t *testing.T) {
	d := siptest.NewDNS(t, "dual.example. A 127.0.1.5\ndual.example. AAAA ::1\nsix.example. AAAA ::1")
	tests := []struct {
		name, uri, want string
		four, six       bool
		err             error
	}{
		{"IPv4 only", "sip:dual.example:5060", "udp:127.0.1.5:5060", true, false, nil},
		{"IPv6 only", "sip:dual.example:5060", "udp:[::1]:5060", false, true, nil},
		{"both", "sip:dual.example:5060", "udp:[::1]:5060 udp:127.0.1.5:5060", true, true, nil},
		{"none fits", "sip:six.example:5060", "", true, false, resolve.ErrNotFound},
		{"literal that fits", "sip:[::1]", "udp:[::1]:5060", false, true, nil},
		{"literal that does not", "sip:[::1]", "", true, false, resolve.ErrUnsupported},
		{"localhost", "sip:localhost", "udp:[::1]:5060", false, true, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newResolver(t, resolve.Config{IPv4: test.four, IPv6: test.six}, d)
			a, err := r.Resolve(t.Context(), uri(t, test.uri))
			if list(a) != test.want || !errors.Is(err, test.err) {
				t.Errorf("got %q, %v", list(a), err)
			}
		})
	}
	if d.Queries("six.example", "AAAA") != 0 {
		t.Error("asked for a family that we lack")
	}
}

// TestErrors holds the texts of errors.
func TestErrors(t *testing.T) {
	d := siptest.NewDNS(t, "")
	d.SetFaults(siptest.Fault{Name: "broken.example", Rcode: siptest.ServerFailure})
	r := newResolver(t, resolve.Config{}, d)
	tests := []struct{ uri, want string }{
		{"sip:example.com:5060", `resolve: no address for "example.com"`},
		{"sip:broken.example:5060", fmt.Sprintf(`resolve: DNS failed for "broken.example": server %v: server failure: SERVFAIL`, d.Addr())},
		{"sip:example.com;transport=x", `resolve: unsupported: "x" for a sip URI`},
		{"sip:" + strings.Repeat("a", 100), `resolve: no address for "` + strings.Repeat("a", 64) + `..."`},
	}
	for _, test := range tests {
		if _, err := r.Resolve(t.Context(), uri(t, test.uri)); err == nil || err.Error() != test.want {
			t.Errorf("%s: %v, want %s", test.uri, err, test.want)
		}
	}
	for _, c := range []resolve.Config{
		{Servers: []netip.AddrPort{{}}},
		{Transports: []sipaddr.Transport{sipaddr.Unknown}},
	} {
		if _, err := resolve.New(c); err == nil {
			t.Errorf("no error for %+v", c)
		}
	}
}

// TestExplain holds the steps.
func TestExplain(t *testing.T) {
	d := siptest.NewDNS(t, `
example.net.            100 NAPTR 10 1 "s" "SIPS+D2T" "" _sips._tcp.example.net.
_sips._tcp.example.net. 100 SRV 1 2 5061 p2.example.net.
_sips._tcp.example.net. 100 SRV 2 2 5061 gone.example.net.
_sips._tcp.example.net. 100 SRV 3 2 5061 p3.example.net.
p2.example.net.         100 A 127.0.1.1`)
	hosts := writeHosts(t, "127.0.1.3 p3.example.net")
	r := newResolver(t, resolve.Config{HostsFile: hosts, IPv4: true}, d)
	a, err := r.Explain(t.Context(), uri(t, "sip:example.net"))
	if err != nil {
		t.Fatal(err)
	}
	want := []resolve.Step{
		{"example.net", "NAPTR", `10 1 "S" "SIPS+D2T" _sips._tcp.example.net.`, 100 * time.Second, d.Addr().String(), false},
		{"_sips._tcp.example.net", "SRV", "1 2 5061 p2.example.net., 2 2 5061 gone.example.net., 3 2 5061 p3.example.net.", 100 * time.Second, d.Addr().String(), false},
		{"p2.example.net", "A", "127.0.1.1", 100 * time.Second, d.Addr().String(), false},
		{"gone.example.net", "A", "none", 30 * time.Second, d.Addr().String(), false},
		{"p3.example.net", "A/AAAA", "127.0.1.3", 0, hosts, false},
	}
	for i := range max(len(want), len(a.Steps)) {
		if i >= len(want) || i >= len(a.Steps) || a.Steps[i] != want[i] {
			t.Fatalf("step %d of:\n%+v\nwant:\n%+v", i, a.Steps, want)
		}
	}
	if again, err := r.Explain(t.Context(), uri(t, "sip:example.net")); err != nil || !again.Steps[0].Cached || d.Queries("example.net", "NAPTR") != 1 {
		t.Errorf("again: %+v, %v", again, err)
	}
	if _, ok := r.Cached(uri(t, "sip:example.net")); ok {
		t.Error("explaining left an answer behind")
	}
	if a, err := r.Explain(t.Context(), uri(t, "sip:nobody.example")); err == nil || len(a.Steps) == 0 {
		t.Errorf("no steps beside %v", err)
	}
}

// TestContext holds that a caller who gives up is let go, and that the look-up serves the others.
func TestContext(t *testing.T) {
	d := siptest.NewDNS(t, "a.example. A 127.0.1.1")
	d.SetFaults(siptest.Fault{Delay: 300 * time.Millisecond})
	r := newResolver(t, resolve.Config{IPv4: true}, d)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("gone")
	cancel(why)
	if _, err := r.Resolve(ctx, uri(t, "sip:a.example:5060")); !errors.Is(err, resolve.ErrTemporary) || !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	if a, err := r.Resolve(t.Context(), uri(t, "sip:a.example:5060")); err != nil || len(a.Addresses) != 1 {
		t.Errorf("got %v, %v", a, err)
	}
	if n := d.Queries("a.example", "A"); n != 1 {
		t.Errorf("%d questions", n)
	}
	r.Close()
	if _, err := r.Resolve(t.Context(), uri(t, "sip:b.example:5060")); !errors.Is(err, resolve.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, ok := r.Cached(uri(t, "sip:a.example:5060")); !ok {
		t.Error("after Close nothing is cached")
	}
}
