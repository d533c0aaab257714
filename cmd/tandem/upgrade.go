package main

import (
	"fmt"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// upgradeCommand has a proxy replaced by a new process.
type upgradeCommand struct{ operator }

// Help is shown by `tandem upgrade --help`.
func (*upgradeCommand) Help() string {
	return `As SIGUSR2 does: the program that lies where this one was started from is started, with the same arguments. It takes the listeners over, and the old process ends when what it has begun is done, within timers.drain. When the new one does not come up, the old one goes on.

Example:

  tandem upgrade`
}

// Run returns when the new process serves, or it is known that none does.
func (c *upgradeCommand) Run() error {
	client, ctx, stop, err := c.client()
	if err != nil {
		return err
	}
	defer stop()
	body, err := client.Post(ctx, "/v1/upgrade", "")
	if err != nil {
		return c.plainly(err)
	}
	var done api.Done
	return c.print(body, &done, func() { fmt.Println(done.Result) })
}
