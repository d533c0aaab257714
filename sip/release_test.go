package sip

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// dump is all that the accessors of a message say.
func dump(m *Message, err error) string {
	if m == nil {
		return fmt.Sprint(err)
	}
	var b strings.Builder
	valid := m.Validate()
	fmt.Fprintf(&b, "%v %v %q %q %d %q %q %q\n", err, valid, m.Method(), m.RequestURI(), m.StatusCode(), m.Reason(), m.Body(), m.CallID())
	for name, value := range m.Lines() {
		fmt.Fprintf(&b, "%q %q\n", name, value)
	}
	for f := Field(0); f < numFields; f++ {
		fmt.Fprintf(&b, "%v %d", f, m.Count(f))
		for v := range m.Values(f) {
			fmt.Fprintf(&b, " %q", v)
		}
	}
	uri, uriErr := m.URI()
	via, viaErr := m.TopVia()
	from, fromErr := m.From()
	to, toErr := m.To()
	cseq, cseqErr := m.CSeq()
	fmt.Fprintf(&b, "\n%+v %v\n%+v %v\n%+v %v\n%+v %v\n%+v %v\n", uri, uriErr, via, viaErr, from, fromErr, to, toErr, cseq, cseqErr)
	b.Write(AppendResponse(nil, m, 200, "", "tag"))
	return b.String()
}

// TestReleasedLeavesNothing: whatever a message held before it was released, the next one in its memory is as if
// it had memory of its own.
func TestReleasedLeavesNothing(t *testing.T) {
	all := readCorpus(t, "testdata/rfc4475")
	for name, raw := range readCorpus(t, "../framing/testdata/own-attacks") {
		all["own-"+name] = raw
	}
	all["invite"], all["long"] = invite, request(strings.Repeat("P-X: y\r\nRoute: <sip:a>\r\n", 100))
	clean := make(map[string]string)
	for name, raw := range all {
		clean[name] = dump(Parse(raw)) // never released
	}
	for before, dirt := range all {
		for name, raw := range all {
			if len(dirt)+len(raw) > 10000 {
				continue
			}
			m, err := Parse(dirt)
			dump(m, err)
			if m != nil {
				m.SetReceived(netip.MustParseAddr("192.0.2.77"), 40000)
				m.SetKeep(30)
			}
			m.Release()
			m, err = Parse(raw)
			if got := dump(m, err); got != clean[name] {
				t.Fatalf("%s behind %s:\n%s\nwant\n%s", name, before, got, clean[name])
			}
			m.Release()
		}
	}
}

func TestReleaseKeepsStrings(t *testing.T) {
	m := mustParse(t, invite)
	via, err := m.TopVia()
	if err != nil {
		t.Fatal(err)
	}
	branch, id := via.Branch, m.CallID()
	m.Release()
	mustParse(t, request(""))
	if branch != "z9hG4bKnashds8kj2h3kj4h" || id != "a84b4c76e66710@pc33.atlanta.example.com" {
		t.Errorf("%q %q", branch, id)
	}
}

func TestReleaseTwice(t *testing.T) {
	defer func() {
		if p := recover(); (p != nil) != poisoning {
			t.Errorf("%v", p)
		}
	}()
	m := mustParse(t, invite)
	m.Release()
	m.Release()
	if a, b := mustParse(t, invite), mustParse(t, invite); a == b {
		t.Error("two messages in the same memory")
	}
}
