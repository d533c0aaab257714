package main

import (
	"context"
	"errors"
	"sync"

	"github.com/tandem-sip/tandem/internal/admin"
	"github.com/tandem-sip/tandem/internal/metrics"
)

// steering carries what operators ask for over the admin API to the one goroutine that serves, where it is done in
// turn with what signals ask for.
type steering struct {
	reload  chan chan error    // each is told what became of its reload
	upgrade chan chan upgraded // the same
	drain   chan struct{}      // holds one
	stopped chan struct{}      // closed when nobody listens any more

	times metrics.Times // how long things take, for as long as there is somebody to ask
}

// upgraded is what became of an upgrade.
type upgraded struct {
	pid int
	err error
}

func newSteering() *steering {
	return &steering{reload: make(chan chan error), upgrade: make(chan chan upgraded), drain: make(chan struct{}, 1), stopped: make(chan struct{})}
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

// askUpgrade has another process take over, and returns its process id when it has.
func (s *steering) askUpgrade(ctx context.Context) (int, error) {
	done := make(chan upgraded, 1)
	select {
	case s.upgrade <- done:
		u := <-done
		return u.pid, u.err
	case <-s.stopped:
		return 0, errStopping
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// askDrain has the process stop as SIGTERM does.
func (s *steering) askDrain() {
	select {
	case s.drain <- struct{}{}:
	default: // it was asked for already
	}
}

// openAdmin opens the admin API when the configuration asks for it.
func (s *service) openAdmin(in *inheritance) error {
	s.stopAdmin = func() {}
	cfg := s.node.Config()
	if !cfg.Admin.Listen.IsValid() {
		return nil
	}
	a := admin.New(admin.Options{
		Node: s.node, Reload: s.steer.askReload, Drain: s.steer.askDrain, Upgrade: s.steer.askUpgrade,
		Times: &s.steer.times, Inherit: in.takeAdmin(cfg.Admin.Listen.String()), Logger: s.log, Version: version(),
	})
	if err := a.Open(); err != nil {
		return err
	}
	s.admin = a
	return nil
}

// closeAdmin closes it when it was not run.
func (s *service) closeAdmin() error {
	if s.admin == nil {
		return nil
	}
	return s.admin.Close()
}

// runAdmin has it serve until stopAdmin is called, which waits for that.
func (s *service) runAdmin() {
	if s.admin == nil {
		return
	}
	s.log.Info("admin API", "on", s.admin.Addr().String())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	// Ends when stopAdmin is called.
	go func() {
		defer close(ended)
		if err := s.admin.Run(ctx); err != nil {
			s.log.Error("admin API", "err", err)
		}
	}()
	s.stopAdmin = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
}
