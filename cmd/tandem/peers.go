package main

import (
	"fmt"
	"strconv"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// peersCommand lists the configured peers.
type peersCommand struct {
	operator
	page
}

// Help is shown by `tandem peers --help`.
func (*peersCommand) Help() string {
	return `REUSES-OURS: the peer sends requests over connections that we dialed. WE-REUSE: there are rows of connections that it dialed. For each peer with which something was the matter since it was last connected, the cause and what to do about it stand below.

Example:

  tandem peers --where status=failing`
}

// Run prints a page of them, and what is the matter with any.
func (c *peersCommand) Run() error {
	var failing []api.Peer
	err := listing(&c.operator, &c.page, "/v1/peers", "NAME STATUS CONNECTIONS TRANSACTIONS REUSES-OURS WE-REUSE DAYS-LEFT OWN-DAYS-LEFT IDLE", func(x *api.Peer) []string {
		if x.Status == "failing" {
			failing = append(failing, *x)
		}
		return []string{
			x.Name, x.Status, strconv.Itoa(x.Connections), strconv.Itoa(x.Transactions), yes(x.ReusesOurs), yes(x.WeReuse),
			days(x.DaysLeft), days(x.OwnDaysLeft), ago(x.LastUsed),
		}
	})
	for _, p := range failing {
		fmt.Printf("\n%s, %s ago: %s\n", plain(p.Name), ago(&p.Trouble.At), whole(p.Trouble.Cause))
		if p.Trouble.Mend != "" {
			fmt.Printf("  -> %s\n", whole(p.Trouble.Mend))
		}
	}
	return err
}
