package sip

import (
	"strings"
	"testing"
)

// editable has lists, compact forms, folding and unknown lines to edit around.
const editable = "INVITE sip:bob@example.com SIP/2.0\r\n" +
	"X-First: 1\r\n" +
	"v: SIP/2.0/UDP a;branch=z9hG4bKa , SIP/2.0/UDP b\r\n" +
	"Via: SIP/2.0/UDP c\r\n" +
	"Route: <sip:r1;lr>,\r\n  <sip:r2;lr> ;x , <sip:r3;lr>\r\n" +
	"rOuTe:<sip:r4;lr>\r\n" +
	"MAX-forwards :  0070 \r\n" +
	"X-Secret: 1\r\n" +
	"x-secret : 2\r\n" +
	" 3\r\n" +
	"Record-Route: <sip:rr;lr>\r\n" +
	"l: 2\r\n" +
	"X-Last: 1\r\n\r\nhi"

func TestEdit(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(e *Edit)
		old  []string // pairs: what is replaced by what
	}{
		{"nothing", func(e *Edit) {}, nil},
		{"Request-URI", func(e *Edit) { e.SetRequestURI("sip:x"); e.SetRequestURI("sip:new@host") },
			[]string{"sip:bob@example.com", "sip:new@host"}},
		{"status of a request", func(e *Edit) { e.SetStatus(200, "") }, nil},
		{"prepend Via", func(e *Edit) { e.Prepend(FieldVia, "SIP/2.0/TLS p") },
			[]string{"v: SIP", "Via: SIP/2.0/TLS p\r\nv: SIP"}},
		{"prepend twice", func(e *Edit) { e.Prepend(FieldRecordRoute, "<sip:one>"); e.Prepend(FieldRecordRoute, "<sip:two>") },
			[]string{"Record-Route: <sip:rr", "Record-Route: <sip:two>\r\nRecord-Route: <sip:one>\r\nRecord-Route: <sip:rr"}},
		{"prepend what is not there", func(e *Edit) { e.Prepend(FieldPath, "<sip:p>") },
			[]string{"UDP c\r\n", "UDP c\r\nPath: <sip:p>\r\n"}},
		{"append", func(e *Edit) { e.Append(FieldRoute, "<sip:r5>"); e.Append(FieldRoute, "<sip:r6>") },
			[]string{"r4;lr>\r\n", "r4;lr>\r\nRoute: <sip:r5>\r\nRoute: <sip:r6>\r\n"}},
		{"append and prepend what is not there", func(e *Edit) { e.Append(FieldPath, "2"); e.Prepend(FieldPath, "1"); e.Append(FieldPath, "3") },
			[]string{"UDP c\r\n", "UDP c\r\nPath: 1\r\nPath: 2\r\nPath: 3\r\n"}},
		{"add", func(e *Edit) { e.Add("X-New", "a\r\nEvil: b"); e.Add("X-New", "c") },
			[]string{"X-Last: 1\r\n", "X-Last: 1\r\nX-New: a  Evil: b\r\nX-New: c\r\n"}},
		{"set", func(e *Edit) { e.Set(FieldMaxForwards, "70"); e.Set(FieldMaxForwards, "69") },
			[]string{"  0070 \r\n", "  69 \r\n"}},
		{"set what is not there", func(e *Edit) { e.Set(FieldMaxBreadth, "70"); e.Set(FieldMaxBreadth, "60") },
			[]string{"X-Last: 1\r\n", "X-Last: 1\r\nMax-Breadth: 60\r\n"}},
		{"remove first Via", func(e *Edit) { e.RemoveFirst(FieldVia) },
			[]string{"SIP/2.0/UDP a;branch=z9hG4bKa , ", ""}},
		{"remove two Vias", func(e *Edit) { e.RemoveFirst(FieldVia); e.RemoveFirst(FieldVia) },
			[]string{"v: SIP/2.0/UDP a;branch=z9hG4bKa , SIP/2.0/UDP b\r\n", ""}},
		{"remove all Vias one by one", func(e *Edit) {
			for e.RemoveFirst(FieldVia) {
			}
		}, []string{"v: SIP/2.0/UDP a;branch=z9hG4bKa , SIP/2.0/UDP b\r\nVia: SIP/2.0/UDP c\r\n", ""}},
		{"remove first Route", func(e *Edit) { e.RemoveFirst(FieldRoute) },
			[]string{"<sip:r1;lr>,\r\n  ", ""}},
		{"remove two Routes", func(e *Edit) { e.RemoveFirst(FieldRoute); e.RemoveFirst(FieldRoute) },
			[]string{"<sip:r1;lr>,\r\n  <sip:r2;lr> ;x , ", ""}},
		{"remove last Route", func(e *Edit) { e.RemoveLast(FieldRoute) },
			[]string{"rOuTe:<sip:r4;lr>\r\n", ""}},
		{"remove two last Routes", func(e *Edit) { e.RemoveLast(FieldRoute); e.RemoveLast(FieldRoute) },
			[]string{" , <sip:r3;lr>\r\nrOuTe:<sip:r4;lr>\r\n", "\r\n"}},
		{"remove from both ends", func(e *Edit) { e.RemoveFirst(FieldRoute); e.RemoveLast(FieldRoute); e.RemoveLast(FieldRoute) },
			[]string{"<sip:r1;lr>,\r\n  <sip:r2;lr> ;x , <sip:r3;lr>\r\nrOuTe:<sip:r4;lr>\r\n", "<sip:r2;lr> ;x\r\n"}},
		{"remove all Routes from both ends", func(e *Edit) {
			for e.RemoveFirst(FieldRoute) && e.RemoveLast(FieldRoute) {
			}
		}, []string{"Route: <sip:r1;lr>,\r\n  <sip:r2;lr> ;x , <sip:r3;lr>\r\nrOuTe:<sip:r4;lr>\r\n", ""}},
		{"strict routing", func(e *Edit) {
			e.SetRequestURI("sip:r1")
			e.RemoveFirst(FieldRoute)
			e.Append(FieldRoute, "<sip:bob@example.com>")
		}, []string{"INVITE sip:bob@example.com", "INVITE sip:r1", "<sip:r1;lr>,\r\n  ", "", "r4;lr>\r\n", "r4;lr>\r\nRoute: <sip:bob@example.com>\r\n"}},
		{"mending strict routing", func(e *Edit) { e.SetRequestURI("sip:r4;lr"); e.RemoveLast(FieldRoute) },
			[]string{"INVITE sip:bob@example.com", "INVITE sip:r4;lr", "rOuTe:<sip:r4;lr>\r\n", ""}},
		{"all Routes replaced by one", func(e *Edit) { e.RemoveAll("route"); e.Prepend(FieldRoute, "<sip:n>") },
			[]string{"Route: <sip:r1;lr>,\r\n  <sip:r2;lr> ;x , <sip:r3;lr>\r\nrOuTe:<sip:r4;lr>\r\n", "Route: <sip:n>\r\n"}},
		{"replace", func(e *Edit) { e.ReplaceValue(FieldRoute, 1, "<sip:n>") },
			[]string{"<sip:r2;lr> ;x", "<sip:n>"}},
		{"replace twice, then what is not there", func(e *Edit) {
			e.ReplaceValue(FieldRoute, 3, "x")
			e.ReplaceValue(FieldRoute, 3, "<sip:n>")
			if e.ReplaceValue(FieldRoute, 4, "x") {
				panic("replaced")
			}
		}, []string{"<sip:r4;lr>", "<sip:n>"}},
		{"replace, then remove", func(e *Edit) { e.ReplaceValue(FieldRoute, 0, "<sip:n>"); e.RemoveFirst(FieldRoute) },
			[]string{"<sip:r1;lr>,\r\n  ", ""}},
		{"remove, then replace", func(e *Edit) {
			e.RemoveFirst(FieldRoute)
			if e.ReplaceValue(FieldRoute, 0, "<sip:n>") {
				panic("replaced")
			}
		}, []string{"<sip:r1;lr>,\r\n  ", ""}},
		{"remove by name in any spelling", func(e *Edit) { e.Add("X-SECRET", "4"); e.RemoveAll("X-Secret") },
			[]string{"X-Secret: 1\r\nx-secret : 2\r\n 3\r\n", ""}},
		{"remove by long name", func(e *Edit) { e.RemoveAll("via") },
			[]string{"v: SIP/2.0/UDP a;branch=z9hG4bKa , SIP/2.0/UDP b\r\nVia: SIP/2.0/UDP c\r\n", ""}},
		{"remove Content-Length", func(e *Edit) { e.RemoveAll("Content-Length") },
			[]string{"l: 2\r\n", "", "X-Last: 1\r\n", "X-Last: 1\r\nContent-Length: 2\r\n"}},
		{"what a proxy does", func(e *Edit) {
			e.SetRequestURI("sip:bob@10.0.0.1")
			e.RemoveFirst(FieldRoute)
			e.Set(FieldMaxForwards, "69")
			e.Prepend(FieldRecordRoute, "<sip:p;lr>")
			e.Prepend(FieldVia, "SIP/2.0/TLS p;branch=z9hG4bKp")
			e.RemoveAll("X-Secret")
		}, []string{"sip:bob@example.com", "sip:bob@10.0.0.1", "<sip:r1;lr>,\r\n  ", "", "  0070 \r\n", "  69 \r\n",
			"Record-Route: <sip:rr", "Record-Route: <sip:p;lr>\r\nRecord-Route: <sip:rr", "v: SIP", "Via: SIP/2.0/TLS p;branch=z9hG4bKp\r\nv: SIP",
			"X-Secret: 1\r\nx-secret : 2\r\n 3\r\n", ""}},
		{"more than fits on the stack", func(e *Edit) {
			for range 100 {
				e.Add("X-Many", "1")
				e.Prepend(FieldPath, "2")
			}
		}, []string{"X-Last: 1\r\n", "X-Last: 1\r\n" + strings.Repeat("X-Many: 1\r\n", 100), "UDP c\r\n", "UDP c\r\n" + strings.Repeat("Path: 2\r\n", 100)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mustParse(t, editable)
			want := strings.NewReplacer(append(c.old, "\x00", "")...).Replace(editable)
			for i := 0; i < len(c.old); i += 2 {
				if !strings.Contains(editable, c.old[i]) {
					t.Fatalf("%q is not there", c.old[i])
				}
			}
			e := m.Edit()
			c.edit(&e)
			for range 2 { // writing changes nothing in the list
				if got := string(e.AppendTo([]byte("x"))); got != "x"+want {
					t.Fatalf("got\n%s\nwant\n%s", got, want)
				}
			}
			mustParse(t, want)
		})
	}
}

