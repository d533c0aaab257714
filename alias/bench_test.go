package alias

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// manyRows is how many rows the table has in which searches are measured.
const manyRows = 100_000

// search is what is looked for in a table of many rows, and what is to be found.
type search struct {
	to        sipaddr.Resolved
	reference string
	want      Reason
}

// manyTable returns a table of manyRows rows, and searches all over it by what comes of them.
func manyTable(t testing.TB) (*Table, map[string][]search) {
	table := New("example.com", Config{MaxRows: 2 * manyRows})
	to := func(i int) sipaddr.Resolved {
		a := addr(t, peer1)
		a.AddrPort = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, byte(i >> 16), byte(i >> 8), byte(i)}), 5061)
		return a
	}
	name := func(i int) string { return fmt.Sprintf("d%d.example.net", i) }
	for i := range manyRows {
		r := row(t, ConnID(i+1), peer1, name(i))
		r.Resolved = to(i)
		mustAdd(t, table, r)
	}
	searches := make(map[string][]search)
	for n := range 1 << 12 {
		i := n * 7919 % manyRows
		searches["reuse"] = append(searches["reuse"], search{to(i), name(i), Reuse})
		searches["mismatch"] = append(searches["mismatch"], search{to(i), "victim.example", IdentityMismatch})
		searches["no row"] = append(searches["no row"], search{to(i + manyRows), name(i), NoRow})
	}
	return table, searches
}

// BenchmarkFind is one search among a hundred thousand rows; it is done for each request. 64 destinations are what
// a busy proxy talks to at a time; what is asked for all over the table is mostly waiting for memory.
func BenchmarkFind(b *testing.B) {
	table, searches := manyTable(b)
	for name, list := range searches {
		for within, list := range map[string][]search{"64 destinations": list[:64], "all over": list} {
			b.Run(name+"/"+within, func(b *testing.B) {
				b.ReportAllocs()
				for n := 0; b.Loop(); n++ {
					s := &list[n%len(list)]
					if d := table.Find(s.to, s.reference, testNow); d.Reason != s.want {
						b.Fatal(d)
					}
				}
			})
		}
	}
}

// TestFindAllocatesNothing searches among as many rows as a large proxy has.
func TestFindAllocatesNothing(t *testing.T) {
	table, searches := manyTable(t)
	for name, list := range searches {
		n := 0
		if got := testing.AllocsPerRun(len(list)-1, func() {
			s := &list[n]
			n++
			if d := table.Find(s.to, s.reference, testNow); d.Reason != s.want {
				t.Errorf("%s: %v", name, d)
			}
		}); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

// TestRowMemory measures what a row takes, with its connection and the one name of its certificate. Call-ID and
// identities are its own, as they are of a connection of its own.
func TestRowMemory(t *testing.T) {
	used := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := used()
	table := New("example.com", Config{MaxRows: manyRows})
	for i := range manyRows {
		r := row(t, ConnID(i+1), peer1, fmt.Sprintf("d%d.example.net", i))
		r.Resolved.AddrPort = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, byte(i >> 16), byte(i >> 8), byte(i)}), 5061)
		r.MadeBy = fmt.Sprintf("%032x@d%d.example.net", i, i)
		mustAdd(t, table, r)
	}
	siptest.Plan(t, "alias row", (used()-before)/manyRows)
	runtime.KeepAlive(table)
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
