package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/tandem-sip/tandem/internal/admin"
	"github.com/tandem-sip/tandem/internal/metrics"
	"github.com/tandem-sip/tandem/internal/node"
)

// steering carries what operators ask for over the admin API to the one goroutine that serves, where it is done in
// turn with what signals ask for.
type steering struct {
	reload  chan chan error // each is told what became of its reload
	drain   chan struct{}   // holds one
	stopped chan struct{}   // closed when nobody listens any more

	times metrics.Times // how long things take, for as long as there is somebody to ask
}

func newSteering() *steering {
	return &steering{reload: make(chan chan error), drain: make(chan struct{}, 1), stopped: make(chan struct{})}
}

var errStopping = errors.New("the process is stopping")

// askReload has the configuration read again, and returns when it is in force or was refused.
func (s *steering) askReload(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case s.reload <- done:
		return <-done
	case <-s.stopped:
		return errStopping
	case <-ctx.Done():
		return ctx.Err()
	}
}

// askDrain has the process stop as SIGTERM does.
func (s *steering) askDrain() {
	select {
	case s.drain <- struct{}{}:
	default: // it was asked for already
	}
}

// serveAdmin starts the admin API when the configuration asks for it. What it returns ends it, and waits for that.
func (s *steering) serveAdmin(n *node.Node, log *slog.Logger) (stop func(), err error) {
	if !n.Config().Admin.Listen.IsValid() {
		return func() {}, nil
	}
	a := admin.New(admin.Options{Node: n, Reload: s.askReload, Drain: s.askDrain, Times: &s.times, Logger: log, Version: version()})
	if err := a.Open(); err != nil {
		return nil, err
	}
	log.Info("admin API", "on", a.Addr().String())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	// Ends when stop is called.
	go func() {
		defer close(ended)
		if err := a.Run(ctx); err != nil {
			log.Error("admin API", "err", err)
		}
	}()
	return func() {
		cancel()
		<-ended
	}, nil
}
