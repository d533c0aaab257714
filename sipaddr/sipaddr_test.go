package sipaddr

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/sip"
)

func TestTransports(t *testing.T) {
	for _, c := range []struct {
		transport        Transport
		token, param     string
		reliable, secure bool
		port             uint16
	}{
		{UDP, "UDP", "udp", false, false, 5060},
		{TCP, "TCP", "tcp", true, false, 5060},
		{TLS, "TLS", "tls", true, true, 5061},
		{SCTP, "SCTP", "sctp", true, false, 5060},
		{TLSSCTP, "TLS-SCTP", "tls-sctp", true, true, 5061},
	} {
		t.Run(c.token, func(t *testing.T) {
			tr := c.transport
			if tr.String() != c.token || tr.URIParam() != c.param || tr.Reliable() != c.reliable || tr.Secure() != c.secure || tr.DefaultPort() != c.port {
				t.Errorf("%v %q %t %t %d", tr, tr.URIParam(), tr.Reliable(), tr.Secure(), tr.DefaultPort())
			}
			for _, token := range []string{c.token, c.param, strings.ToUpper(c.token[:1]) + c.param[1:]} {
				if got, ok := ParseTransport(token); !ok || got != tr {
					t.Errorf("%q: %v %t", token, got, ok)
				}
			}
			text, err := tr.MarshalText()
			var back Transport
			if err != nil || back.UnmarshalText(text) != nil || back != tr {
				t.Errorf("%q read back is %v", text, back)
			}
		})
	}
}

func TestUnknownTransport(t *testing.T) {
	for _, token := range []string{"", "WS", "TLS ", "TLS-TCP", "UNKNOWN", "unknown", "\u212a"} {
		if got, ok := ParseTransport(token); ok || got != Unknown {
			t.Errorf("%q: %v %t", token, got, ok)
		}
	}
	for _, tr := range []Transport{Unknown, TLSSCTP + 1, 255} {
		if tr.String() != "UNKNOWN" || tr.Secure() || tr.Reliable() || tr.DefaultPort() != 0 {
			t.Errorf("%d: %v", tr, tr)
		}
	}
	var pe *ParseError
	if err := new(Transport).UnmarshalText([]byte("WS")); !errors.As(err, &pe) || err.Error() != `sipaddr: bad transport "WS"` {
		t.Errorf("error %v", err)
	}
}

func TestParseTransportDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { ParseTransport("tls") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestNewResolved(t *testing.T) {
	for _, c := range []struct {
		name, address string
		transport     Transport
		want          string // "": refused
	}{
		{"IPv4", "192.0.2.1:5061", TLS, "tls:192.0.2.1:5061"},
		{"IPv6", "[2001:db8::1]:5060", UDP, "udp:[2001:db8::1]:5060"},
		{"IPv4 in IPv6", "[::ffff:192.0.2.1]:5061", TLS, "tls:192.0.2.1:5061"},
		{"zone", "[fe80::1%eth0]:5061", TLS, ""},
		{"zone in IPv4 in IPv6", "[::ffff:192.0.2.1%eth0]:5061", TLS, ""},
		{"port 0", "192.0.2.1:0", TLS, ""},
		{"no transport", "192.0.2.1:5061", Unknown, ""},
		{"no such transport", "192.0.2.1:5061", 99, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := NewResolved(netip.MustParseAddrPort(c.address), c.transport)
			var pe *ParseError
			if err != nil && (!errors.As(err, &pe) || r != Resolved{}) {
				t.Errorf("error %v with %v", err, r)
			}
			if (err == nil) != (c.want != "") || err == nil && r.String() != c.want || r.IsValid() != (err == nil) {
				t.Fatalf("%v, %v; want %q", r, err, c.want)
			}
			if err != nil {
				return
			}
			if back, err := ParseResolved(r.String()); err != nil || back != r {
				t.Errorf("%v read back is %v, %v", r, back, err)
			}
		})
	}
	if _, err := NewResolved(netip.AddrPort{}, TLS); err == nil {
		t.Error("no address at all is accepted")
	}
}

