package identity

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"
)

func TestNormalize(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	long := strings.Repeat("a.", 126) + "a" // 253 bytes
	for _, c := range []struct {
		name, in, want string
	}{
		{"plain", "example.com", "example.com"},
		{"upper case", "EXAMPLE.Com", "example.com"},
		{"trailing dot", "example.com.", "example.com"},
		{"one label", "localhost", "localhost"},
		{"digits in front", "3com.example", "3com.example"},
		{"hyphen", "a-b.example", "a-b.example"},
		{"A-label", "XN--BCHER-KVA.example", "xn--bcher-kva.example"},
		{"U-label", "bücher.example", "xn--bcher-kva.example"},
		{"U-label in upper case", "BÜCHER.example", "xn--bcher-kva.example"},
		{"U-label, decomposed", "bu\u0308cher.example", "xn--bcher-kva.example"},
		{"ideographic full stops", "bücher\u3002example\u3002", "xn--bcher-kva.example"},
		{"Cyrillic look-alike", "\u0435xample.com", "xn--xample-2of.com"},
		{"longest label", label63 + ".example", label63 + ".example"},
		{"longest name", long, long},
		{"longest name and dot", long + ".", long},

		{"empty", "", ""},
		{"dot", ".", ""},
		{"two dots at the end", "example.com..", ""},
		{"empty label", "example..com", ""},
		{"leading dot", ".example.com", ""},
		{"long label", label63 + "a.example", ""},
		{"long name", "b" + long, ""},
		{"leading hyphen", "-a.example", ""},
		{"trailing hyphen", "a-.example", ""},
		{"underscore", "_sip.example.com", ""},
		{"wildcard", "*.example.com", ""},
		{"percent escape", "%65xample.com", ""},
		{"space", " example.com", ""},
		{"NUL", "example.com\x00.evil.test", ""},
		{"newline", "example.com\n", ""},
		{"IPv4", "192.0.2.1", ""},
		{"IPv4, fullwidth", "\uff11\uff19\uff12.0.2.1", ""},
		{"IPv4, short", "127.1", ""},
		{"IPv4, hexadecimal", "0x7f000001", ""},
		{"IPv6", "2001:db8::1", ""},
		{"IPv6 in brackets", "[2001:db8::1]", ""},
		{"last label a number", "example.1", ""},
		{"bad UTF-8", "b\xfccher.example", ""},
		{"host and port", "example.com:5061", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := Normalize(c.in)
			if ok != (c.want != "") || ok && got != c.want {
				t.Errorf("Normalize(%q) = %q, %t; want %q", c.in, got, ok, c.want)
			}
		})
	}
}

