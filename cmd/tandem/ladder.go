package main

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// ladders draws messages as they come: a column for each party, and an arrow for each message. Each call has columns
// of its own, which stand above its messages when another call's came before.
type ladders struct {
	out     io.Writer
	width   int
	calls   map[string]*ladder
	order   []string // of the calls, the oldest first
	current *ladder
}

// ladder is one call.
type ladder struct {
	callID  string
	parties []party // ourselves is the second
}

const (
	maxLadders = 1000
	maxParties = 8
	timeWidth  = len("15:04:05.000  ")
	narrowest  = 16 // a column
	widest     = 36
)

// ourselves is how the proxy is called in a ladder.
const ourselves = "tandem"

func newLadders(out io.Writer, width int) ladders {
	return ladders{out: out, width: width, calls: make(map[string]*ladder)}
}

// show draws a message.
func (l *ladders) show(m *api.TraceMessage) error {
	c := l.calls[m.CallID]
	if c == nil {
		c = &ladder{callID: m.CallID}
		if len(l.order) == maxLadders {
			delete(l.calls, l.order[0])
			l.order = l.order[1:]
		}
		l.calls[m.CallID] = c
		l.order = append(l.order, m.CallID)
	}
	at, fresh := c.column(partyOf(m), l.most())
	var b strings.Builder
	if c != l.current {
		fmt.Fprintf(&b, "\nCall-ID: %s\n", whole(m.CallID))
	}
	step := l.step(c)
	if c != l.current || fresh {
		b.WriteString(c.head(step))
	}
	l.current = c
	from, to := at, 1
	if m.Direction == "sent" {
		from, to = to, from
	}
	b.WriteString(c.line(m, from, to, step, l.width))
	_, err := io.WriteString(l.out, b.String())
	return err
}

// party is who stands in a column.
type party struct{ name, address string }

// partyOf returns the far end: its name is that of the peer, or what it has proved to be. Of a connection the IP address
// tells parties apart, for the port of who has dialed says nothing.
func partyOf(m *api.TraceMessage) party {
	out := party{m.Peer, m.Remote}
	if out.name == "" && len(m.Identities) > 0 {
		out.name = m.Identities[0]
	}
	if at, err := netip.ParseAddrPort(m.Remote); err == nil && m.Transport != "udp" {
		out.address = m.Transport + " " + at.Addr().String()
	}
	return out
}

// column returns the column of a party, and whether it is new. Those beyond the last share it.
func (c *ladder) column(p party, most int) (at int, fresh bool) {
	if len(c.parties) == 0 {
		c.parties = []party{p, {ourselves, ""}}
		return 0, true
	}
	if at := slices.Index(c.parties, p); at >= 0 {
		return at, false
	}
	if len(c.parties) >= most {
		return most - 1, false
	}
	c.parties = append(c.parties, p)
	return len(c.parties) - 1, true
}

// most is how many columns there is room for.
func (l *ladders) most() int { return min(maxParties, max(3, (l.width-timeWidth)/narrowest)) }

// step is how far apart columns stand.
func (l *ladders) step(c *ladder) int {
	room := l.width - timeWidth - narrowest
	return min(widest, max(narrowest, room/max(3, len(c.parties))))
}

// head is the names of the parties, and where they are.
func (c *ladder) head(step int) string {
	names, addresses := strings.Repeat(" ", timeWidth), strings.Repeat(" ", timeWidth)
	for _, p := range c.parties {
		names += pad(short(whole(p.name), step-2), step)
		addresses += pad(short(whole(p.address), step-2), step)
	}
	text := strings.TrimRight(addresses, " ") + "\n"
	if names = strings.TrimRight(names, " "); names != "" {
		text = names + "\n" + text
	}
	return text
}

// line draws an arrow with what the message is on it, and behind the last column, or below where there is no room, over
// which connection it goes and why.
func (c *ladder) line(m *api.TraceMessage, from, to, step, width int) string {
	left, right := min(from, to), max(from, to)
	var b strings.Builder
	b.WriteString(pad(m.Time.Local().Format("15:04:05.000"), timeWidth))
	for i := range c.parties {
		switch {
		case i == left && i < right:
			b.WriteString("|" + arrow(whatOf(m), (right-left)*step-1, from < to))
		case i > left && i < right:
		default:
			b.WriteString(pad("|", step))
		}
	}
	line := strings.TrimRight(b.String(), " ")
	at := timeWidth + (len(c.parties)-1)*step + 3
	text := whole(why(m))
	if room := width - at; utf8.RuneCountInString(text) <= room {
		return pad(line, at) + text + "\n"
	}
	return line + "\n" + strings.Repeat(" ", timeWidth) + "  " + short(text, max(narrowest, width-timeWidth-2)) + "\n"
}

// whatOf says what a message is.
func whatOf(m *api.TraceMessage) string {
	switch {
	case m.Status != 0:
		return whole(fmt.Sprintf("%d %s", m.Status, m.Reason))
	case m.Method == "":
		return "?"
	case m.RequestURI != "":
		return whole(m.Method + " " + m.RequestURI)
	}
	return whole(m.Method)
}

// arrow is an arrow of so many characters with a text on it.
func arrow(text string, width int, forward bool) string {
	text = short(text, width-4)
	rest := strings.Repeat("-", max(0, width-3-utf8.RuneCountInString(text)))
	if forward {
		return "-" + text + rest + "->"
	}
	return "<-" + text + rest + "-"
}

// pad fills a text up with spaces.
func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// short cuts a text.
func short(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:max(0, width-1)]) + "~"
}