func TestParseResolved(t *testing.T) {
	for in, want := range map[string]string{
		"tls:192.0.2.1":            "tls:192.0.2.1:5061",
		"TLS-SCTP:192.0.2.1":       "tls-sctp:192.0.2.1:5061",
		"udp:[2001:db8::1]":        "udp:[2001:db8::1]:5060",
		"tcp:[::ffff:192.0.2.1]:1": "tcp:192.0.2.1:1",
		"":                         "",
		"192.0.2.1:5061":           "",
		"ws:192.0.2.1:80":          "",
		"tls:":                     "",
		"tls:2001:db8::1":          "",
		"tls:[192.0.2.1]":          "",
		"tls:[]":                   "",
		"tls:[":                    "",
		"tls:example.com:5061":     "",
		"tls:192.0.2.1:0":          "",
		"tls:192.0.2.1:65536":      "",
		"tls:[fe80::1%lo]:5061":    "",
		"tls:[fe80::1%lo]":         "",
	} {
		r, err := ParseResolved(in)
		if (err == nil) != (want != "") || err == nil && r.String() != want {
			t.Errorf("%q: %v, %v; want %q", in, r, err, want)
		}
	}
	_, err := ParseResolved(strings.Repeat("\n", 1000))
	if err == nil || len(err.Error()) > 250 || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
}

// TestResolvedAsText: the embedded netip.AddrPort must not be what is written.
func TestResolvedAsText(t *testing.T) {
	type doc struct{ To, None Resolved }
	in := doc{To: Resolved{netip.MustParseAddrPort("192.0.2.1:5061"), TLS}}
	data, err := json.Marshal(in)
	if err != nil || string(data) != `{"To":"tls:192.0.2.1:5061","None":""}` {
		t.Fatalf("%s, %v", data, err)
	}
	var out doc
	if err := json.Unmarshal(data, &out); err != nil || out != in {
		t.Errorf("%v, %v", out, err)
	}
	if err := json.Unmarshal([]byte(`{"To":"192.0.2.1:5061"}`), &out); err == nil {
		t.Error("an address without transport is read")
	}
	bin, err := in.To.MarshalBinary()
	var back Resolved
	if err != nil || back.UnmarshalBinary(bin) != nil || back != in.To {
		t.Errorf("%q is read as %v", bin, back)
	}
	if bin, err = in.To.AppendBinary(nil); err != nil || string(bin) != in.To.String() {
		t.Errorf("%q, %v", bin, err)
	}
}

func TestCompare(t *testing.T) {
	var list []Resolved
	for _, s := range []string{"tls:192.0.2.2:1", "tls:192.0.2.1:2", "tls:192.0.2.1:1", "udp:192.0.2.1:1", "tls:[::1]:1"} {
		r, err := ParseResolved(s)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	slices.SortFunc(list, Resolved.Compare)
	var got []string
	for _, r := range list {
		got = append(got, r.String())
	}
	if want := "udp:192.0.2.1:1 tls:192.0.2.1:1 tls:192.0.2.1:2 tls:192.0.2.2:1 tls:[::1]:1"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestAdvertised(t *testing.T) {
	for _, c := range []struct {
		via, sentBy string
		port        uint16
		aliased     string
	}{
		{"SIP/2.0/TLS p1.example.com;branch=z9hG4bK1;alias", "p1.example.com", 5061, "tls:192.0.2.9:5061"}, // 5923-8.2-5
		{"SIP/2.0/TLS p1.example.com:5099;branch=z9hG4bK1;alias", "p1.example.com:5099", 5099, "tls:192.0.2.9:5099"},
		{"SIP/2.0/tls [2001:db8::1]:5062;branch=z9hG4bK1", "[2001:db8::1]:5062", 5062, "tls:192.0.2.9:5062"},
		{"SIP/2.0/TLS-SCTP p1.example.com;branch=z9hG4bK1", "p1.example.com", 5061, "tls-sctp:192.0.2.9:5061"},
		{"SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK1", "198.51.100.1", 5060, "udp:192.0.2.9:5060"},
		{"SIP/2.0/XYZ p1.example.com;branch=z9hG4bK1", "p1.example.com", 0, ""},
	} {
		t.Run(c.via, func(t *testing.T) {
			via, err := sip.ParseVia(c.via)
			if err != nil {
				t.Fatal(err)
			}
			a := FromVia(via)
			if a.SentBy() != c.sentBy || a.EffectivePort() != c.port {
				t.Errorf("%v: %q %d", a, a.SentBy(), a.EffectivePort())
			}
			r, err := a.Aliased(netip.MustParseAddr("::ffff:192.0.2.9"))
			if (err == nil) != (c.aliased != "") || err == nil && r.String() != c.aliased {
				t.Errorf("aliased %v, %v; want %q", r, err, c.aliased)
			}
		})
	}
}