func TestURIHost(t *testing.T) {
	for _, c := range []struct {
		name, uri, want string
	}{
		{"plain", "sip:example.com", "example.com"},
		{"upper-case scheme", "SIP:example.com", "example.com"},
		{"mixed case", "SiP:EXAMPLE.com", "example.com"},
		{"trailing dot", "sip:example.com.", "example.com"},
		{"port", "sip:example.com:5061", "example.com"},
		{"trailing dot and port", "sip:example.com.:5061", "example.com"},
		{"parameter", "sip:example.com;transport=tls", "example.com"},
		{"parameter without value", "sip:example.com;lr", "example.com"},
		{"port and parameters", "sip:example.com:5061;transport=tls;lr", "example.com"},
		{"parameter with an escape", "sip:example.com;a=%40", "example.com"},
		{"headers", "sip:evil.test?x=sip:example.com", "evil.test"},
		{"parameters and headers", "sip:example.com;lr?subject=a&to=b", "example.com"},
		{"header without value", "sip:example.com?a=", "example.com"},
		{"A-label", "sip:xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"wildcard names itself", "sip:*.example.com", "*.example.com"},
		{"one label", "sip:localhost", "localhost"},

		{"sips", "sips:example.com", ""},
		{"sips without its colon", "sipsexample.com", ""},
		{"no colon", "sip/example.com", ""},
		{"other scheme", "https://example.com", ""},
		{"tel", "tel:+15551234", ""},
		{"no scheme", "example.com", ""},
		{"scheme only", "sip:", ""},
		{"scheme without colon", "sip", ""},
		{"space before the scheme", " sip:example.com", ""},
		{"user", "sip:alice@example.com", ""},
		{"user and password", "sip:alice:secret@example.com", ""},
		{"empty user", "sip:@example.com", ""},
		{"@ in a parameter", "sip:example.com;x=y@evil.test", ""},
		{"@ in a header", "sip:example.com?x=y@evil.test", ""},
		{"authority form", "sip://example.com", ""},
		{"path", "sip:example.com/x", ""},
		{"space", "sip: example.com", ""},
		{"space at the end", "sip:example.com ", ""},
		{"newline", "sip:evil.test\r\nsip:example.com", ""},
		{"NUL", "sip:example.com\x00.evil.test", ""},
		{"NUL in a parameter", "sip:example.com;a=\x00", ""},
		{"escape in the host", "sip:%65xample.com", ""},
		{"U-label", "sip:bücher.example", ""},
		{"partial wildcard", "sip:f*.example.com", ""},
		{"wildcard within", "sip:foo.*.com", ""},
		{"wildcard alone", "sip:*", ""},
		{"leading dot", "sip:.example.com", ""},
		{"IPv4", "sip:192.0.2.1", ""},
		{"IPv6", "sip:[2001:db8::1]", ""},
		{"hexadecimal port", "sip:example.com:0x13c5", ""},
		{"empty port", "sip:example.com:", ""},
		{"large port", "sip:example.com:65536", ""},
		{"signed port", "sip:example.com:+5061", ""},
		{"two ports", "sip:example.com:5061:5061", ""},
		{"empty parameter", "sip:example.com;", ""},
		{"parameter with an empty value", "sip:example.com;a=", ""},
		{"cut escape", "sip:example.com;a=%4", ""},
		{"fragment", "sip:example.com#x", ""},
		{"empty headers", "sip:example.com?", ""},
		{"header without =", "sip:example.com?a", ""},
		{"quote", "sip:example.com;a=\"b\"", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := uriHost(c.uri)
			if ok != (c.want != "") || ok && got != c.want {
				t.Errorf("uriHost(%q) = %q, %t; want %q", c.uri, got, ok, c.want)
			}
		})
	}
}

