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

	state     string // directory of the development proxy
	collector collector
}

// Help is shown by `tandem serve --help`.
func (*serveCommand) Help() string {
	return `SIGTERM and SIGINT let the transactions that there are come to their end and stop; a second one stops at once. SIGHUP reads the configuration again and puts it into force while calls go on; when something is wrong with it, or it changes what cannot be changed while running, the log says so and nothing changes. Under systemd, readiness and reloads are told by sd_notify.

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

	cfg, err := c.load()
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	level.Set(cfg.Log.Level)
	log := newLogger(cfg.Log.JSON, level, os.Stderr)
	c.greet(cfg, log)
	c.collector.apply(cfg.Memory, log)
	defer c.collector.release()
	steer := newSteering()
	opts := node.Options{Logger: log, Level: level, Version: version()}
	if cfg.Admin.Listen.IsValid() {
		steer.times.Watch(&opts)
	}
	stopSpans, err := followRequests(cfg, &opts)
	if err != nil {
		return &settingsError{cfg.File, err}
	}
	defer stopSpans()
	n, err := node.New(cfg, opts)
	if err != nil {
		return &settingsError{cfg.File, err}
	}
	if err := n.Open(); err != nil {
		return err
	}
	for _, l := range n.Listening() {
		log.Info("listening", "on", l.String())
	}
	stopAdmin, err := steer.serveAdmin(n, log)
	if err != nil {
		return errors.Join(err, n.Close())
	}
	defer stopAdmin()
	log.Info("serving", "version", version(), "config", cfg.File)
	notify("READY=1")
	return c.serve(n, log, signals, steer)
}

// load reads the configuration.
func (c *serveCommand) load() (*config.Config, error) {
	if c.Config != "" {
		return config.Load(c.Config)
	}
	if c.state == "" {
		dir, err := stateDir("development")
		if err != nil {
			return nil, err
		}
		c.state = dir
	}
	return developmentConfig(c.state)
}

// greet logs what an operator should know of a configuration that is about to be put into force.
func (c *serveCommand) greet(cfg *config.Config, log *slog.Logger) {
	for _, w := range cfg.Warnings {
		log.Warn("configuration", "err", w.String())
	}
	if c.Config == "" {
		log.Info("no --config: this is a development proxy on loopback for the domain localhost",
			"ca", filepath.Join(c.state, "ca.pem"), "certificate", filepath.Join(c.state, "localhost.pem"))
	}
}

func newLogger(json bool, level slog.Leveler, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if json {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// serve runs the node until a signal, an operator or a failure ends it.
func (c *serveCommand) serve(n *node.Node, log *slog.Logger, signals <-chan os.Signal, steer *steering) error {
	defer close(steer.stopped)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	// Ends when ctx does, or the node fails; this function waits for it.
	go func() { ended <- n.Run(ctx) }()
	rested := make(chan struct{})
	// Ends when ctx does; this function waits for it.
	go func() { defer close(rested); c.collector.rest(ctx) }()
	defer func() { stop(); <-rested }()
	var cause string
	for cause == "" {
		select {
		case err := <-ended:
			return errors.Join(err, n.Close())
		case done := <-steer.reload:
			done <- c.reload(n, log)
		case <-steer.drain:
			cause = "drain"
		case s := <-signals:
			if s == syscall.SIGHUP {
				_ = c.reload(n, log) // which has logged it
				continue
			}
			cause = s.String()
		}
	}
	notify("STOPPING=1")
	log.Info("stopping: no new transactions are taken", "signal", cause, "deadline", n.Config().Timers.Drain.String())
	drained := drain(n, log, signals, steer)
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

// drain waits until the node's transactions have ended, the deadline has passed, or a second signal
// has come, which is an error.
func drain(n *node.Node, log *slog.Logger, signals <-chan os.Signal, steer *steering) error {
	ctx, cancel := context.WithTimeout(context.Background(), n.Config().Timers.Drain)
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
		case done := <-steer.reload:
			done <- errStopping
		case s := <-signals:
			if s == syscall.SIGHUP {
				continue
			}
			cancel()
			if err := <-drained; err != nil {
				log.Warn("not all transactions ended", "err", err)
			}
			return errStopped
		}
	}
}
