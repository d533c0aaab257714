package resolve

import (
	"net/netip"
	"strings"
	"testing"
)

// TestParseHosts reads hosts files of all kinds.
func TestParseHosts(t *testing.T) {
	tests := []struct {
		name, text, host string
		want             []string
	}{
		{"plain", "127.0.0.2 a.example", "a.example", []string{"127.0.0.2"}},
		{"several names, tabs", "127.0.0.2\ta.example  b\tc.example\r\n", "c.example", []string{"127.0.0.2"}},
		{"several lines", "127.0.0.3 a\n::1 a\n127.0.0.2 a", "a", []string{"127.0.0.3", "::1", "127.0.0.2"}},
		{"twice", "127.0.0.2 a a\n127.0.0.2 a", "a", []string{"127.0.0.2"}},
		{"comment", "127.0.0.2 b # a", "a", nil},
		{"comment at once", "#127.0.0.2 a", "a", nil},
		{"capital letters, final dot", "127.0.0.2 A.Example.", "a.example", []string{"127.0.0.2"}},
		{"IPv4 in IPv6", "::ffff:127.0.0.2 a", "a", []string{"127.0.0.2"}},
		{"zone", "fe80::1%lo a", "a", nil},
		{"no address", "a 127.0.0.2", "a", nil},
		{"address alone", "127.0.0.2", "127.0.0.2", nil},
		{"odd name", "127.0.0.2 a/b c", "a/b", nil},
		{"number for a name", "127.0.0.2 127.0.0.9", "127.0.0.9", nil},
		{"no end of line", "\n\n 127.0.0.2 a", "a", []string{"127.0.0.2"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := joinAddrs(parseHosts(test.text)[test.host]); got != strings.Join(test.want, ", ") {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// FuzzHosts holds that parseHosts never panics, that it hands out only names and addresses that the rest
// of the room takes, and that writing what was read and reading it again gives the same.
func FuzzHosts(f *testing.F) {
	f.Add("127.0.0.1 localhost\n::1 localhost ip6-localhost # comment\n")
	f.Add("fe80::1%lo x\n::ffff:1.2.3.4 Y.\r\n1.2.3.4")
	f.Fuzz(func(t *testing.T, text string) {
		table := parseHosts(text)
		var again strings.Builder
		for name, addrs := range table {
			if !validName(name) || len(addrs) == 0 || len(addrs) > maxRecords {
				t.Errorf("%q: %v", name, addrs)
			}
			for _, a := range addrs {
				if !a.IsValid() || a.Zone() != "" || a.Is4In6() {
					t.Errorf("%q: %v", name, a)
				}
				again.WriteString(a.String() + " " + name + "\n")
			}
		}
		second := parseHosts(again.String())
		if len(second) != len(table) {
			t.Fatalf("%d names, then %d", len(table), len(second))
		}
		for name, addrs := range table {
			if joinAddrs(second[name]) != joinAddrs(addrs) {
				t.Errorf("%q: %v, then %v", name, addrs, second[name])
			}
		}
	})
}

// TestValidName holds which names may be asked for.
func TestValidName(t *testing.T) {
	long := strings.Repeat("a", 63)
	tests := []struct {
		name string
		want bool
	}{
		{"example.com", true}, {"p1", true}, {"_sip._udp.a", true}, {"xn--bcher-kva.example", true}, {"1a.2b", true}, {"3com.com", true},
		{long, true}, {long + "a", false}, {strings.Join([]string{long, long, long, long[:61]}, "."), true}, {strings.Join([]string{long, long, long, long[:62]}, "."), false},
		{"", false}, {".", false}, {"a..b", false}, {".a", false}, {"a.", false}, {"1.2.3.4", false}, {"a.1", false}, {"a b", false}, {"a\x00b", false}, {"ä.example", false}, {"A", false}, {"a/b", false}, {"::1", false},
	}
	for _, test := range tests {
		if got := validName(test.name); got != test.want {
			t.Errorf("%q: %v", test.name, got)
		}
	}
}

// TestSystemServers reads resolv.conf.
func TestSystemServers(t *testing.T) {
	if got := systemServers("testdata/resolv.conf"); len(got) != 2 || got[0] != netip.MustParseAddrPort("127.0.0.53:53") || got[1] != netip.MustParseAddrPort("[::1]:53") {
		t.Errorf("got %v", got)
	}
	if got := systemServers("testdata/absent"); len(got) != 1 || got[0] != netip.MustParseAddrPort("127.0.0.1:53") {
		t.Errorf("got %v", got)
	}
}
