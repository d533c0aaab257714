package sip

import "testing"

func TestParseURI(t *testing.T) {
	for _, c := range []struct {
		text string
		want URI
	}{
		{"sip:bob@biloxi.com", URI{Scheme: "sip", User: "bob", HasUser: true, Host: "biloxi.com"}},
		{"SIPS:biloxi.com:5071", URI{Scheme: "sips", Host: "biloxi.com", Port: 5071}},
		{"sip:a:b@c;x=y;lr?h=v&i=", URI{Scheme: "sip", User: "a", Password: "b", HasUser: true, HasPassword: true, Host: "c", Params: ";x=y;lr", Headers: "?h=v&i="}},
		{"sip:a:@c", URI{Scheme: "sip", User: "a", HasUser: true, HasPassword: true, Host: "c"}},
		{"sip:[2001:db8::10]:5070", URI{Scheme: "sip", Host: "[2001:db8::10]", Port: 5070}},
		{"sip:[2001:db8::10:5070]", URI{Scheme: "sip", Host: "[2001:db8::10:5070]"}},
		{"sip:[::ffff:192.0.2.10]", URI{Scheme: "sip", Host: "[::ffff:192.0.2.10]"}},
		{"sip:u%40x;y=z?a@h", URI{Scheme: "sip", User: "u%40x;y=z?a", HasUser: true, Host: "h"}},
		{"sip:host_1.example.com.", URI{Scheme: "sip", Host: "host_1.example.com."}},
		{"tel:+1-201-555-0123", URI{Scheme: "tel", Opaque: "+1-201-555-0123"}},
		{"soap.beep://192.0.2.103:3002", URI{Scheme: "soap.beep", Opaque: "//192.0.2.103:3002"}},
	} {
		u, err := ParseURI(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if *u != c.want {
			t.Errorf("%q: %+v", c.text, *u)
		}
	}
	for _, text := range []string{
		"", ":", "sip", "sip:", "sip:@", "sip:@h", "sip::@h", "sip::p@h", "sip:u@", "sip:u@:5061", "sip:h:", "sip:h:0", "sip:h:65536",
		"sip:h:99999999999999999999", "sip:h:5x", "sip:a@b@c", "sip:*.h", "sip:.h", "sip:a..b", "sip:h h", " sip:h", "sip:h ",
		"sip:2001:db8::10", "sip:[2001:db8::10", "sip:[]", "sip:[fe80::1%eth0]", "sip:[2001:db8:::192.0.2.1]", "sip:[192.0.2.1]",
		"sip:h;", "sip:h;;lr", "sip:h;=x", "sip:h;a=", "sip:h;a=b=c", "sip:h?", "sip:h?a", "sip:h?a=b&", "sip:h;a=%4", "sip:%zz@h",
		"sip:u\x00@h", "sip:u\r\n@h", "<sip:h>", "sip:<h>", "1sip:h", "+x:y", "tel:", "tel:+1 2", "x:<y>", "sip:u@h/x", "sip:h%41",
	} {
		if u, err := ParseURI(text); err == nil {
			t.Errorf("%q passed: %+v", text, *u)
		}
	}
}

func TestURIParams(t *testing.T) {
	u, err := ParseURI("sip:h;Transport=TLS-SCTP;%6C%72;n%61me=v%41")
	if err != nil {
		t.Fatal(err)
	}
	if u.Transport() != "tls-sctp" {
		t.Errorf("transport %q", u.Transport())
	}
	if _, ok := u.Param("lr"); !ok {
		t.Error("escaped lr not found")
	}
	if v, _ := u.Param("NAME"); v != "v%41" {
		t.Errorf("name %q", v)
	}
	if _, ok := u.Param("nam"); ok {
		t.Error("found too much")
	}
}

func TestURIAddress(t *testing.T) {
	for _, c := range []struct{ text, ip string }{
		{"sip:192.0.2.1", "192.0.2.1"}, {"sip:[2001:db8::1]", "2001:db8::1"}, {"sip:a.b", ""}, {"sip:1.2.3", ""},
		{"sip:300.0.0.1", ""}, {"sip:face.cafe", ""}, {"sip:1.2.3.e", ""},
	} {
		u, err := ParseURI(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		a, ok := u.IP()
		if ok != (c.ip != "") || ok && a.String() != c.ip {
			t.Errorf("%q: %v %v", c.text, a, ok)
		}
	}
}

// The sets of RFC 3261, Section 19.1.4, and what its rules add.
func TestURIEqual(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp", true},
		{"sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true},
		{"sip:carol@chicago.com", "sip:carol@chicago.com;security=on", true},
		{"sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on", true},
		{"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com", "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com", true},
		{"sip:alice@atlanta.com?subject=project%20x&priority=urgent", "sip:alice@atlanta.com?priority=urgent&subject=project%20x", true},
		{"SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", false},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", false},
		{"sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", false},
		{"sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false},
		{"sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", false},
		{"sip:a@b", "sips:a@b", false},
		{"sip:a@b", "sip:b", false},
		{"sip:a@b", "sip:a:@b", false},
		{"sip:a%40x@b", "sip:a%40X@b", false},
		{"sip:a%2fx@b", "sip:a/x@b", false},
		{"sip:a%2fx@b", "sip:a%2Fx@b", true},
		{"sip:b;maddr=1.2.3.4", "sip:b", false},
		{"sip:b;user=phone", "sip:b", false},
		{"sip:b;ttl=1", "sip:b", false},
		{"sip:b;x", "sip:b;x=1", false},
		{"sip:b?a=1&a=2", "sip:b?a=1&a=1", false},
		{"sip:b?a=1&a=2", "sip:b?a=2&a=1", true},
		{"sip:[2001:db8::1]", "sip:[2001:DB8:0::1]", true},
		{"tel:+1", "TEL:+1", true},
		{"tel:+1", "tel:+2", false},
		{"tel:+1", "sip:b", false},
	} {
		a, err := ParseURI(c.a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := ParseURI(c.b)
		if err != nil {
			t.Fatal(err)
		}
		if a.Equal(b) != c.want || b.Equal(a) != c.want {
			t.Errorf("%s, %s: want %v", c.a, c.b, c.want)
		}
		if !a.Equal(a) {
			t.Errorf("%s is not itself", c.a)
		}
	}
}
