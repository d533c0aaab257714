package main

import (
	"fmt"
	"io"
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
	l := list[api.Peer]{path: "/v1/peers", header: "NAME STATUS CONNECTIONS TRANSACTIONS REUSES-OURS WE-REUSE DAYS-LEFT OWN-DAYS-LEFT IDLE", row: func(x *api.Peer) []string {
		return []string{
			x.Name, x.Status, strconv.Itoa(x.Connections), strconv.Itoa(x.Transactions), yes(x.ReusesOurs), yes(x.WeReuse),
			days(x.DaysLeft), days(x.OwnDaysLeft), ago(x.LastUsed),
		}
	}, after: failing}
	return l.run(&c.operator, &c.page)
}

// failing says of each peer that fails why, and what mends it.
func failing(w io.Writer, peers []api.Peer) {
	for _, p := range peers {
		if p.Status != "failing" {
			continue
		}
		_, _ = fmt.Fprintf(w, "\n%s, %s ago: %s\n", plain(p.Name), ago(&p.Trouble.At), whole(p.Trouble.Cause))
		if p.Trouble.Mend != "" {
			_, _ = fmt.Fprintf(w, "  -> %s\n", whole(p.Trouble.Mend))
		}
	}
}
