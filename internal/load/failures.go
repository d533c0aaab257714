package load

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

// How many failures are shown in full: of all, of one reason, and how much of each.
const (
	shownFailures  = 10
	shownPerReason = 2
	shownBytes     = 4 << 10
)

// failures counts why calls failed, and keeps the first ones in words.
type failures struct {
	seen  map[string]int
	shown []string
}

// note counts one; text is called when it is one of those that are shown.
func (f *failures) note(reason string, text func() string) {
	f.seen[reason]++
	if f.seen[reason] > shownPerReason || len(f.shown) >= shownFailures {
		return
	}
	line := reason
	if more := text(); more != "" {
		line += more
	}
	f.shown = append(f.shown, line)
}

// ranked returns the reasons, the most frequent first.
func ranked(reasons map[string]int) []string {
	var names []string
	for name := range reasons {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := reasons[b] - reasons[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return names
}

// fault is what is wrong with a message: a reason from a small set, and what was seen.
type fault struct {
	reason string
	detail string
}

// faulty makes a fault.
func faulty(reason, format string, args ...any) *fault {
	return &fault{reason, fmt.Sprintf(format, args...)}
}

// fail gives a call up. Only the first thing that goes wrong with it counts.
func (e *engine) fail(l *leg, m *sip.Message, f *fault, now instant) {
	c := l.call
	if c.over {
		return
	}
	c.tally.failed++
	c.tally.lastBad = max(c.tally.lastBad, c.due)
	c.tally.reasons[f.reason]++
	e.failures.note(f.reason, func() string {
		text := fmt.Sprintf(", in call %s, seen by the %s", c.id, sideNames[l.side])
		if f.detail != "" {
			text += ": " + f.detail
		}
		return text + quoted(m)
	})
	e.over(c, now)
}

// stray notes a message that belongs to no call.
func (e *engine) stray(m *sip.Message, reason string) {
	e.failures.note(reason, func() string { return quoted(m) })
}

// quoted is a message as it is shown: each line moved to the right, no more than so many bytes, and no credentials.
func quoted(m *sip.Message) string {
	if m == nil {
		return ""
	}
	return quotedText(m.Raw())
}

func quotedText(text string) string {
	if len(text) > shownBytes {
		text = text[:shownBytes] + "..."
	}
	var b strings.Builder
	for line := range strings.Lines(strings.TrimRight(text, "\r\n")) {
		name, _, _ := strings.Cut(line, ":")
		if f := sip.FieldOf(strings.TrimSpace(name)); f == sip.FieldAuthorization || f == sip.FieldProxyAuthorization {
			line = name + ": (not shown)"
		}
		b.WriteString("\n    " + printable(strings.TrimRight(line, "\r\n")))
	}
	return b.String()
}

// printable replaces what a terminal would obey.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, line)
}
