package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/internal/config"
)

// reload puts what the configuration file says now into force. When that cannot be done it logs all that is in
// the way, and what was in force goes on. systemd is told of both, as systemd.service(5) describes for
// Type=notify-reload.
func (s *service) reload() error {
	s.manager.reloading()
	begun := time.Now()
	if err := s.node.ReloadFrom(s.command.load); err != nil {
		lines := problemsOf(err, s.node.Config().File)
		for _, line := range lines {
			s.log.Error("reload refused", "err", line)
		}
		s.log.Warn("the configuration that was in force goes on")
		s.manager.ready("reload refused: " + lines[0])
		return err
	}
	cfg := s.node.Config()
	s.command.collector.apply(cfg.Memory, s.log)
	for _, w := range cfg.Warnings {
		s.log.Warn("configuration", "err", w.String())
	}
	s.log.Info("reloaded", "config", cfg.File, "took", time.Since(begun).Round(time.Microsecond).String())
	s.manager.ready("")
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
