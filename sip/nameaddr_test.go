package sip

import "testing"

func TestParseNameAddr(t *testing.T) {
	for _, c := range []struct {
		text string
		want NameAddr
		tag  string
	}{
		{"<sip:a@b>", NameAddr{Addr: "sip:a@b", Bracketed: true}, ""},
		{"sip:a@b;tag=x", NameAddr{Addr: "sip:a@b", Params: ";tag=x"}, "x"},
		{"Bob  B. <sip:a@b;lr>;tag=x", NameAddr{Display: "Bob  B.", Addr: "sip:a@b;lr", Params: ";tag=x", Bracketed: true}, "x"},
		{"caller<sip:a@b>;tag=x", NameAddr{Display: "caller", Addr: "sip:a@b", Params: ";tag=x", Bracketed: true}, "x"},
		{"\"a \\\" <b>, c\" <sip:a@b> \r\n ; TAG = x", NameAddr{Display: "\"a \\\" <b>, c\"", Addr: "sip:a@b", Params: "; TAG = x", Bracketed: true}, "x"},
		{"\"a\"<sip:a@b>", NameAddr{Display: "\"a\"", Addr: "sip:a@b", Bracketed: true}, ""},
		{"J\xc3\xb6rg <sip:a@b>", NameAddr{Display: "J\xc3\xb6rg", Addr: "sip:a@b", Bracketed: true}, ""},
		{"sip:a@b ;  tag  = 19", NameAddr{Addr: "sip:a@b", Params: ";  tag  = 19"}, "19"},
		{"*", NameAddr{Addr: "*"}, ""},
		{"<sip:a@b>;x=\";tag=no\";tag=yes", NameAddr{Addr: "sip:a@b", Params: ";x=\";tag=no\";tag=yes", Bracketed: true}, "yes"},
		{"<sip:a@b>;+sip.instance=\"<urn:uuid:1>\"", NameAddr{Addr: "sip:a@b", Params: ";+sip.instance=\"<urn:uuid:1>\"", Bracketed: true}, ""},
	} {
		n, err := ParseNameAddr(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if n.Tag() != c.tag {
			t.Errorf("%q: tag %q", c.text, n.Tag())
		}
		// What Parse has noted about the tag is the same as what Tag finds in Params.
		n.tags, n.tag, n.token = 0, "", false
		if *n != c.want || n.Tag() != c.tag {
			t.Errorf("%q: %+v", c.text, *n)
		}
	}
	for _, text := range []string{
		"", "<>", "<sip:a@b", "\"a <sip:a@b>", "\"a\" sip:a@b", "\"a\"", "Bell, A <sip:a@b>", "< sip:a@b >", "<sip:a@b> x", "<sip:a@b>;",
		"<sip:a@b>;;x", "sip:a@b?x=y", "sip:a,b@c", "<sip:a@b>;tag=", "<sip:a@b>;tag=\"x", "a@b <sip:a@b>", "<sip:a@b>, <sip:c@d>", "sip:a@b c",
		"<sip:a\r\n @b>", "<sip:a\"b@c>",
	} {
		if n, err := ParseNameAddr(text); err == nil {
			t.Errorf("%q passed: %+v", text, *n)
		}
	}
}

func TestUnquote(t *testing.T) {
	for in, want := range map[string]string{
		"abc": "abc", "\"abc\"": "abc", "\"a\\\"b\\\\c\"": "a\"b\\c", "\"": "\"", "": "", "\"\"": "", "\"a\\\"": "a\\",
	} {
		if got := Unquote(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