func TestEditAddsWhatIsMissing(t *testing.T) {
	m := mustParse(t, "INVITE sip:bob@example.com sip/2.0\r\nCall-ID: x\r\n\r\nbody")
	e := m.Edit()
	e.Set(FieldMaxForwards, "70")
	e.Prepend(FieldVia, "SIP/2.0/UDP h")
	e.SetRequestURI("sip:n")
	want := "INVITE sip:n SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nCall-ID: x\r\nMax-Forwards: 70\r\nContent-Length: 4\r\n\r\nbody"
	if got := string(e.AppendTo(nil)); got != want {
		t.Errorf("got\n%s", got)
	}
	m = mustParse(t, "INVITE sip:n SIP/2.0\r\n\r\n")
	e = m.Edit()
	e.Add("X", "y")
	if got := string(e.AppendTo(nil)); got != "INVITE sip:n SIP/2.0\r\nX: y\r\nContent-Length: 0\r\n\r\n" {
		t.Errorf("got\n%s", got)
	}
}

func TestEditResponse(t *testing.T) {
	m := mustParse(t, "sip/2.0 302 Moved\r\nVia: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\nl: 0\r\n\r\n")
	e := m.Edit()
	e.RemoveFirst(FieldVia)
	e.SetStatus(480, "")
	e.SetRequestURI("sip:x")
	if got := string(e.AppendTo(nil)); got != "SIP/2.0 480 Temporarily Unavailable\r\nVia: SIP/2.0/UDP b\r\nl: 0\r\n\r\n" {
		t.Errorf("got\n%s", got)
	}
}

