package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// connectionsCommand lists connections, and acts on one.
type connectionsCommand struct {
	List   listConnections  `cmd:"" default:"withargs" help:"List them (what is done without a word)."`
	Drain  drainConnection  `cmd:"" help:"Close one in order, when its transactions have ended."`
	Close  closeConnection  `cmd:"" help:"Close one now."`
	Forget forgetConnection `cmd:"" help:"Have no request find one any more."`
}

// Help is shown by `tandem connections --help`.
func (*connectionsCommand) Help() string {
	return `Examples:

  tandem connections --where state=open --sort -last_used
  tandem connections drain 7`
}

type listConnections struct {
	operator
	page
}

// Run prints a page of them.
func (c *listConnections) Run() error {
	l := list[api.Connection]{path: "/v1/connections", header: "ID STATE DIRECTION TRANSPORT LOCAL-DOMAIN SOURCE PEER IDENTITIES TRANSACTIONS ROWS IN OUT IDLE DAYS-LEFT", row: func(x *api.Connection) []string {
		left := ""
		if x.Expiry != nil {
			left = strconv.Itoa(int(x.Expiry.Sub(x.LastUsed).Hours() / 24))
		}
		return []string{
			connectionID(x.ID), x.State, x.Direction, carrier(x), x.LocalDomain, x.Source, x.Peer, strings.Join(x.Identities, ","),
			strconv.Itoa(x.Transactions), strconv.Itoa(x.AliasRows), strconv.FormatUint(x.BytesIn, 10), strconv.FormatUint(x.BytesOut, 10),
			ago(&x.LastUsed), left,
		}
	}}
	return l.run(&c.operator, &c.page)
}

// carrier is the transport of a connection and, behind it, who speaks SCTP.
func carrier(x *api.Connection) string {
	if x.SCTP == "" {
		return x.Transport
	}
	return x.Transport + "/" + x.SCTP
}

// oneConnection is what is done to one.
type oneConnection struct {
	operator
	ID uint64 `arg:"" complete:"connection" help:"Its number, as listed."`
}

type (
	drainConnection  struct{ oneConnection }
	closeConnection  struct{ oneConnection }
	forgetConnection struct{ oneConnection }
)

// Run begins to close it.
func (c *drainConnection) Run() error { return c.do("drain") }

// Run closes it.
func (c *closeConnection) Run() error { return c.do("close") }

// Run has it forgotten.
func (c *forgetConnection) Run() error { return c.do("forget") }

// do looks at the connection and does something to it, unless it changes meanwhile.
func (c *oneConnection) do(verb string) error {
	client, ctx, stop, err := c.client()
	if err != nil {
		return err
	}
	defer stop()
	path := fmt.Sprintf("/v1/connections/%d", c.ID)
	_, etag, err := client.Get(ctx, path, nil)
	if err != nil {
		return c.plainly(err)
	}
	body, err := client.Post(ctx, path+"/"+verb, etag)
	if err != nil {
		return c.plainly(err)
	}
	var done api.Done
	return c.print(body, &done, func() { fmt.Printf("connection %d: %s\n", c.ID, done.Result) })
}
