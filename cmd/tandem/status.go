package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// statusCommand says how a proxy does.
type statusCommand struct {
	operator
	Ready bool `help:"Print nothing but what is wrong; the exit code is 1 unless requests are taken. For probes."`
}

// Help is shown by `tandem status --help`.
func (*statusCommand) Help() string {
	return `Examples:

  tandem status
  tandem status --ready`
}

// Run asks and prints.
func (c *statusCommand) Run() error {
	client, ctx, stop, err := c.client()
	if err != nil {
		return err
	}
	defer stop()
	body, _, err := client.Get(ctx, "/v1/status", nil)
	if err != nil {
		return c.plainly(err)
	}
	var st api.Status
	if !c.Ready {
		return c.print(body, &st, func() { showStatus(&st) })
	}
	if err := json.Unmarshal(body, &st); err != nil {
		return err
	}
	if st.State != "serving" {
		return errors.New("the proxy is " + st.State)
	}
	return nil
}

// showStatus prints what a person wants to know first.
func showStatus(st *api.Status) {
	fmt.Printf("tandem %s, %s for %s\n", plain(st.Version), plain(st.State), time.Since(st.Started).Round(time.Second))
	fmt.Printf("%s, in force since %s\n", whole(st.Config.File), st.Config.Loaded.Local().Format(time.DateTime))
	for _, w := range st.Config.Warnings {
		fmt.Println("warning:", whole(w))
	}
	fmt.Printf("%s, %s, %s\n\n", count(st.Connections, "connection"), count(st.Transactions, "transaction"), count(st.AliasRows, "alias row"))
	rows := make([][]string, len(st.Domains))
	for i, d := range st.Domains {
		rows[i] = []string{d.Name, fmt.Sprint(d.AliasRows), days(d.DaysLeft), strings.Join(d.Names, ",")}
	}
	table("DOMAIN ROWS DAYS-LEFT CERTIFICATE-NAMES", rows)
}
