//go:build !race

package sip

import (
	"net/netip"
	"strings"
	"testing"
)

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
	parses := map[string]func(string) (*Message, error){
		"string": Parse,
		"bytes":  func(s string) (*Message, error) { return ParseBytes([]byte(s)) },
	}
	for kind, parse := range parses {
		for before, dirt := range all {
			for name, raw := range all {
				if len(dirt)+len(raw) > 10000 {
					continue
				}
				m, err := parse(dirt)
				dump(m, err)
				if m != nil {
					m.SetReceived(netip.MustParseAddr("192.0.2.77"), 40000)
					m.SetKeep(30)
				}
				m.Release()
				m, err = parse(raw)
				if got := dump(m, err); got != clean[name] {
					t.Fatalf("%s: %s behind %s:\n%s\nwant\n%s", kind, name, before, got, clean[name])
				}
				m.Release()
			}
		}
	}
}
