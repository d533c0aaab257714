package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/node"
)

// serveCommand runs the proxy.
type serveCommand struct {
	Config string `placeholder:"FILE" help:"The configuration. Without it: a development proxy on loopback with a certification authority of its own."`
}

// Help is shown by `tandem serve --help`.
func (*serveCommand) Help() string {
	return `SIGTERM and SIGINT let the transactions that there are come to their end and stop; a second one stops at once. SIGHUP is noted in the log; reloading the configuration is not there yet. Under systemd, readiness is told by sd_notify.

Example:

  tandem serve --config /etc/tandem/tandem.yaml`
}

// errStopped says that transactions were cut off because somebody was in a hurry.
var errStopped = errors.New("serve: stopped at once by a second signal")

// Run serves until a signal ends it.
func (c *serveCommand) Run() error {
	// The signals are taken first, so that none of them can end the process half-way up.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)

	cfg, log, err := c.settings(os.Stderr)
	if err != nil {
		return err
	}
	n, err := node.New(cfg, node.Options{Logger: log, Version: version()})
	if err != nil {
		return &settingsError{cfg.File, err}
	}
	if err := n.Open(); err != nil {
		return err
	}
	for _, l := range n.Listening() {
		log.Info("listening", "on", l.String())
	}
	log.Info("serving", "version", version(), "config", cfg.File)
	notify("READY=1")
	return serve(n, cfg, log, signals)
}

// settings reads the configuration and makes the log that it asks for.
func (c *serveCommand) settings(stderr io.Writer) (*config.Config, *slog.Logger, error) {
	if c.Config != "" {
		cfg, err := config.Load(c.Config)
		if err != nil {
			return nil, nil, err
		}
		log := newLogger(cfg.Log, stderr)
		for _, w := range cfg.Warnings {
			log.Warn("configuration", "err", w.String())
		}
		return cfg, log, nil
	}
	cfg, dir, err := developmentConfig()
	if err != nil {
		return nil, nil, err
	}
	log := newLogger(cfg.Log, stderr)
	log.Info("no --config: this is a development proxy on loopback for the domain localhost",
		"ca", filepath.Join(dir, "ca.pem"), "certificate", filepath.Join(dir, "localhost.pem"))
	return cfg, log, nil
}

func newLogger(l config.Log, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: l.Level}
	if l.JSON {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// serve runs the node until a signal or a failure ends it.
func serve(n *node.Node, cfg *config.Config, log *slog.Logger, signals <-chan os.Signal) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	// Ends when ctx does, or the node fails; this function waits for it.
	go func() { ended <- n.Run(ctx) }()
	for {
		select {
		case err := <-ended:
			return errors.Join(err, n.Close())
		case s := <-signals:
			if s == syscall.SIGHUP {
				reload(log)
				continue
			}
			notify("STOPPING=1")
			log.Info("stopping: no new transactions are taken", "signal", s.String(), "deadline", cfg.Timers.Drain.String())
			drained := drain(n, cfg, log, signals)
			stop()
			if err := errors.Join(<-ended, n.Close()); err != nil {
				// It serves no more, which was the aim: nothing has failed.
				log.Warn("stopping", "err", err)
			}
			if drained == nil {
				log.Info("stopped")
			}
			return drained
		}
	}
}

// drain waits until the node's transactions have ended, the deadline has passed, or a second signal
// has come, which is an error.
func drain(n *node.Node, cfg *config.Config, log *slog.Logger, signals <-chan os.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), cfg.Timers.Drain)
	defer cancel()
	drained := make(chan error, 1)
	// Ends when the node has drained or ctx is done; this function waits for it.
	go func() { drained <- n.Drain(ctx) }()
	for {
		select {
		case err := <-drained:
			if err != nil {
				log.Warn("not all transactions ended in time", "err", err)
			}
			return nil
		case s := <-signals:
			if s == syscall.SIGHUP {
				continue
			}
			cancel()
			<-drained
			return errStopped
		}
	}
}

// reload is where SIGHUP ends up.
func reload(log *slog.Logger) {
	log.Warn("SIGHUP: this version cannot reload its configuration; start it again instead")
}