// TestFindIdentities is RFC 5922, Section 7.1 over certificates of all kinds of names.
func TestFindIdentities(t *testing.T) {
	names := func(n ...asn1.RawValue) []asn1.RawValue { return append([]asn1.RawValue{}, n...) }
	for _, c := range []struct {
		name  string
		names []asn1.RawValue
		cn    string
		want  []string // without the CN
		andCN []string // with it; nil: the same
	}{
		{name: "5922-7.1-3 sips is no identity", names: names(uriName("sips:example.com")), cn: "example.com"},
		{name: "5922-7.1-3 other schemes are none", names: names(uriName("https://example.com"), uriName("urn:uuid:1"), uriName("im:example.com"))},
		{name: "5922-7.1-4 a user is none", names: names(uriName("sip:alice@example.com"))},
		{name: "5922-7.1-5 a sip URI is", names: names(uriName("sip:example.com")), want: []string{"example.com"}},
		{name: "5922-7.1-5 in any case", names: names(uriName("SIP:Example.COM")), want: []string{"example.com"}},
		{name: "5922-7.1-5 several", names: uriNames("sip:b.example", "sip:a.example", "sip:B.example"), want: []string{"a.example", "b.example"}},
		{name: "5922-7.1-6 DNS alone", names: dnsNames("example.com", "EXAMPLE.net"), want: []string{"example.com", "example.net"}},
		{name: "5922-7.1-6 DNS beside sip", names: names(dnsName("example.com"), uriName("sip:example.net")), want: []string{"example.net"}},
		{name: "5922-7.1-6 DNS beside a user", names: names(uriName("sip:alice@example.net"), dnsName("example.com")), want: []string{"example.com"}},
		{name: "5922-7.1-6 DNS beside sips", names: names(uriName("sips:example.net"), dnsName("example.com")), want: []string{"example.com"}},
		{name: "5922-7.1-6 DNS beside a bad sip URI", names: names(uriName("sip:%65vil.test"), dnsName("example.com")), want: []string{"example.com"}},
		{name: "5922-7.1-6 user and domain and DNS", names: names(uriName("sip:alice@example.org"), uriName("sip:example.net"), dnsName("example.com")), want: []string{"example.net"}},
		{name: "5922-7.1-7 CN alone", cn: "example.com", andCN: []string{"example.com"}},
		{name: "5922-7.1-7 CN in upper case", cn: "EXAMPLE.com", andCN: []string{"example.com"}},
		{name: "5922-7.1-7 CN beside an empty subjectAltName", names: names(), cn: "example.com"},
		{name: "5922-7.1-7 CN beside an e-mail address", names: names(emailName("a@example.com")), cn: "example.com"},
		{name: "5922-7.1-7 CN beside an IP address", names: names(ipName(192, 0, 2, 1)), cn: "example.com"},
		{name: "5922-7.1-7 CN beside sips", names: names(uriName("sips:example.com")), cn: "example.com"},
		{name: "5922-7.1-7 CN beside sip", names: names(uriName("sip:example.net")), cn: "example.com", want: []string{"example.net"}},
		{name: "5922-7.1-7 CN is no DNS name", cn: "Example Corp"},
		{name: "5922-7.1-7 CN is a URI", cn: "sip:example.com"},
		{name: "5922-7.1-7 CN is a wildcard", cn: "*.example.com"},
		{name: "5922-7.1-7 CN is an IP address", cn: "192.0.2.1"},
		{name: "5922-7.1-7 CN is a U-label", cn: "bücher.example"},
		{name: "IP address", names: names(ipName(192, 0, 2, 1))},
		{name: "IP address as DNS name", names: dnsNames("192.0.2.1")},
		{name: "e-mail address", names: names(emailName("example.com"))},
		{name: "URI as DNS name", names: dnsNames("sip:example.com")},
		{name: "NUL in a DNS name", names: dnsNames("example.com\x00.evil.test")},
		{name: "NUL in one of two", names: dnsNames("example.com\x00.evil.test", "evil.test"), want: []string{"evil.test"}},
		{name: "space in a DNS name", names: dnsNames(" example.com")},
		{name: "empty DNS name", names: dnsNames("")},
		{name: "partial wildcard", names: dnsNames("f*.example.com", "*", "foo.*.com", "**.example.com")},
		{name: "wildcard", names: dnsNames("*.example.com"), want: []string{"*.example.com"}},
		{name: "leading dot", names: dnsNames(".example.com")},
	} {
		t.Run(c.name, func(t *testing.T) {
			cert := fakeCertificate(t, c.names, c.cn)
			if got := FromCertificate(cert, false).Names(); !slices.Equal(got, c.want) {
				t.Errorf("identities %q, want %q", got, c.want)
			}
			if c.andCN == nil {
				c.andCN = c.want
			}
			if got := FromCertificate(cert, true).Names(); !slices.Equal(got, c.andCN) {
				t.Errorf("identities with the CN %q, want %q", got, c.andCN)
			}
		})
	}
}

// fakeCertificate is a certificate of so much as finding identities looks at.
func fakeCertificate(t testing.TB, names []asn1.RawValue, cn string) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{Subject: pkix.Name{CommonName: cn}}
	withNames(names...)(template)
	template.Extensions = template.ExtraExtensions
	return template
}

