package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/tandem-sip/tandem/internal/lab"
	"github.com/tandem-sip/tandem/sipaddr"
)

// labCommand shows RFC 5923's Figure 4 at work.
type labCommand struct {
	Calls     int     `default:"50" placeholder:"N" help:"Calls each way (${default})."`
	Rate      float64 `default:"50" placeholder:"N" help:"Calls that begin a second, each way (${default})."`
	Transport string  `default:"tls" enum:"tls,tls-sctp,sctp" placeholder:"NAME" help:"What the proxies speak to each other: tls, tls-sctp, or sctp, over which each has an association of its own to the other (${default})."`
	Once      bool    `help:"Stop after the calls. Without it the proxies stay up and the alias tables are shown as they change."`
	JSON      bool    `name:"json" help:"Print the result as one JSON object."`
	Verbose   bool    `short:"v" help:"Show what the proxies log."`
}

// Help is shown by `tandem lab --help`.
func (*labCommand) Help() string {
	return `Makes a certification authority, a DNS zone and two proxies, p1.example.com and p2.example.net, on loopback addresses; user agents behind each call those of the other. The first call forward makes the one connection between the proxies, and everything else reuses it. The exit code is 1 when a call failed.

Examples:

  tandem lab
  tandem lab --transport tls-sctp
  tandem lab --calls 20000 --rate 500 --once --json`
}

// Validate is called by the parser.
func (c *labCommand) Validate() error {
	if c.Calls < 1 || c.Calls > 10_000_000 {
		return errors.New("--calls is a number from 1 to 10000000")
	}
	if !(c.Rate > 0 && c.Rate <= 100_000) {
		return errors.New("--rate is a number above 0, and 100000 at most")
	}
	return nil
}

// Run places the calls and prints what became of them.
func (c *labCommand) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	level := slog.LevelError
	if c.Verbose {
		level = slog.LevelDebug
	}
	spoken, _ := sipaddr.ParseTransport(c.Transport)
	opts := lab.Options{
		Transport: spoken, Calls: c.Calls, Rate: c.Rate, Once: c.Once, Version: version(),
		Terminal: term.IsTerminal(int(os.Stderr.Fd())) && !c.Verbose,
		Logger:   slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	}
	if !c.JSON || opts.Terminal {
		opts.Progress = os.Stderr
	}
	_, err := lab.Run(ctx, opts, os.Stdout, c.JSON)
	return err
}
