package main

import (
	"strconv"
	"strings"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// aliasesCommand lists the rows of the alias tables.
type aliasesCommand struct {
	operator
	page
}

// Help is shown by `tandem aliases --help`.
func (*aliasesCommand) Help() string {
	return `Example:

  tandem aliases --where local_domain=example.com`
}

// Run prints a page of them.
func (c *aliasesCommand) Run() error {
	l := list[api.Alias]{path: "/v1/aliases", header: "LOCAL-DOMAIN IP PORT TRANSPORT IDENTITIES CONNECTION DIRECTION MADE-BY LAST-USED", row: func(x *api.Alias) []string {
		return []string{
			x.LocalDomain, x.IP, strconv.Itoa(int(x.Port)), x.Transport, strings.Join(x.Identities, ","), connectionID(x.Connection),
			x.Direction, x.MadeBy, ago(&x.LastUsed),
		}
	}}
	return l.run(&c.operator, &c.page)
}
