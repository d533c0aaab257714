package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// drainCommand has a proxy take nothing new and stop.
type drainCommand struct {
	operator
	NoWait bool `help:"Do not wait until it has stopped."`
}

// Help is shown by `tandem drain --help`.
func (*drainCommand) Help() string {
	return `As SIGTERM does: no new transactions are taken, those that there are come to their end or timers.drain passes, peers get closure alerts, and the process ends.

Example:

  tandem drain`
}

// drainLook is how often it is looked how far a drain has come.
const drainLook = 200 * time.Millisecond

// Run begins the drain and waits for its end, when nobody answers any more.
func (c *drainCommand) Run() error {
	client, ctx, stop, err := c.client()
	if err != nil {
		return err
	}
	defer stop()
	body, err := client.Post(ctx, "/v1/drain", "")
	if err != nil {
		return c.plainly(err)
	}
	var st api.Status
	if err := c.print(body, &st, func() { fmt.Printf("draining: %s\n", count(st.Transactions, "transaction")) }); err != nil || c.NoWait {
		return err
	}
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return errors.New("drain: it goes on, and nobody waits for it")
		case <-tick.C:
		}
		if _, _, err := client.Get(ctx, "/v1/status", nil); errors.Is(err, api.ErrUnreachable) && ctx.Err() == nil {
			if !c.JSON {
				fmt.Println("stopped")
			}
			return nil
		}
	}
}

// reloadCommand has a proxy read its configuration again.
type reloadCommand struct{ operator }

// Help is shown by `tandem reload --help`.
func (*reloadCommand) Help() string {
	return `What is wrong with the configuration is printed, with the file, the line and the key, and nothing has changed then.

Example:

  tandem reload`
}

// Run has the configuration put into force.
func (c *reloadCommand) Run() error {
	client, ctx, stop, err := c.client()
	if err != nil {
		return err
	}
	defer stop()
	body, err := client.Post(ctx, "/v1/reload", "")
	if err != nil {
		return c.plainly(err)
	}
	var st api.Status
	return c.print(body, &st, func() {
		fmt.Printf("%s is in force\n", st.Config.File)
		for _, w := range st.Config.Warnings {
			fmt.Println("warning:", w)
		}
	})
}