// A folded Content-Length is brought onto one line, and nothing else is touched; what an edit says about it wins.
func TestEditUnfoldsContentLength(t *testing.T) {
	const before, after = "MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nSubject: a\r\n b\r\n", "X: y\r\n\r\nhi"
	for _, tt := range []struct {
		name, line, want string
		edit             func(*Edit)
	}{
		{"plain", "Content-Length \t:  02 \t\r\n", "Content-Length \t:  02 \t\r\n", func(*Edit) {}},
		{"in front", "Content-Length:\r\n 2\r\n", "Content-Length: 2\r\n", func(*Edit) {}},
		{"behind", "l : 2\r\n \r\n\t\r\n", "l: 2\r\n", func(*Edit) {}},
		{"removed", "l:\r\n 2\r\n", "", func(e *Edit) { e.RemoveAll("Content-Length"); e.Prepend(FieldVia, "SIP/2.0/UDP b") }},
		{"set", "l:\r\n 2\r\n", "l:\r\n 3\r\n", func(e *Edit) { e.Set(FieldContentLength, "3") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := Parse(before + tt.line + after)
			if err != nil {
				t.Fatal(err)
			}
			e := m.Edit()
			tt.edit(&e)
			for range 2 {
				got := string(e.AppendTo(nil))
				want := before + tt.want + after
				if tt.want == "" {
					want = strings.Replace(before, "Via", "Via: SIP/2.0/UDP b\r\nVia", 1) + "X: y\r\nContent-Length: 2\r\n\r\nhi"
				}
				if got != want {
					t.Errorf("got\n%q, want\n%q", got, want)
				}
			}
		})
	}
}

