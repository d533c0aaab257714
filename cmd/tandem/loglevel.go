package main

import (
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// logLevelCommand shows or changes how much a proxy logs.
type logLevelCommand struct {
	operator
	Level string        `arg:"" optional:"" help:"debug, info, warn or error; configured: what the configuration says again. Without it the level is shown."`
	For   time.Duration `default:"10m" placeholder:"TIME" help:"How long (${default}; 24h at most). Then it is that of the configuration again."`
}

// Help is shown by `tandem log-level --help`.
func (*logLevelCommand) Help() string {
	return `At debug there are lines for each message; the time limit sees to it that nobody forgets them.

Example:

  tandem log-level debug --for 5m`
}

// Run asks for the level.
func (c *logLevelCommand) Run() error {
	var l api.Log
	show := func() {
		if l.Until == nil {
			fmt.Printf("%s, as configured\n", l.Level)
			return
		}
		fmt.Printf("%s for %s, then %s\n", l.Level, time.Until(*l.Until).Round(time.Second), l.Configured)
	}
	if c.Level == "" {
		return c.get("/v1/log", nil, &l, show)
	}
	client, ctx, stop, err := c.client()
	if err != nil {
		return err
	}
	defer stop()
	q := url.Values{"level": {c.Level}, "for_seconds": {strconv.Itoa(int(c.For.Round(time.Second) / time.Second))}}
	body, err := client.Post(ctx, "/v1/log?"+q.Encode(), "")
	if err != nil {
		return c.plainly(err)
	}
	return c.print(body, &l, show)
}
