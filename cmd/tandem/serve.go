package main

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/tandem-sip/tandem/internal/config"
)

// serveCommand runs the proxy.
type serveCommand struct {
	Config string `placeholder:"FILE" help:"The configuration. Without it: a development proxy on loopback with a certification authority of its own."`

	state     string // directory of the development proxy
	collector collector
}

// Help is shown by `tandem serve --help`.
func (*serveCommand) Help() string {
	return `SIGTERM and SIGINT let the transactions that there are come to their end and stop; a second one stops at once. SIGHUP reads the configuration again and puts it into force while calls go on; when something is wrong with it, or it changes what cannot be changed while running, the log says so and nothing changes. SIGUSR2 upgrades in place: the program is started again, takes the listeners over, and this process ends when what it has begun is done. Under systemd, readiness, reloads and upgrades are told by sd_notify, the watchdog is served, and sockets that systemd listens on are used.

Example:

  tandem serve --config /etc/tandem/tandem.yaml`
}

// errStopped says that transactions were cut off because somebody was in a hurry.
var errStopped = errors.New("serve: stopped at once by a second signal")

// Run serves until a signal ends it, or another process has taken over.
func (c *serveCommand) Run() error {
	// The signals are taken first, so that none of them can end the process half-way up.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, upgradeSignal)
	defer signal.Stop(signals)

	in, err := inherit()
	if err != nil {
		return err
	}
	cfg, err := c.load()
	if err != nil {
		return err
	}
	s := &service{command: c, signals: signals, manager: newManager(), steer: newSteering()}
	level := new(slog.LevelVar)
	level.Set(cfg.Log.Level)
	s.log = newLogger(cfg.Log.JSON, level, os.Stderr)
	c.greet(cfg, s.log)
	c.collector.apply(cfg.Memory, s.log)
	defer c.collector.release()
	stopSpans, err := s.build(cfg, level, in)
	if err != nil {
		return err
	}
	defer stopSpans()
	if err := s.open(in); err != nil {
		return errors.Join(err, s.node.Close())
	}
	defer s.stopAdmin()
	return s.serve(in)
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