func TestAltNameTwiceOrBroken(t *testing.T) {
	cert := fakeCertificate(t, uriNames("sip:example.com"), "")
	cert.Extensions = append(cert.Extensions, cert.Extensions[0])
	if got := FromCertificate(cert, true); !got.IsZero() {
		t.Errorf("two extensions give %v", got)
	}
	root := newRoot(t)
	v := mustVerifier(t, policyOf(root))
	cert.Subject.CommonName, cert.PublicKey = "x", root.cert.PublicKey
	wantReason(t, v, []*x509.Certificate{cert}, Server, ReasonMalformed)
	for _, value := range [][]byte{nil, {0x30}, {0x30, 0x02, 0x86}, {0x30, 0x02, 0x86, 0x05}, {0x04, 0x00}, {0x30, 0x00, 0x00}} {
		cert := fakeCertificate(t, nil, "example.com")
		cert.Extensions = []pkix.Extension{{Id: oidAltName, Value: value}}
		if got := FromCertificate(cert, true); !got.IsZero() {
			t.Errorf("%x gives %v", value, got)
		}
	}
}

func TestSet(t *testing.T) {
	many := []string{"a.example", "b.example", "c.example", "d.example", "e.example", "xn--bcher-kva.example", "*.example.com"}
	for _, names := range [][]string{{"example.com"}, append([]string{"example.com"}, many...)} {
		s := newSet(slices.Clone(names))
		for host, want := range map[string]bool{
			"example.com":      true,
			"EXAMPLE.com":      true,
			"example.com.":     true,
			"example.com..":    false,
			"":                 false,
			".":                false,
			"com":              false,
			"foo.example.com":  false, // 5922-7.2-4
			"xexample.com":     false,
			"example.co":       false,
			"example.comm":     false,
			"example.org":      false,
			"example.com:5061": false, // 5922-7.2-1
			"192.0.2.1":        false,
			"example\u3002com": true, // another form of the dot
		} {
			if got := s.Contains(host); got != want {
				t.Errorf("%v contains %q: %t", s, host, got)
			}
		}
	}
	s := newSet(slices.Clone(many))
	for host, want := range map[string]bool{
		"bücher.example":        true, // 5922-7.2-2
		"BÜCHER.example":        true,
		"Xn--Bcher-Kva.example": true,
		"bucher.example":        false,
		"*.example.com":         true, // a wildcard names itself: 5922-7.2-4
	} {
		if got := s.Contains(host); got != want {
			t.Errorf("%v contains %q: %t", s, host, got)
		}
	}
	if (Set{}).Contains("example.com") || !(Set{}).IsZero() || s.IsZero() || s.Len() != len(many) {
		t.Error("empty set, or length")
	}
	one, err := NewSet("D.example", "z.example", "z.example.")
	if err != nil || !slices.Equal(one.Names(), []string{"d.example", "z.example"}) {
		t.Errorf("NewSet: %v %v", one, err)
	}
	if _, err := NewSet("example.com", "192.0.2.1"); err == nil || !strings.Contains(err.Error(), `"192.0.2.1"`) {
		t.Errorf("NewSet of an address: %v", err)
	}
	if !s.Overlaps(one) || !one.Overlaps(s) || one.Overlaps(Set{}) || s.Equal(one) || !one.Equal(newSet(one.Names())) {
		t.Error("Overlaps or Equal")
	}
	names := one.Names()
	names[0] = "changed"
	if one.Names()[0] == "changed" {
		t.Error("Names hands out the set's own memory")
	}
}

func TestSetString(t *testing.T) {
	long := strings.Repeat("a", 60)
	for want, names := range map[string][]string{
		"":                     nil,
		"a.example, b.example": {"a.example", "b.example"},
		"a" + long + ", b" + long + ", c" + long + " and 2 more": {"a" + long, "b" + long, "c" + long, "d" + long, "e" + long},
	} {
		if got := newSet(names).String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