// TestTextsInParts: a text in parts is as one text, however long, and control characters in it become spaces.
func TestTextsInParts(t *testing.T) {
	m := mustParse(t, request("Record-Route: <sip:a>, <sip:b>\r\n"))
	for _, long := range []string{"", strings.Repeat("x", 300), strings.Repeat("y", 3000)} {
		e, whole := m.Edit(), m.Edit()
		via := []byte("SIP/2.0/TLS p;branch=z9hG4bK" + long)
		e.PrependBytes(FieldVia, via)
		via[0] = 'x'
		e.SetRequestURI("sip:", long, "\n@h")
		e.Prepend(FieldRecordRoute, "<", "sip:p;x=", long, "\r;lr", ">")
		e.Append(FieldPath, "<", "sip:q", ">")
		e.ReplaceValue(FieldRecordRoute, 1, "<sip:", long, "c>")
		e.SetInt(FieldMaxForwards, 7)
		e.SetInt(FieldMaxBreadth, 600)
		e.Set(FieldMaxBreadth, "6", "1")
		e.Add("X-New", "a\x00", long)

		whole.Prepend(FieldVia, "SIP/2.0/TLS p;branch=z9hG4bK"+long)
		whole.SetRequestURI("sip:" + long + " @h")
		whole.Prepend(FieldRecordRoute, "<sip:p;x="+long+" ;lr>")
		whole.Append(FieldPath, "<sip:q>")
		whole.ReplaceValue(FieldRecordRoute, 1, "<sip:"+long+"c>")
		whole.Set(FieldMaxForwards, "7")
		whole.Set(FieldMaxBreadth, "61")
		whole.Add("X-New", "a "+long)
		got, want := string(e.AppendTo(nil)), string(whole.AppendTo(nil))
		if got != want {
			t.Errorf("%q\nwant\n%q", got, want)
		}
		for _, part := range []string{
			"OPTIONS sip:" + long + " @h SIP/2.0\r\nVia: SIP/2.0/TLS p;branch=z9hG4bK" + long + "\r\nVia: SIP/2.0/UDP host",
			"\r\nRecord-Route: <sip:p;x=" + long + " ;lr>\r\nRecord-Route: <sip:a>, <sip:" + long + "c>\r\n", "\r\nPath: <sip:q>\r\n",
			"\r\nMax-Forwards: 7\r\n", "\r\nMax-Breadth: 61\r\nX-New: a " + long + "\r\n\r\n",
		} {
			if !strings.Contains(got, part) {
				t.Errorf("%q is not in %q", part, got)
			}
		}
	}
}
