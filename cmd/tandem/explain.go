package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// explainCommand says where a request would go, and why.
type explainCommand struct {
	operator
	URI  string `arg:"" name:"uri" help:"The next hop, such as sips:example.net."`
	From string `placeholder:"DOMAIN" complete:"domain" help:"The served domain on whose behalf. Default: the first one."`
}

// Help is shown by `tandem explain --help`.
func (*explainCommand) Help() string {
	return `Shows what DNS answers, the resolved addresses in the order in which they are tried, and for each the alias rows that were considered with the verdict. A request goes by the same look-ups and tables.

Example:

  tandem explain sips:bob@example.net --from example.com`
}

// Run asks and prints.
func (c *explainCommand) Run() error {
	query := url.Values{"uri": {c.URI}}
	if c.From != "" {
		query.Set("from", c.From)
	}
	var x api.Explanation
	return c.get("/v1/explain", query, &x, func() { showExplanation(&x) })
}

// showExplanation prints an explanation, the answer last.
func showExplanation(x *api.Explanation) {
	on := ""
	if x.LocalDomain != "" {
		on = " on behalf of " + x.LocalDomain
	}
	fmt.Printf("%s%s\n", plain(x.URI), on)
	if len(x.Steps) > 0 {
		fmt.Println("\nDNS")
		rows := make([][]string, len(x.Steps))
		for i, s := range x.Steps {
			from := s.From
			if s.Cached {
				from += " (known)"
			}
			rows[i] = []string{s.Type, s.Question, strconv.Itoa(int(s.TTL)) + "s", from, s.Answer}
		}
		table("TYPE QUESTION TTL FROM ANSWER", rows)
	}
	for _, w := range x.Ways {
		must := ""
		if w.Reference != "" {
			must = ", must prove to be " + w.Reference
			if w.Basis != "uri" {
				must += " (" + w.Basis + ")"
			}
		}
		fmt.Printf("\n%s:%s port %d%s: %s (%s)\n", w.Transport, w.IP, w.Port, must, w.Action, w.Reason)
		if w.Failure != "" {
			fmt.Printf("  %s\n", whole(w.Failure))
		}
		if len(w.Considered) == 0 {
			continue
		}
		rows := make([][]string, len(w.Considered))
		for i, v := range w.Considered {
			rows[i] = []string{v.Reason, connectionID(v.Row.Connection), v.Row.Direction, v.Row.LocalDomain, strings.Join(v.Row.Identities, ",")}
		}
		table("VERDICT CONNECTION DIRECTION LOCAL-DOMAIN IDENTITIES", rows)
	}
	fmt.Printf("\n%s.\n", whole(x.Would))
}

// whole is a sentence that may have a peer's text in it, without what a terminal would obey.
func whole(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
