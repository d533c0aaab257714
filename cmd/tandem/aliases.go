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
	return listing(&c.operator, &c.page, "/v1/aliases", "LOCAL-DOMAIN IP PORT TRANSPORT IDENTITIES CONNECTION DIRECTION MADE-BY LAST-USED", func(x *api.Alias) []string {
		return []string{
			x.LocalDomain, x.IP, strconv.Itoa(int(x.Port)), x.Transport, strings.Join(x.Identities, ","), connectionID(x.Connection),
			x.Direction, x.MadeBy, ago(&x.LastUsed),
		}
	})
}
