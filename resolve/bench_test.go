package resolve_test

import (
	"net/netip"
	"testing"

	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/siptest"
)

// benchURIs are URIs by what they cost.
var benchURIs = []struct {
	name, uri string
	allocs    float64 // the most that Cached may allocate
}{
	{"address", "sip:127.0.0.1:5070;transport=tcp", 1},
	{"host with port", "sip:bob@a.example:5070", 0},
	{"one priority each", "sip:bob@fixed.example;transport=udp", 0},
	{"weights", "sip:bob@drawn.example;transport=udp", 1},
}

// benchResolver knows them.
func benchResolver(t testing.TB) *resolve.Resolver {
	d := siptest.NewDNS(t, `
a.example.                A 127.0.1.1
b.example.                A 127.0.1.2
_sip._udp.fixed.example.  SRV 1 0 5060 a.example.
_sip._udp.fixed.example.  SRV 2 0 5060 b.example.
_sip._udp.drawn.example.  SRV 1 1 5060 a.example.
_sip._udp.drawn.example.  SRV 1 3 5060 b.example.`)
	r, err := resolve.New(resolve.Config{Servers: []netip.AddrPort{d.Addr()}, HostsFile: writeHosts(t, ""), IPv4: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	for _, b := range benchURIs {
		if _, err := r.Resolve(t.Context(), uri(t, b.uri)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// TestCachedAllocations holds that the hot path allocates no more than it says.
func TestCachedAllocations(t *testing.T) {
	r := benchResolver(t)
	for _, b := range benchURIs {
		u := uri(t, b.uri)
		if n := testing.AllocsPerRun(1000, func() {
			if _, ok := r.Cached(u); !ok {
				t.Fatal("not cached")
			}
		}); n > b.allocs {
			t.Errorf("%s: %v allocations", b.name, n)
		}
	}
}

// BenchmarkCached measures the hot path on all cores.
func BenchmarkCached(b *testing.B) {
	r := benchResolver(b)
	for _, test := range benchURIs {
		b.Run(test.name, func(b *testing.B) {
			u := uri(b, test.uri)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, ok := r.Cached(u); !ok {
						b.Fatal("not cached")
					}
				}
			})
		})
	}
}
