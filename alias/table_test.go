package alias

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/identity"
	"github.com/tandem-sip/tandem/sipaddr"
)

var testNow = time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)

func addr(t testing.TB, s string) sipaddr.Resolved {
	t.Helper()
	r, err := sipaddr.ParseResolved(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ids(t testing.TB, names ...string) identity.Set {
	t.Helper()
	s, err := identity.NewSet(names...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// row is a row of example.com's table; the certificate is told by its first name.
func row(t testing.TB, conn ConnID, to string, names ...string) Row {
	t.Helper()
	r := Row{Resolved: addr(t, to), Identities: ids(t, names...), LocalDomain: "example.com", Conn: conn, MadeBy: "dial", LastUsed: testNow}
	if len(names) > 0 {
		copy(r.Fingerprint[:], names[0])
	}
	return r
}

func mustAdd(t testing.TB, table *Table, rows ...Row) {
	t.Helper()
	for _, r := range rows {
		if added, reason := table.Add(r); !added || reason != Reuse {
			t.Fatalf("row of connection %d: %v", r.Conn, reason)
		}
	}
}

// want asks for the connection to an address and a domain.
func want(t testing.TB, table *Table, to, reference string, conn ConnID, reason Reason) {
	t.Helper()
	explained := table.Explain(addr(t, to), reference, testNow)
	d := table.Find(addr(t, to), reference, testNow)
	if d.Conn != conn || d.Reason != reason || d.Reuse() != (conn != 0) {
		t.Errorf("%s for %s: connection %d, %v; want %d, %v", to, reference, d.Conn, d.Reason, conn, reason)
	}
	if explained.Conn != d.Conn || explained.Reason != d.Reason || d.Considered != nil {
		t.Errorf("%s for %s: Find says %+v and Explain %+v", to, reference, d, explained)
	}
}

const peer1, peer2 = "tls:192.0.2.1:5061", "tls:192.0.2.2:5061"

// TestConditions are the two conditions of RFC 5923, Section 8.1 and RFC 5923, Section 8.2
// (5923-8.1-11, 5923-8.2-8).
func TestConditions(t *testing.T) {
	table := New("example.com", Config{})
	mustAdd(t, table,
		row(t, 1, peer1, "example.net", "p2.example.net"),
		row(t, 2, "tls:[2001:db8::1]:5061", "example.net"),
		row(t, 3, "tls-sctp:192.0.2.1:5061", "example.net"),
	)
	want(t, table, peer1, "example.net", 1, Reuse)
	want(t, table, peer1, "p2.example.net", 1, Reuse) // 5923-5-4: any of its identities
	want(t, table, peer1, "EXAMPLE.NET.", 1, Reuse)
	want(t, table, "tls:[2001:db8::1]:5061", "example.net", 2, Reuse)
	want(t, table, "tls-sctp:192.0.2.1:5061", "example.net", 3, Reuse)
	want(t, table, "tls:[::ffff:192.0.2.1]:5061", "example.net", 1, Reuse)

	want(t, table, peer1, "example.org", 0, IdentityMismatch)
	want(t, table, peer1, "sip.example.net", 0, IdentityMismatch)
	want(t, table, peer1, "net", 0, IdentityMismatch)
	want(t, table, peer1, "", 0, NoReference)
	want(t, table, peer1, "192.0.2.1", 0, NoReference)
	want(t, table, "tls:192.0.2.1:5062", "example.net", 0, NoRow)
	want(t, table, peer2, "example.net", 0, NoRow)
	want(t, table, "tcp:192.0.2.1:5061", "example.net", 0, NotTLS) // 5923-9.3-1
	want(t, table, "udp:192.0.2.1:5061", "example.net", 0, NotTLS)
	want(t, table, "sctp:192.0.2.1:5061", "example.net", 0, NotTLS)
}

// TestAddressesOfAnotherForm: a key that was made by hand is the same key.
func TestAddressesOfAnotherForm(t *testing.T) {
	mapped := sipaddr.Resolved{AddrPort: netip.MustParseAddrPort("[::ffff:192.0.2.1]:5061"), Transport: sipaddr.TLS}
	table := New("example.com", Config{})
	r := row(t, 1, peer1, "example.net")
	r.Resolved = mapped
	mustAdd(t, table, r)
	want(t, table, peer1, "example.net", 1, Reuse)
	if d := table.Find(mapped, "example.net", testNow); d.Conn != 1 {
		t.Errorf("by the mapped address: %+v", d)
	}
	if d := table.Explain(mapped, "example.net", testNow); d.Conn != 1 || len(d.Considered) != 1 {
		t.Errorf("by the mapped address: %+v", d)
	}
}

func TestRefusedRows(t *testing.T) {
	change := func(f func(*Row)) Row {
		r := row(t, 1, peer1, "example.net")
		f(&r)
		return r
	}
	for _, c := range []struct {
		name string
		row  Row
		want Reason
	}{
		{"5923-9.2-3 no identity", change(func(r *Row) { r.Identities = identity.Set{} }), Unauthenticated},
		{"5923-9.3-1 TCP", change(func(r *Row) { r.Resolved.Transport = sipaddr.TCP }), NotTLS},
		{"5923-9.3-1 SCTP", change(func(r *Row) { r.Resolved.Transport = sipaddr.SCTP }), NotTLS},
		{"5923-9.3-3 another domain", change(func(r *Row) { r.LocalDomain = "example.org" }), OtherLocalDomain},
		{"5923-9.3-3 no domain", change(func(r *Row) { r.LocalDomain = "" }), OtherLocalDomain},
		{"no connection", change(func(r *Row) { r.Conn = 0 }), BadRow},
		{"no address", change(func(r *Row) { r.Resolved = sipaddr.Resolved{} }), BadRow},
		{"no port", change(func(r *Row) { r.Resolved.AddrPort = netip.MustParseAddrPort("192.0.2.1:0") }), BadRow},
		{"zone", change(func(r *Row) { r.Resolved.AddrPort = netip.MustParseAddrPort("[fe80::1%lo]:5061") }), BadRow},
		{"the domain in another form", change(func(r *Row) { r.LocalDomain = "EXAMPLE.com." }), Reuse},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := New("example.com", Config{})
			added, reason := table.Add(c.row)
			if added != (c.want == Reuse) || reason != c.want || table.Len() != len(table.Rows()) || (table.Len() == 1) != added {
				t.Errorf("added %t, %v, %d rows; want %v", added, reason, table.Len(), c.want)
			}
		})
	}
}

// TestVirtualServers is the example of RFC 5923, Section 9.3: one address, two domains, and both
// rows stand (5923-9.3-2).
func TestVirtualServers(t *testing.T) {
	table := New("example.com", Config{})
	mustAdd(t, table, row(t, 18, peer1, "example.org"))
	want(t, table, peer1, "example.net", 0, IdentityMismatch)
	mustAdd(t, table, row(t, 54, peer1, "example.net"))
	want(t, table, peer1, "example.org", 18, Reuse)
	want(t, table, peer1, "example.net", 54, Reuse)
}

// TestNoDisplacement: a peer behind the same address does not take another's row away (5923-6-3).
func TestNoDisplacement(t *testing.T) {
	table := New("example.com", Config{})
	mustAdd(t, table, row(t, 1, peer1, "victim.example"))
	for i := range ConnID(100) {
		mustAdd(t, table, row(t, 2+i, peer1, "attacker.example"))
	}
	want(t, table, peer1, "victim.example", 1, Reuse)
	want(t, table, peer1, "attacker.example", 101, Reuse)
	if n := table.Len(); n != 1+8 || len(table.byConn) != n {
		t.Errorf("%d rows of %d connections, want those of the victim and 8 of the attacker", n, len(table.byConn))
	}
	if d := table.Explain(addr(t, peer1), "victim.example", testNow); len(d.Considered) != 9 || d.Considered[8].Reason != Reuse || d.Considered[0].Reason != IdentityMismatch {
		t.Errorf("considered %+v", d.Considered)
	}
	for i := range ConnID(100) {
		table.Remove(2 + i)
	}
	if table.Len() != 1 || len(table.byConn) != 1 || len(table.byAddr) != 1 {
		t.Errorf("%d rows, %d connections, %d addresses left", table.Len(), len(table.byConn), len(table.byAddr))
	}
}

func TestNewestFirst(t *testing.T) {
	table := New("example.com", Config{})
	mustAdd(t, table, row(t, 1, peer1, "example.net"), row(t, 2, peer1, "example.net"), row(t, 3, peer1, "example.net"))
	want(t, table, peer1, "example.net", 3, Reuse)
	// What brings a row up to date does not make it newer: the choice must not waver.
	mustAdd(t, table, row(t, 1, peer1, "example.net"))
	want(t, table, peer1, "example.net", 3, Reuse)
	table.MarkClosing(3)
	want(t, table, peer1, "example.net", 2, Reuse)
	table.Remove(2)
	want(t, table, peer1, "example.net", 1, Reuse)
	table.MarkClosing(1)
	want(t, table, peer1, "example.net", 0, Closing) // 5923-8.3-3
	table.Remove(1)
	table.Remove(3)
	want(t, table, peer1, "example.net", 0, NoRow)
}

func TestUpdate(t *testing.T) {
	table := New("example.com", Config{})
	r := row(t, 1, peer1, "example.net")
	r.MadeBy = strings.Repeat("x", 100)
	mustAdd(t, table, r)
	r = row(t, 1, peer1, "example.org")
	r.Direction, r.MadeBy = Accepted, "another call"
	mustAdd(t, table, r)
	rows := table.RowsOf(1)
	if len(rows) != 1 || table.Len() != 1 || rows[0].Direction != Accepted || rows[0].MadeBy != strings.Repeat("x", maxMadeBy) {
		t.Errorf("rows %+v", rows)
	}
	want(t, table, peer1, "example.net", 0, IdentityMismatch)
	want(t, table, peer1, "example.org", 1, Reuse)
	if table.RowsOf(2) != nil {
		t.Error("rows of a connection that has none")
	}
}

func TestClosing(t *testing.T) {
	table := New("example.com", Config{})
	mustAdd(t, table, row(t, 1, peer1, "example.net"))
	table.MarkClosing(1)
	table.MarkClosing(2) // before its first row
	for _, id := range []ConnID{1, 2} {
		for _, to := range []string{peer1, peer2} {
			if added, reason := table.Add(row(t, id, to, "example.net")); added || reason != Closing {
				t.Errorf("connection %d to %s: %t %v", id, to, added, reason)
			}
		}
	}
	// A mismatch beside it says less than the closing.
	mustAdd(t, table, row(t, 3, peer1, "example.org"))
	want(t, table, peer1, "example.net", 0, Closing)
	want(t, table, peer1, "example.edu", 0, IdentityMismatch)
	table.MarkClosing(3)
	want(t, table, peer1, "example.org", 0, Closing)
	table.Remove(2)
	table.Remove(7)
	if len(table.byConn) != 2 {
		t.Errorf("%d connections are known", len(table.byConn))
	}
}

func TestExpired(t *testing.T) {
	table := New("example.com", Config{})
	r := row(t, 1, peer1, "example.net")
	r.NotAfter = testNow.Add(-time.Second)
	mustAdd(t, table, r)
	want(t, table, peer1, "example.net", 0, Expired)
	r.NotAfter = testNow
	mustAdd(t, table, r)
	want(t, table, peer1, "example.net", 1, Reuse)
}

func TestLimits(t *testing.T) {
	table := New("example.com", Config{MaxRowsPerConn: 2, MaxRows: 3})
	mustAdd(t, table, row(t, 1, "tls:192.0.2.1:1", "example.net"), row(t, 1, "tls:192.0.2.1:2", "example.net"))
	if added, reason := table.Add(row(t, 1, "tls:192.0.2.1:3", "example.net")); added || reason != TooManyRows {
		t.Errorf("a third row of the connection: %t %v", added, reason)
	}
	mustAdd(t, table, row(t, 1, "tls:192.0.2.1:2", "example.net")) // no new one
	mustAdd(t, table, row(t, 2, "tls:192.0.2.1:1", "example.net"))
	if added, reason := table.Add(row(t, 3, "tls:192.0.2.1:1", "example.net")); added || reason != TooManyRows {
		t.Errorf("a fourth row of the table: %t %v", added, reason)
	}
	if len(table.byConn) != 2 || table.Len() != 3 {
		t.Errorf("%d connections, %d rows", len(table.byConn), table.Len())
	}
	// The flood of ports: one connection has its eight rows and no more.
	table = New("example.com", Config{})
	for port := range 10000 {
		r := row(t, 1, peer1, "example.net")
		r.Resolved.AddrPort = netip.AddrPortFrom(r.Resolved.Addr(), uint16(port+1))
		table.Add(r)
	}
	if table.Len() != 8 {
		t.Errorf("%d rows after a flood", table.Len())
	}
}

func TestLastUsed(t *testing.T) {
	table := New("example.com", Config{})
	mustAdd(t, table, row(t, 1, peer1, "example.net"), row(t, 2, peer2, "example.net"))
	later := testNow.Add(time.Hour)
	table.Explain(addr(t, peer2), "example.net", later)
	table.Find(addr(t, peer2), "example.org", later)
	table.Find(addr(t, peer1), "example.net", later)
	rows := table.Rows()
	if len(rows) != 2 || rows[0].LastUsed != later || rows[1].LastUsed != testNow {
		t.Errorf("rows %+v", rows)
	}
}

func TestRowsAreInOrder(t *testing.T) {
	table := New("example.com", Config{})
	mustAdd(t, table, row(t, 1, peer2, "a.example"), row(t, 2, peer1, "b.example"), row(t, 3, peer2, "c.example"), row(t, 4, peer1, "b.example"))
	var got []ConnID
	for _, r := range table.Rows() {
		got = append(got, r.Conn)
	}
	if !slices.Equal(got, []ConnID{4, 2, 3, 1}) {
		t.Errorf("connections in the order %v", got)
	}
}

func TestWords(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range append(Reasons(), None) {
		text, err := r.MarshalText()
		if err != nil || string(text) != r.String() || r.String() == "" || r.String() == "unknown" || seen[r.String()] {
			t.Errorf("reason %d is %q", r, text)
		}
		seen[r.String()] = true
	}
	for _, word := range []string{"reuse", "no_row", "identity_mismatch", "other_local_domain", "closing", "not_tls", "unauthenticated", "declined_by_policy"} {
		if !seen[word] {
			t.Errorf("no reason %q", word)
		}
	}
	if Reason(99).String() != "unknown" || Dialed.String() != "dialed" || Accepted.String() != "accepted" {
		t.Error("words of directions")
	}
	if New("EXAMPLE.com.", Config{}).LocalDomain() != "example.com" || New("[::1]", Config{}).LocalDomain() != "[::1]" {
		t.Error("local domain is not in its normal form")
	}
}

// TestBasis: what was relaxed shows in the reason of reuse, and beside any other.
func TestBasis(t *testing.T) {
	table := New("example.com", Config{})
	mustAdd(t, table, row(t, 1, peer1, "example.net"))
	reused, not := table.Find(addr(t, peer1), "example.net", testNow), table.Find(addr(t, peer1), "example.org", testNow)
	for _, c := range []struct {
		basis  Basis
		word   string
		reason Reason
	}{{ByURI, "uri", Reuse}, {ByConfiguration, "configured_reference", ReuseByConfiguredReference}, {ByDialog, "dialog", ReuseByDialog}} {
		text, err := c.basis.MarshalText()
		if err != nil || string(text) != c.word {
			t.Errorf("basis %q, want %q", text, c.word)
		}
		if d := reused.On(c.basis); d.Reason != c.reason || !d.Reuse() || d.Conn != 1 || d.Basis != c.basis {
			t.Errorf("%v: %+v", c.basis, d)
		}
		if d := not.On(c.basis); d.Reason != IdentityMismatch || d.Reuse() || d.Basis != c.basis {
			t.Errorf("%v: %+v", c.basis, d)
		}
	}
}

func TestFindDoesNotAllocate(t *testing.T) {
	table := New("example.com", Config{})
	mustAdd(t, table, row(t, 1, peer1, "example.net"), row(t, 2, peer1, "example.org"))
	to := addr(t, peer1)
	for _, reference := range []string{"example.net", "EXAMPLE.net.", "example.edu"} {
		if n := testing.AllocsPerRun(100, func() { table.Find(to, reference, testNow) }); n != 0 {
			t.Errorf("%s: %v allocations", reference, n)
		}
	}
}
