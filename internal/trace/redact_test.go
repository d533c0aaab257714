package trace

import (
	"strings"
	"testing"
)

// TestRedact: secrets go, all else stays, and so does the length.
func TestRedact(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"digest", `Authorization: Digest username="al,ice", realm="r", nonce="n", uri="sip:x", response="6629fae4", qop=auth, nc=00000001, cnonce="c"`,
			`Authorization: Digest username="al,ice", realm="r", nonce="n", uri="sip:x", response="xxxxxxxx", qop=auth, nc=00000001, cnonce="c"`},
		{"digest to a proxy, in pieces", "proxy-authorization :  digest username=\"a\",\r\n response=\"66\"\r\n\t,x=\"secret\"\r\nX: response=\"66\"",
			"proxy-authorization :  digest username=\"a\",\r\n response=\"xx\"\r\n\t,x=\"xxxxxx\"\r\nX: response=\"66\""},
		{"backslashes", `Authorization: Digest username="a\\", response="b\"c", x="\\"`, `Authorization: Digest username="a\\", response="x\"x", x="\\"`},
		{"basic", "Authorization: Basic QWxh=", "Authorization: Basic xxxxx"},
		{"bearer, folded", "Authorization: Bearer\r\n abc.def", "Authorization: Bearer\r\n xxxxxxx"},
		{"challenge", `WWW-Authenticate: Digest realm="r", nonce="n"`, `WWW-Authenticate: Digest realm="r", nonce="n"`},
		{"password in URIs", "INVITE sip:bob:pw@b SIP/2.0\r\nRoute: <sips:u:secret@h;lr>, <sip:v@h>\r\nX: a:b@c", "INVITE sip:bob:xx@b SIP/2.0\r\nRoute: <sips:u:xxxxxx@h;lr>, <sip:v@h>\r\nX: a:b@c"},
		{"crypto", "v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3|2^20|1:4;inline:QUJDREVG|1:4 UNENCRYPTED_SRTP\r\na=ptime:20",
			"v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:xxxxxxxxxxxxxxxx|2^20|1:4;inline:xxxxxxxx|1:4 UNENCRYPTED_SRTP\r\na=ptime:20"},
		{"other keys", "a=key-mgmt:mikey AQAF\nk=base64:abc\nk=prompt\na=ice-ufrag:F7gI\na=ice-pwd:x9cml/Y\na=fingerprint:sha-256 AA:BB",
			"a=key-mgmt:mikey xxxx\nk=base64:xxx\nk=prompt\na=ice-ufrag:F7gI\na=ice-pwd:xxxxxxx\na=fingerprint:sha-256 AA:BB"},
		{"message inside a message", "A: b\r\n\r\nINVITE sip:x SIP/2.0\r\nAuthorization: Basic abc", "A: b\r\n\r\nINVITE sip:x SIP/2.0\r\nAuthorization: Basic xxx"},
	} {
		b := []byte(c.in)
		if redact(b); string(b) != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, b, c.want)
		}
	}
}

// TestRedactWhere: a Recorder hides secrets unless it is told to show them.
func TestRedactWhere(t *testing.T) {
	for _, show := range []bool{false, true} {
		r := New(Config{Memory: 1 << 20, ShowCredentials: show})
		receive(r, "1", request("1", "a", "b", "Authorization: Basic c2VjcmV0\r\n"), "192.0.2.1:5060")
		if shown := strings.Contains(string(r.Ladder("1")[0].Raw), "c2VjcmV0"); shown != show {
			t.Errorf("show %v: %v", show, shown)
		}
	}
}

// FuzzRedact: whatever comes, the length stays, what was hidden stays hidden, and nothing panics.
func FuzzRedact(f *testing.F) {
	f.Add("Authorization: Digest username=\"a\", response=\"b\"\r\n c=d\r\n\r\na=crypto:1 X inline:abc|2^20")
	f.Add("INVITE sip:a:b@c SIP/2.0\r\nAuthorization:\r\n\tBasic x\nk=clear:y")
	f.Add("AuthoriZAtion:\n \\\",")
	f.Add("Authorization: Digest username=\"a\\\\\", response=\"b\\\"c\", d")
	f.Add("a=crypto:\xff\xff\xff\xffinline:k") // no UTF-8, which has another length in lower case
	f.Fuzz(func(t *testing.T, s string) {
		b := []byte(s)
		redact(b)
		once := string(b)
		if redact(b); len(once) != len(s) || string(b) != once {
			t.Errorf("%q became %q and then %q", s, once, b)
		}
		if strings.Count(once, "\n") != strings.Count(s, "\n") {
			t.Errorf("%q became %q", s, once)
		}
	})
}
