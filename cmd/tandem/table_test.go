package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestTable: a table is as wide as it has to be, and no wider than it may be.
func TestTable(t *testing.T) {
	rows := func() [][]string {
		return [][]string{
			{"7", "open", "", "203.0.113.250:49152", "sip:partner.example,sip:p1.partner.example", "12"},
			{"12", "draining", "", "203.0.113.7:5061", "", ""},
		}
	}
	const header = "ID STATE PEER SOURCE IDENTITIES BYTES"
	for _, c := range []struct {
		width int
		want  string
	}{
		{0, `
ID  STATE     PEER  SOURCE               IDENTITIES                                  BYTES
 7  open      -     203.0.113.250:49152  sip:partner.example,sip:p1.partner.example     12
12  draining  -     203.0.113.7:5061     -                                               -
`},
		{80, `
ID  STATE     SOURCE               IDENTITIES                              BYTES
 7  open      203.0.113.250:49152  sip:partner.example,sip:p1.partner.ex…     12
12  draining  203.0.113.7:5061     -                                           -
`},
		{58, `
ID  STATE     SOURCE             IDENTITIES          BYTES
 7  open      203.0.113.250:49…  sip:partner.examp…     12
12  draining  203.0.113.7:5061   -                       -
`},
		{50, `
ID  STATE     SOURCE             IDENTITIES
 7  open      203.0.113.250:49…  sip:partner.exam…
12  draining  203.0.113.7:5061   -
(no room for BYTES; --json has everything)
`},
	} {
		var b strings.Builder
		writeTable(&b, c.width, header, rows())
		if got := "\n" + b.String(); got != c.want {
			t.Errorf("at most %d wide:%s", c.width, got)
		}
	}
	var b strings.Builder
	writeTable(&b, 200, header, nil)
	if b.String() != header[:2]+"  STATE  PEER  SOURCE  IDENTITIES  BYTES\n" {
		t.Errorf("without rows:\n%s", &b)
	}
	for width := 1; width < 120; width++ {
		b.Reset()
		writeTable(&b, width, header, rows())
		for line := range strings.Lines(b.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > max(width, 2) && !strings.HasPrefix(line, "(no room") {
				t.Errorf("at most %d wide: a line has %d", width, n)
			}
		}
	}
}
