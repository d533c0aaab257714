package sip

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseVia(t *testing.T) {
	for _, c := range []struct {
		text string
		want Via
	}{
		{"SIP/2.0/UDP host", Via{Transport: "UDP", Host: "host"}},
		{"SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw", Via{Transport: "UDP", Host: "192.0.2.2", Params: ";branch=390skdjuw", Branch: "390skdjuw"}},
		{"SIP/2.0/TLS h : 5061 ;branch = z ; alias;rport;keep", Via{Transport: "TLS", Host: "h", Port: 5061, Params: ";branch = z ; alias;rport;keep", Branch: "z", Alias: true, HasRPort: true, Keep: true}},
		{"SIP/2.0/UDP [2001:db8::9:1]:6050;received=[2001:db8::9:255];rport=22", Via{Transport: "UDP", Host: "[2001:db8::9:1]", Port: 6050, Params: ";received=[2001:db8::9:255];rport=22", Received: "2001:db8::9:255", HasRPort: true, RPort: 22}},
		{"SIP/2.0/TCP h;received=2001:db8::1;maddr=239.1.1.1;ttl=255", Via{Transport: "TCP", Host: "h", Params: ";received=2001:db8::1;maddr=239.1.1.1;ttl=255", Received: "2001:db8::1", MAddr: "239.1.1.1"}},
		{"SIP/2.0/TLS h;alias=1", Via{Transport: "TLS", Host: "h", Params: ";alias=1"}},
		{"SIP/2.0/TLS h;x=\"a;branch=y\"", Via{Transport: "TLS", Host: "h", Params: ";x=\"a;branch=y\""}},
	} {
		v, err := ParseVia(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		// What is written again is in TestReceivedReplaces.
		v.hasReceived, v.rportStart, v.rportEnd = false, 0, 0
		if *v != c.want {
			t.Errorf("%q: %+v", c.text, *v)
		}
	}
	for _, text := range []string{
		"", "SIP", "SIP/2.0", "SIP/2.0/", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/2.0/UDP :]", "SIP/2.0/TLS :5061", "SIP/2.0/UDP:5061",
		"SIP/2.0/TLS [2001:db8::1;branch=x", "SIP/2.0/UDP h:0", "SIP/2.0/UDP h:65536", "SIP/2.0/UDP h:", "SIP/2.0/UDP h;", "SIP/2.0/UDP h;;alias",
		"SIP/2.0/UDP h;branch=", "SIP/2.0/UDP h;branch", "SIP/2.0/UDP h;branch=a;branch=b", "SIP/2.0/UDP h;received=x", "SIP/2.0/UDP h;received=1.2.3.4;received=1.2.3.4",
		"SIP/2.0/UDP h;rport=65536", "SIP/2.0/UDP h;rport=x", "SIP/2.0/UDP h;rport;rport", "SIP/2.0/UDP h i", "SIP/2.0/UDP h;x=\"", "SIP/2.0/UDP h;maddr",
		"SIP/2.0/UDP h;x=<y>", "SIP/2.0/UDP h x;branch=y",
	} {
		if v, err := ParseVia(text); err == nil {
			t.Errorf("%q passed: %+v", text, *v)
		}
	}
}

