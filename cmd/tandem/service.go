package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/tandem-sip/tandem/internal/admin"
	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/node"
)

// service is a running proxy with all that steers it. One goroutine serves, and does one thing after the other.
type service struct {
	command *serveCommand
	node    *node.Node
	log     *slog.Logger
	signals <-chan os.Signal
	manager *manager
	steer   *steering
	admin   *admin.Server // nil: there is none

	stopAdmin func() // may be called more than once
}

// build makes the node. What it returns ends the telling of a collector, once the node has ended.
func (s *service) build(cfg *config.Config, level *slog.LevelVar, in *inheritance) (stopSpans func(), err error) {
	opts := node.Options{Logger: s.log, Level: level, Version: version(), Inherit: in.take}
	if cfg.Admin.Listen.IsValid() {
		s.steer.times.Watch(&opts)
	}
	if in.from != nil {
		opts.Heritage = &node.Heritage{}
		if err := json.Unmarshal(in.from.Note, opts.Heritage); err != nil {
			return nil, fmt.Errorf("serve: what the process before this one said is not understood: %w", err)
		}
	}
	if stopSpans, err = followRequests(cfg, &opts); err != nil {
		return nil, &settingsError{cfg.File, err}
	}
	if s.node, err = node.New(cfg, opts); err != nil {
		stopSpans()
		return nil, &settingsError{cfg.File, err}
	}
	return stopSpans, nil
}

// open opens the listeners, and the admin API.
func (s *service) open(in *inheritance) error {
	if err := s.node.Open(); err != nil {
		return err
	}
	if err := s.openAdmin(in); err != nil {
		return err
	}
	if err := in.rest(); err != nil {
		return errors.Join(err, s.closeAdmin())
	}
	return nil
}

// serve runs the node until a signal, an operator, another process or a failure ends it.
func (s *service) serve(in *inheritance) error {
	defer close(s.steer.stopped)
	if in.from != nil {
		if err := in.from.Ready(); err != nil {
			return errors.Join(err, s.closeAdmin(), s.node.Close())
		}
		s.node.Inherit(in.from.Relay, func() { s.log.Info("the process before this one has ended") })
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	// Ends when ctx does, or the node fails; this function waits for it.
	go func() { ended <- s.node.Run(ctx) }()
	rested := make(chan struct{})
	// Ends when ctx does; this function waits for it.
	go func() { defer close(rested); s.command.collector.rest(ctx) }()
	defer func() { stop(); <-rested }()
	for _, l := range s.node.Listening() {
		s.log.Info("listening", "on", l.String())
	}
	s.runAdmin()
	s.log.Info("serving", "version", version(), "config", s.node.Config().File)
	if in.from != nil {
		if err := in.from.Serving(); err != nil {
			s.log.Warn("the process before this one ended early", "err", err)
		}
	}
	s.manager.notify("READY=1")
	cause, relay, err := s.await(ended)
	if err != nil {
		return errors.Join(err, s.node.Close())
	}
	begun := time.Now()
	var drained error
	if relay != nil {
		s.stopAdmin()
		drained = s.end(func(ctx context.Context) error { return s.node.HandOver(ctx, relay) })
	} else {
		s.manager.notify("STOPPING=1")
		s.log.Info("stopping: no new transactions are taken", "signal", cause, "deadline", s.node.Config().Timers.Drain.String())
		drained = s.end(s.node.Drain)
	}
	stop()
	if err := errors.Join(<-ended, s.node.Close()); err != nil {
		// It serves no more, which was the aim: nothing has failed.
		s.log.Warn("stopping", "err", err)
	}
	if drained == nil {
		s.log.Info("stopped", "took", time.Since(begun).Round(time.Millisecond).String())
	}
	return drained
}

// await does what signals and operators ask for until one of them ends the process. It returns what that was, or a
// connection to the process that has taken over, or the failure of the node.
func (s *service) await(ended <-chan error) (cause string, relay net.Conn, err error) {
	tick := time.NewTicker(s.manager.every())
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return "", nil, errors.Join(err, errEnded)
		case done := <-s.steer.reload:
			done <- s.reload()
		case <-s.steer.drain:
			return "drain", nil, nil
		case done := <-s.steer.upgrade:
			relay, pid, err := s.upgrade()
			done <- upgraded{pid, err}
			if err == nil {
				return "", relay, nil
			}
		case <-tick.C:
			s.manager.alive(s.node)
		case sig := <-s.signals:
			switch sig {
			case syscall.SIGHUP:
				_ = s.reload() // which has logged it
			case upgradeSignal:
				if relay, _, err := s.upgrade(); err == nil {
					return "", relay, nil
				}
			default:
				return sig.String(), nil, nil
			}
		}
	}
}

// errEnded says that the node has ended by itself.
var errEnded = errors.New("serve: the node has ended")

// upgrade has another process take over, and logs what became of that. A signal to stop ends the attempt, and is
// obeyed afterwards.
func (s *service) upgrade() (relay net.Conn, pid int, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	// Ends when another process serves or it is known that none will; this function waits for it.
	go func() {
		defer close(done)
		relay, pid, err = succeed(ctx, s.node, s.admin, s.manager, s.log)
	}()
	tick := time.NewTicker(s.manager.every())
	defer tick.Stop()
	var stop os.Signal
	for waiting := true; waiting; {
		select {
		case <-done:
			waiting = false
		case <-tick.C:
			s.manager.alive(s.node)
		case sig := <-s.signals:
			if sig == syscall.SIGTERM || sig == syscall.SIGINT {
				stop = sig
				cancel()
			}
		}
	}
	if err != nil {
		s.log.Error("upgrade refused", "err", err)
		s.log.Warn("this process goes on")
		if stop != nil {
			s.steer.askDrain()
		}
		return nil, 0, err
	}
	s.log.Info("another process has taken over, and this one ends what it has begun", "pid", pid,
		"deadline", s.node.Config().Timers.Drain.String())
	return relay, pid, nil
}

// end waits until the node has ended what it has begun, the deadline has passed, or a second signal has come, which
// is an error.
func (s *service) end(drain func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.node.Config().Timers.Drain)
	defer cancel()
	drained := make(chan error, 1)
	// Ends when the node has drained or ctx is done; this function waits for it.
	go func() { drained <- drain(ctx) }()
	tick := time.NewTicker(s.manager.every())
	defer tick.Stop()
	for {
		select {
		case err := <-drained:
			if err != nil {
				s.log.Warn("not all transactions ended in time", "err", err)
			}
			return nil
		case done := <-s.steer.reload:
			done <- errStopping
		case done := <-s.steer.upgrade:
			done <- upgraded{err: errStopping}
		case <-tick.C:
			s.manager.alive(s.node)
		case sig := <-s.signals:
			if sig == syscall.SIGHUP || sig == upgradeSignal {
				continue
			}
			cancel()
			if err := <-drained; err != nil {
				s.log.Warn("not all transactions ended", "err", err)
			}
			return errStopped
		}
	}
}
