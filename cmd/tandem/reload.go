package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/node"
)

// reload puts what the configuration file says now into force. When that cannot be done it logs all that is in
// the way, and what was in force goes on. systemd is told of both, as systemd.service(5) describes for
// Type=notify-reload.
func (c *serveCommand) reload(n *node.Node, log *slog.Logger) error {
	notify("RELOADING=1" + monotonic())
	begun := time.Now()
	if err := n.ReloadFrom(c.load); err != nil {
		lines := problemsOf(err, n.Config().File)
		for _, line := range lines {
			log.Error("reload refused", "err", line)
		}
		log.Warn("the configuration that was in force goes on")
		notify("READY=1\nSTATUS=reload refused: " + lines[0])
		return err
	}
	cfg := n.Config()
	c.collector.apply(cfg.Memory, log)
	for _, w := range cfg.Warnings {
		log.Warn("configuration", "err", w.String())
	}
	log.Info("reloaded", "config", cfg.File, "took", time.Since(begun).Round(time.Microsecond).String())
	notify("READY=1\nSTATUS=")
	return nil
}

// problemsOf returns what is wrong with a configuration, each with the name of its file.
func problemsOf(err error, file string) (lines []string) {
	var bad *config.Error
	if !errors.As(err, &bad) {
		text := (&settingsError{file, err}).Error()
		return []string{strings.ReplaceAll(text, "\n", " ")}
	}
	for _, p := range bad.Problems {
		lines = append(lines, fmt.Sprint(p))
	}
	return lines
}
