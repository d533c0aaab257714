package sip

import (
	"fmt"
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

// TestParseBytesCopies: the bytes that were parsed belong to the caller again.
func TestParseBytesCopies(t *testing.T) {
	b := []byte(invite)
	m, err := ParseBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	want := mustParse(t, invite)
	if m.Raw() != want.Raw() || dump(m, nil) != dump(want, nil) {
		t.Errorf("%q", m.Raw())
	}
}

// TestReleaseTakesBytes: the bytes of one message go to the next, unless they are many.
func TestReleaseTakesBytes(t *testing.T) {
	for name, c := range map[string]struct {
		size int
		most float64
	}{"usual": {1000, 0}, "large": {maxRoom, 1}} {
		t.Run(name, func(t *testing.T) {
			b := []byte(request("Subject: " + strings.Repeat("x", c.size) + "\r\n"))
			n := testing.AllocsPerRun(100, func() {
				m, err := ParseBytes(b)
				if err != nil {
					t.Fatal(err)
				}
				m.Release()
			})
			if !poisoning && (n > c.most || n < c.most) {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// TestHold: the memory goes with the last one who uses a message.
func TestHold(t *testing.T) {
	m, err := ParseBytes([]byte(invite))
	if err != nil {
		t.Fatal(err)
	}
	id := strings.Clone(m.CallID())
	m.Hold()
	m.Hold()
	m.Release()
	m.Release()
	other, err := ParseBytes([]byte(request("")))
	if err != nil {
		t.Fatal(err)
	}
	if m == other || m.CallID() != id || other.CallID() == id {
		t.Errorf("%q %q", m.CallID(), other.CallID())
	}
	m.Release()
	if !m.free {
		t.Error("still held")
	}
	var none *Message
	none.Hold()
	none.Release()
}
