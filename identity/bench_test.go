package identity

import (
	"fmt"
	"path/filepath"
	"testing"
)

func BenchmarkContains(b *testing.B) {
	few := newSet([]string{"example.com", "example.net"})
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("d%d.example.net", i))
	}
	many := newSet(names)
	for name, c := range map[string]struct {
		set  Set
		host string
	}{
		"few":        {few, "example.net"},
		"upper case": {few, "EXAMPLE.NET"},
		"thousand":   {many, "d999.example.net"},
		"missing":    {many, "victim.example"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.set.Contains(c.host)
			}
		})
	}
}

func TestContainsDoesNotAllocate(t *testing.T) {
	s := newSet([]string{"example.com", "example.net"})
	if n := testing.AllocsPerRun(100, func() { s.Contains("EXAMPLE.net.") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, id := range []string{"id-01-uri-sip", "al-04-rsa2048", "rv-05-not-revoked", "id-50-5000-sans"} {
		chain, err := readChain(b, filepath.Join("testdata/certmatrix", id, "chain.pem"))
		if err != nil {
			b.Fatal(err)
		}
		p := matrixPolicy(b)
		b.Run(id+"/first", func(b *testing.B) {
			b.ReportAllocs()
			v := mustVerifier(b, p)
			for b.Loop() {
				v.cache.peers, v.cache.names = nil, 0
				if _, err := v.Verify(chain, Client, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(id+"/again", func(b *testing.B) {
			b.ReportAllocs()
			v := mustVerifier(b, p)
			for b.Loop() {
				if _, err := v.Verify(chain, Client, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
