package alias

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/tandem-sip/tandem/sipaddr"
)

// BenchmarkFind is one search among ten thousand rows; it is done for each request.
func BenchmarkFind(b *testing.B) {
	table := New("example.com", Config{})
	for i := range 10000 {
		r := row(b, ConnID(i+1), peer1, fmt.Sprintf("d%d.example.net", i))
		r.Resolved.AddrPort = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 5061)
		mustAdd(b, table, r)
	}
	to := func(i int) sipaddr.Resolved {
		a := addr(b, peer1)
		a.AddrPort = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 5061)
		return a
	}
	for name, c := range map[string]struct {
		to        sipaddr.Resolved
		reference string
		want      Reason
	}{
		"reuse":    {to(77), "d77.example.net", Reuse},
		"mismatch": {to(77), "victim.example", IdentityMismatch},
		"no row":   {addr(b, peer2), "d77.example.net", NoRow},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d := table.Find(c.to, c.reference, testNow); d.Reason != c.want {
					b.Fatal(d)
				}
			}
		})
	}
}

// BenchmarkAddAgain is what each further request with alias costs.
func BenchmarkAddAgain(b *testing.B) {
	table := New("example.com", Config{})
	r := row(b, 1, peer1, "example.net")
	b.ReportAllocs()
	for b.Loop() {
		table.Add(r)
	}
}
