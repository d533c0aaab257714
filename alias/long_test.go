package alias

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sipaddr"
)

// The long run takes many random steps on the tables of several local domains, and compares every answer with a
// model so plain that it cannot be wrong unseen: one list of rows, in which names and addresses are numbers.
// TANDEM_STEPS says how many steps, TANDEM_SEED with which random numbers they begin.

const defaultSteps = 200_000

// longNames are what certificates name. Two of them are near to others and equal to none.
var longNames = []string{"a.example", "b.example", "sub.a.example", "*.a.example", "xn--bcher-kva.example", "aa.example"}

// longReferences are hosts of next-hop URIs, as they may be written, by the number of the name that they are.
var longReferences = []struct {
	host string
	name int // -1: none of them
}{
	{"a.example", 0}, {"A.Example", 0}, {"a.example.", 0}, {"b.example", 1}, {"B.EXAMPLE", 1}, {"sub.a.example", 2},
	{"Sub.A.example", 2}, {"other.a.example", -1}, {"example", -1}, {"xn--bcher-kva.example", 4}, {"bücher.example", 4},
	{"BÜCHER.example", 4}, {"bucher.example", -1}, {"aa.example", 5}, {"192.0.2.1", -1}, {"[2001:db8::1]", -1}, {"", -1},
	{"a.example.net", -1}, {"a.exampl", -1},
}

// longAddresses are resolved addresses, as they may be made, by their number.
var longAddresses = []struct {
	text   string
	tr     sipaddr.Transport
	number int
}{
	{"192.0.2.1:5061", sipaddr.TLS, 0}, {"[::ffff:192.0.2.1]:5061", sipaddr.TLS, 0}, {"192.0.2.1:5062", sipaddr.TLS, 1},
	{"192.0.2.2:5061", sipaddr.TLS, 2}, {"[2001:db8::1]:5061", sipaddr.TLS, 3}, {"192.0.2.1:5061", sipaddr.TLSSCTP, 4},
	{"192.0.2.1:5061", sipaddr.TCP, -1}, {"192.0.2.1:5061", sipaddr.UDP, -1},
}

var longDomains = []string{"example.com", "example.net", "example.org"}

// longRow is a row of the model.
type longRow struct {
	local, address, names, conn int
	key                         byte // of the certificate
	until                       int  // second
}

// longModel is the table of all local domains.
type longModel struct {
	cfg     Config
	rows    []longRow // newest first
	closing map[[2]int]bool
}

func (m *longModel) add(r longRow) Reason {
	mine, all, same := 0, 0, -1
	for i, o := range m.rows {
		if o.local != r.local {
			continue
		}
		all++
		if o.conn == r.conn {
			mine++
			if o.address == r.address {
				same = i
			}
		}
	}
	switch {
	case r.address < 0:
		return NotTLS
	case r.names == 0:
		return Unauthenticated
	case m.closing[[2]int{r.local, r.conn}]:
		return Closing
	case same >= 0:
		m.rows[same] = r
		return Reuse
	case mine >= m.cfg.MaxRowsPerConn || all >= m.cfg.MaxRows:
		return TooManyRows
	}
	m.rows = slices.Insert(m.rows, 0, r)
	n, oldest := 0, 0
	for i, o := range m.rows {
		if o.local == r.local && o.address == r.address && o.key == r.key {
			n, oldest = n+1, i
		}
	}
	if n > m.cfg.MaxRowsPerPeer {
		m.rows = slices.Delete(m.rows, oldest, oldest+1)
	}
	return Reuse
}

func (m *longModel) find(local, address, name, now int) int {
	if address < 0 || name < 0 {
		return 0
	}
	for _, r := range m.rows {
		if r.local == local && r.address == address && r.names&(1<<name) != 0 && now <= r.until && !m.closing[[2]int{local, r.conn}] {
			return r.conn
		}
	}
	return 0
}

