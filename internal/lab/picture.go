package lab

import (
	"fmt"
	"io"
	"strings"
)

// WriteText draws what became of the lab: the two proxies with what is between them, and both alias
// tables in the form of RFC 5923, Section 5.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	r.figure(&b)
	for i, d := range []Direction{r.Forward, r.Backward} {
		name := [2]string{"forward ", "backward"}[i]
		fmt.Fprintf(&b, "  %s  %d calls, %d failed, %d dialed, %d reused; INVITE to 180: %.1f ms (median), %.1f ms (p99), %.1f ms (longest)\n",
			name, d.Calls, d.Failed, d.Dialed, d.Reused, d.Ringing.P50, d.Ringing.P99, d.Ringing.Max)
	}
	if r.SCTP != "" {
		fmt.Fprintf(&b, "  SCTP is spoken by %s; associations: %d\n", speakers[r.SCTP], *r.Associations)
	}
	fmt.Fprintf(&b, "  %d TLS %s in %.1f s", r.Handshakes, plural(r.Handshakes, "handshake"), r.Seconds)
	if r.Unexpected > 0 {
		fmt.Fprintf(&b, "; %d unexpected messages, the first: %s", r.Unexpected, r.UnexpectedTexts[0])
	}
	b.WriteString("\n")
	writeTables(&b, r.Aliases)
	_, err := io.WriteString(w, b.String())
	return err
}

// speakers are those who speak SCTP, in words.
var speakers = map[string]string{"kernel": "the kernel", "udp": "the proxies themselves, over UDP", "raw": "the proxies themselves, over IP"}

// figure draws the proxies and what is between them.
func (r *Result) figure(b *strings.Builder) {
	middle := "TLS connections: unknown"
	if r.TLSConnections != nil {
		middle = fmt.Sprintf("%d TLS %s", *r.TLSConnections, plural(*r.TLSConnections, "connection"))
	}
	if r.Associations != nil {
		middle = fmt.Sprintf("%d %s %s", *r.Associations, r.Transport, plural(*r.Associations, "association"))
	}
	p := r.place.sides
	fmt.Fprintf(b, "\n  %-14s      %-16s  %-24s  %16s      %14s\n", "agents of", proxyNames[0], center(middle, 24), proxyNames[1], "agents of")
	fmt.Fprintf(b, "  %-14s UDP  %-16v  %s  %16v  UDP %14s\n\n", domainNames[0], p[0].proxy, "<"+strings.Repeat("=", 22)+">", p[1].proxy, domainNames[1])
}

func center(s string, width int) string {
	return strings.Repeat(" ", max(width-len(s), 0)/2) + s
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// writeTables writes the alias table of each proxy.
func writeTables(b *strings.Builder, rows []Row) {
	const format = "  %-16s %-12s %-12s %-22s %s\n"
	for i, proxy := range proxyNames {
		fmt.Fprintf(b, "\n  The alias table of %s for %s:\n\n", proxy, domainNames[i])
		fmt.Fprintf(b, format, "Destination", "Destination", "Destination", "Destination", "Alias")
		fmt.Fprintf(b, format, "IP Address", "Port", "Transport", "Identity", "Descriptor")
		some := false
		for _, r := range rows {
			if r.Proxy != proxy {
				continue
			}
			some = true
			for j, id := range r.Identities {
				if j == 0 {
					fmt.Fprintf(b, format, r.IP, fmt.Sprint(r.Port), r.Transport, "sip:"+id, fmt.Sprintf("%d, %v", r.Connection, r.Direction))
				} else {
					b.WriteString(strings.TrimRight(fmt.Sprintf(format, "", "", "", "sip:"+id, ""), " \n") + "\n")
				}
			}
		}
		if !some {
			b.WriteString("  (empty)\n")
		}
	}
	b.WriteString("\n")
}
