package main

import (
	"fmt"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// transactionsCommand lists the transactions that are alive.
type transactionsCommand struct {
	operator
	page
}

// Help is shown by `tandem transactions --help`.
func (*transactionsCommand) Help() string {
	return `Example:

  tandem transactions --where kind=server-invite --where state=proceeding`
}

// Run prints a page of them.
func (c *transactionsCommand) Run() error {
	l := list[api.Transaction]{path: "/v1/transactions", header: "KIND STATE METHOD CONNECTION PEER TIMER CALL-ID BRANCH", row: func(x *api.Transaction) []string {
		timer := ""
		if x.Timer != "" {
			timer = fmt.Sprintf("%s in %.1fs", x.Timer, x.FiresIn)
		}
		return []string{x.Kind, x.State, x.Method, connectionID(x.Connection), x.Peer, timer, x.CallID, x.Branch}
	}}
	return l.run(&c.operator, &c.page)
}
