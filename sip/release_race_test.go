//go:build race

package sip

import (
	"strings"
	"testing"
)

func TestUseAfterRelease(t *testing.T) {
	for name, use := range map[string]func(m *Message){
		"method": func(m *Message) { m.CSeq() },
		"value":  func(m *Message) { m.Value(FieldSubject) },
		"header": func(m *Message) { m.Header("X-Any") },
		"body":   func(m *Message) { m.Body() },
		"uri":    func(m *Message) { m.URI() },
		"via":    func(m *Message) { m.TopVia() },
		"from":   func(m *Message) { m.From() },
		"to":     func(m *Message) { m.To() },
		"edit":   func(m *Message) { e := m.Edit(); e.AppendTo(nil) },
		"lines": func(m *Message) {
			for range m.Lines() {
			}
		},
		"values": func(m *Message) {
			for range m.Values(FieldPath) {
			}
		},
		"answer": func(m *Message) { AppendResponse(nil, m, 200, "", "") },
	} {
		t.Run(name, func(t *testing.T) {
			m := mustParse(t, invite)
			if m.Validate() != nil {
				t.Fatal("not valid")
			}
			m.Release()
			defer func() {
				if recover() == nil {
					t.Error("went on")
				}
			}()
			use(m)
		})
	}
}

// TestStringsAfterRelease: what somebody kept of the bytes that a message took with it is seen to be spoiled.
func TestStringsAfterRelease(t *testing.T) {
	m, err := ParseBytes([]byte(invite))
	if err != nil {
		t.Fatal(err)
	}
	id := m.CallID()
	m.Release()
	if strings.Trim(id, "!") != "" {
		t.Errorf("still %q", id)
	}
}
