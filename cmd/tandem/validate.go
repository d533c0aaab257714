package main

import (
	"fmt"
	"os"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/node"
)

// validateCommand checks a configuration and starts nothing.
type validateCommand struct {
	Config string `required:"" placeholder:"FILE" help:"The configuration to check."`
}

// Help is shown by `tandem validate --help`.
func (*validateCommand) Help() string {
	return `All that is wrong is named with its file, line and key, and the exit code is 2 then.

Example:

  tandem validate --config /etc/tandem/tandem.yaml`
}

// Run checks the file as serve would.
func (c *validateCommand) Run() error {
	cfg, err := config.Load(c.Config)
	if err != nil {
		return err
	}
	if _, err := node.New(cfg, node.Options{}); err != nil {
		return &settingsError{cfg.File, err}
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	fmt.Printf("%s: good: %s, %s, %s, %s\n", cfg.File, count(len(cfg.Listen), "listener"),
		count(len(cfg.Domains), "domain"), count(len(cfg.Peers), "peer"), count(len(cfg.Routes), "route"))
	return nil
}

func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
