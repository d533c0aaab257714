package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/tandem-sip/tandem/internal/admin"
	"github.com/tandem-sip/tandem/internal/admin/api"
	"github.com/tandem-sip/tandem/internal/manual"
)

// completionCommand prints what has a shell complete the command line.
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is shown by `tandem completion --help`.
func (*completionCommand) Help() string {
	return `Commands, flags, files and fields are completed; so is what a running proxy knows: the numbers of its connections, its domains and its peers, when it answers within a second.

Examples:

  source <(tandem completion bash)
  tandem completion zsh > /usr/local/share/zsh/site-functions/_tandem
  tandem completion fish | source`
}

// Run prints the script.
func (c *completionCommand) Run() error {
	script, _ := manual.Script(c.Shell) // the parser knows the shells
	_, err := fmt.Print(script)
	return err
}

// complete answers a shell that asks what may stand next.
func complete(app *kong.Application, words []string) error {
	return manual.Complete(app, words, known).Print(os.Stdout)
}

// Bounds of what a proxy is asked while somebody waits at a prompt.
const (
	completeTimeout = time.Second
	completeItems   = "1000"
)

// known lists the values that only a running proxy or its API knows.
func known(r manual.Request) []manual.Word {
	noun, _, _ := strings.Cut(r.Path, " ")
	fields, _ := admin.FieldsOf("/v1/" + noun)
	switch r.Kind {
	case "connection":
		return connectionWords(r.Flags)
	case "domain":
		return domainWords(r.Flags)
	case "sort":
		return sortWords(fields)
	case "where":
		return whereWords(r, noun, fields)
	}
	return nil
}

// sortWords are the fields that a list can be sorted by, each both ways.
func sortWords(fields admin.Fields) (words []manual.Word) {
	for _, name := range fields.Sorts {
		words = append(words, manual.Word{Text: name}, manual.Word{Text: "-" + name, Help: "the other way round"})
	}
	return words
}

// whereWords are the fields that a list can be filtered by, or the values that one of them has.
func whereWords(r manual.Request, noun string, fields admin.Fields) (words []manual.Word) {
	field, _, hasField := strings.Cut(r.Word, "=")
	if !hasField {
		for name := range fields.Filters {
			words = append(words, manual.Word{Text: name + "="})
		}
		slices.SortFunc(words, func(a, b manual.Word) int { return strings.Compare(a.Text, b.Text) })
		return words
	}
	values, there := fields.Filters[field]
	if there && values == nil {
		var page api.Page[map[string]any]
		if !asked(r.Flags, "/v1/"+noun, url.Values{"limit": {completeItems}}, &page) {
			return nil
		}
		for _, item := range page.Items {
			switch v := item[field].(type) {
			case nil:
				list, _ := item[strings.TrimSuffix(field, "y")+"ies"].([]any) // identity
				for _, x := range list {
					values = append(values, fmt.Sprint(x))
				}
			default:
				values = append(values, fmt.Sprint(v))
			}
		}
		slices.Sort(values)
		values = slices.Compact(values)
	}
	for _, v := range values {
		if v != "" && !strings.ContainsAny(v, " \t") {
			words = append(words, manual.Word{Text: field + "=" + v})
		}
	}
	return words
}

// connectionWords are the numbers of the connections that stand open.
func connectionWords(flags map[string]string) (words []manual.Word) {
	var page api.Page[api.Connection]
	asked(flags, "/v1/connections", url.Values{"limit": {completeItems}}, &page)
	for i := range page.Items {
		c := &page.Items[i]
		who := c.Peer
		if who == "" {
			who = c.Source
		}
		words = append(words, manual.Word{Text: connectionID(c.ID), Help: plain(fmt.Sprintf("%s %s %s, %s", c.State, c.Direction, c.Transport, who))})
	}
	return words
}

// domainWords are the served domains.
func domainWords(flags map[string]string) (words []manual.Word) {
	var status api.Status
	asked(flags, "/v1/status", nil, &status)
	for _, d := range status.Domains {
		words = append(words, manual.Word{Text: d.Name})
	}
	return words
}

// asked asks the proxy that the flags of the unfinished command line name, or the environment. Whatever goes wrong, there
// is nothing to complete then.
func asked(flags map[string]string, path string, query url.Values, into any) bool {
	var o struct{ operator }
	parser, err := kong.New(&o)
	if err != nil {
		return false
	}
	var args []string
	for _, name := range []string{"admin", "token-file", "ca", "cert", "key"} {
		if value, ok := flags[name]; ok {
			args = append(args, "--"+name+"="+value)
		}
	}
	if _, err := parser.Parse(args); err != nil {
		return false
	}
	client, ctx, stop, err := o.client()
	if err != nil {
		return false
	}
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	body, _, err := client.Get(ctx, path, query)
	return err == nil && json.Unmarshal(body, into) == nil
}
