package alias

import (
	"net/netip"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/tandem-sip/tandem/identity"
)

// TestEntryLine keeps what Find reads in one line of the processor's cache, and entries on the borders of lines.
func TestEntryLine(t *testing.T) {
	if at, size := unsafe.Offsetof(entry{}.row), unsafe.Sizeof(entry{}); at != 64 || size != 256 {
		t.Errorf("the row begins at %d of %d bytes, want 64 of 256", at, size)
	}
}

// TestEntryProves compares the short way with the identities themselves.
func TestEntryProves(t *testing.T) {
	long := strings.Repeat("a", nameRoom) + ".example"
	just := strings.Repeat("a", nameRoom-len(".example")) + ".example"
	for _, names := range [][]string{{"example.net"}, {"xn--bcher-kva.example"}, {just}, {long}, {"a.example", "b.example"}, {}} {
		set, err := identity.NewSet(names...)
		if err != nil {
			t.Fatal(err)
		}
		e := &entry{}
		e.set(Row{Identities: set})
		// As a row is brought up to date.
		e.set(Row{Identities: set})
		for _, name := range append(names, "example.net", "victim.example", "\u212Aexample.net") {
			for _, reference := range []string{name, strings.ToUpper(name), name + ".", name + "..", "." + name, "x" + name,
				name[1:], name[:len(name)-1], "x." + name, "b\u00fccher.example", "B\u00dcCHER.example.", "", ".", "192.0.2.1"} {
				if got, want := e.proves(reference), set.Contains(reference); got != want {
					t.Errorf("%q: %q is proved: %v, want %v", names, reference, got, want)
				}
			}
		}
		// Other names in the place of these.
		other, err := identity.NewSet("other.example")
		if err != nil {
			t.Fatal(err)
		}
		e.set(Row{Identities: other})
		if !e.proves("other.example") || len(names) > 0 && e.proves(names[0]) {
			t.Errorf("%q stay when others come", names)
		}
	}
}

func TestEntryNotAfter(t *testing.T) {
	end := time.Date(2026, 11, 22, 4, 5, 6, 7, time.UTC)
	for name, c := range map[string]struct {
		notAfter, now time.Time
		want          Reason
	}{
		"at the end":       {end, end, Reuse},
		"after it":         {end, end.Add(1), Expired},
		"none":             {time.Time{}, end, Reuse},
		"never (RFC 5280)": {time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), end, Reuse},
		"at no time":       {time.Time{}.Add(1), end, Expired},
		"long ago":         {time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC), end, Expired},
	} {
		table := New("", Config{})
		r := row(t, 1, peer1, "example.net")
		r.LocalDomain, r.NotAfter = "", c.notAfter
		mustAdd(t, table, r)
		if d := table.Find(r.Resolved, "example.net", c.now); d.Reason != c.want {
			t.Errorf("%s: %v, want %v", name, d.Reason, c.want)
		}
	}
}

// A zone makes another address of one, and no row has one.
func TestZone(t *testing.T) {
	table := New("", Config{})
	r := row(t, 1, "tls:[fe80::1]:5061", "example.net")
	r.LocalDomain = ""
	mustAdd(t, table, r)
	to := r.Resolved
	to.AddrPort = netip.AddrPortFrom(to.Addr().WithZone("eth0"), to.Port())
	if d := table.Find(to, "example.net", testNow); d.Reason != NoRow {
		t.Errorf("%v", d)
	}
}