// TestTableLong is judged by two counts, both of which must be 0: wrong reuse, and missed reuse.
func TestTableLong(t *testing.T) {
	steps := envNumber(t, "TANDEM_STEPS", defaultSteps)
	seed := envNumber(t, "TANDEM_SEED", 5923)
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	cfg := Config{MaxRowsPerConn: 3, MaxRowsPerPeer: 2, MaxRows: 14}
	m := &longModel{cfg: cfg, closing: make(map[[2]int]bool)}
	var tables []*Table
	for _, d := range longDomains {
		tables = append(tables, New(d, cfg))
	}
	var addresses []sipaddr.Resolved
	for _, a := range longAddresses {
		addresses = append(addresses, sipaddr.Resolved{AddrPort: netip.MustParseAddrPort(a.text), Transport: a.tr})
	}
	sets := make([]identity.Set, 1<<len(longNames))
	for mask := range sets {
		sets[mask] = namedBy(t, mask)
	}
	// A connection has one certificate for as long as it lives.
	certificates := make([][25]int, len(tables))
	for i := range certificates {
		for j := range certificates[i] {
			certificates[i][j] = random.IntN(len(sets))
		}
	}
	begin := time.Now()
	clock, reused, dialed := 0, 0, 0
	for step := range steps {
		local, conn := random.IntN(len(tables)), 1+random.IntN(24)
		table := tables[local]
		at := random.IntN(len(addresses))
		now := testNow.Add(time.Duration(clock) * time.Second)
		switch what := random.IntN(20); {
		case what < 6:
			r := longRow{local: local, address: longAddresses[at].number, names: certificates[local][conn], conn: conn, until: clock + random.IntN(2000)}
			r.key = byte(r.names)
			added, reason := table.Add(Row{
				Resolved: addresses[at], Identities: sets[r.names], LocalDomain: longDomains[local], Fingerprint: [32]byte{r.key},
				NotAfter: testNow.Add(time.Duration(r.until) * time.Second), Conn: ConnID(conn), MadeBy: "call", LastUsed: now,
			})
			if want := m.add(r); reason != want || added != (want == Reuse) {
				t.Fatalf("step %d: add %+v: %v, want %v", step, r, reason, want)
			}
		case what < 18:
			ref := longReferences[random.IntN(len(longReferences))]
			got := table.Find(addresses[at], ref.host, now)
			want := m.find(local, longAddresses[at].number, ref.name, clock)
			if int(got.Conn) != want || got.Reuse() != (want != 0) {
				t.Fatalf("step %d: %s at %v for %s: connection %d, %v; want %d", step, ref.host, addresses[at], longDomains[local], got.Conn, got.Reason, want)
			}
			if want != 0 {
				reused++
			} else {
				dialed++
			}
		case what < 19 && random.IntN(2) == 0:
			table.MarkClosing(ConnID(conn))
			m.closing[[2]int{local, conn}] = true
		default:
			table.Remove(ConnID(conn))
			m.rows = slices.DeleteFunc(m.rows, func(r longRow) bool { return r.local == local && r.conn == conn })
			delete(m.closing, [2]int{local, conn})
			certificates[local][conn] = random.IntN(len(sets))
		}
		clock += random.IntN(4)
		if step%1000 == 0 || step == steps-1 {
			m.compare(t, step, tables)
		}
	}
	t.Logf("%d steps in %.1f s: %d times reuse, %d times not, none wrong and none missed", steps, time.Since(begin).Seconds(), reused, dialed)
	if reused < steps/20 || dialed < steps/20 {
		t.Errorf("%d times reuse and %d times not in %d steps: that tries too little", reused, dialed, steps)
	}
}

// namedBy is what a certificate proves that has the names whose bits are in mask.
func namedBy(t *testing.T, mask int) identity.Set {
	t.Helper()
	names, n := []asn1.RawValue{}, 0
	for i, name := range longNames {
		if mask&(1<<i) != 0 {
			names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte(name)})
			n++
		}
	}
	value, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	altName := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}
	set := identity.FromCertificate(&x509.Certificate{Extensions: []pkix.Extension{altName}}, false)
	if set.Len() != n {
		t.Fatalf("%d names, want %d", set.Len(), n)
	}
	return set
}

// compare holds all rows against the model's.
func (m *longModel) compare(t *testing.T, step int, tables []*Table) {
	t.Helper()
	var got, want []string
	for i, table := range tables {
		for _, r := range table.Rows() {
			got = append(got, fmt.Sprintf("%s %d %v until %v", longDomains[i], r.Conn, r.Resolved, r.NotAfter))
		}
	}
	for _, r := range m.rows {
		at := slices.IndexFunc(longAddresses, func(a struct {
			text   string
			tr     sipaddr.Transport
			number int
		}) bool {
			return a.number == r.address
		})
		to := sipaddr.Resolved{AddrPort: netip.MustParseAddrPort(longAddresses[at].text), Transport: longAddresses[at].tr}
		want = append(want, fmt.Sprintf("%s %d %v until %v", longDomains[r.local], r.conn, to, testNow.Add(time.Duration(r.until)*time.Second)))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("step %d: rows %q, want %q", step, got, want)
	}
}

func envNumber(t *testing.T, name string, standard int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return standard
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is not a number of steps", name, text)
	}
	return n
}