func TestSetReceived(t *testing.T) {
	for _, c := range []struct {
		name, via, from string
		want            string
	}{
		{"address is sent-by", "SIP/2.0/UDP 192.0.2.1:5060;branch=x", "192.0.2.1:9", "SIP/2.0/UDP 192.0.2.1:5060;branch=x"},
		{"other address", "SIP/2.0/UDP 192.0.2.1:5060;branch=x", "192.0.2.2:9", "SIP/2.0/UDP 192.0.2.1:5060;branch=x;received=192.0.2.2"},
		{"name", "SIP/2.0/UDP host;branch=x", "192.0.2.2:9", "SIP/2.0/UDP host;branch=x;received=192.0.2.2"},
		{"rport", "SIP/2.0/UDP 192.0.2.1;rport;branch=x", "192.0.2.1:9", "SIP/2.0/UDP 192.0.2.1;rport=9;branch=x;received=192.0.2.1"},
		{"forged rport", "SIP/2.0/UDP h;rport=22;branch=x", "192.0.2.1:9", "SIP/2.0/UDP h;rport=9;branch=x;received=192.0.2.1"},
		{"forged received", "SIP/2.0/UDP h;received=169.254.169.254;branch=x", "192.0.2.1:9", "SIP/2.0/UDP h;branch=x;received=192.0.2.1"},
		{"forged received, address is sent-by", "SIP/2.0/UDP 192.0.2.1 ; received = 169.254.169.254 ; branch=x", "192.0.2.1:9", "SIP/2.0/UDP 192.0.2.1  ; branch=x"},
		{"no parameters", "SIP/2.0/UDP h", "192.0.2.1:9", "SIP/2.0/UDP h;received=192.0.2.1"},
		{"IPv6 has no brackets", "SIP/2.0/UDP h;received=[::1]", "[2001:db8::1]:9", "SIP/2.0/UDP h;received=2001:db8::1"},
		{"IPv6 is sent-by", "SIP/2.0/UDP [2001:DB8:0::1]:9", "[2001:db8::1]:9", "SIP/2.0/UDP [2001:DB8:0::1]:9"},
		{"zone", "SIP/2.0/UDP h", "[fe80::1%eth0]:9", "SIP/2.0/UDP h;received=fe80::1"},
		{"IPv4 in IPv6", "SIP/2.0/UDP 192.0.2.1", "[::ffff:192.0.2.1]:9", "SIP/2.0/UDP 192.0.2.1"},
		{"spacing stays", "SIP / 2.0 / UDP  h ;  branch = x", "192.0.2.1:9", "SIP / 2.0 / UDP  h ;  branch = x;received=192.0.2.1"},
		{"only the top value", "SIP/2.0/UDP h;rport , SIP/2.0/UDP i;rport", "192.0.2.1:9", "SIP/2.0/UDP h;rport=9;received=192.0.2.1 , SIP/2.0/UDP i;rport"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mustParse(t, "OPTIONS sip:x SIP/2.0\r\nCall-ID: 1\r\nv : "+c.via+"\r\nVia: SIP/2.0/UDP last;rport\r\nl: 0\r\n\r\n")
			from := netip.MustParseAddrPort(c.from)
			m.SetReceived(from.Addr(), from.Port())
			e := m.Edit()
			e.Prepend(FieldVia, "SIP/2.0/TLS new")
			want := "OPTIONS sip:x SIP/2.0\r\nCall-ID: 1\r\nVia: SIP/2.0/TLS new\r\nv : " + c.want + "\r\nVia: SIP/2.0/UDP last;rport\r\nl: 0\r\n\r\n"
			if got := string(e.AppendTo(nil)); got != want {
				t.Errorf("forwarded\n%s\nwant\n%s", got, want)
			}
			out := string(AppendResponse(nil, m, 200, "", ""))
			if !strings.Contains(out, "\r\nv : "+c.want+"\r\nVia: SIP/2.0/UDP last;rport\r\n") {
				t.Errorf("answered\n%s", out)
			}
			v, err := m.TopVia()
			if err != nil || v.Received != "" || v.RPort != 0 || v.Source.Port() != from.Port() {
				t.Errorf("the Via still tells what the client wrote: %+v %v", v, err)
			}
		})
	}
}

// TestReceivedReplaces: what the client wrote itself in received and rport goes, wherever it stands.
func TestReceivedReplaces(t *testing.T) {
	for old, want := range map[string]string{
		"h;rport":                                "h;rport=77;received=192.0.2.200",
		"h;rport=5;branch=z":                     "h;rport=77;branch=z;received=192.0.2.200",
		"h;received=192.0.2.9":                   "h;received=192.0.2.200",
		"h;rport;x;received=192.0.2.9;y":         "h;rport=77;x;y;received=192.0.2.200",
		"h;received=192.0.2.9;branch=z;rport ;y": "h;branch=z;rport=77 ;y;received=192.0.2.200",
		"192.0.2.200;received=192.0.2.9":         "192.0.2.200",
		"192.0.2.200;branch=z":                   "192.0.2.200;branch=z",
	} {
		m := mustParse(t, strings.Replace(request(""), "host.example.net;branch=z9hG4bK1", old, 1))
		m.SetReceived(netip.MustParseAddr("192.0.2.200"), 77)
		e := m.Edit()
		if out := string(e.AppendTo(nil)); !strings.Contains(out, "\r\nVia: SIP/2.0/UDP "+want+"\r\n") {
			t.Errorf("%q became %q", old, out)
		}
	}
}
