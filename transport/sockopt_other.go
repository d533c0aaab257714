//go:build !linux

package transport

import (
	"syscall"
	"time"
)

func dialControl(_, _ string, _ syscall.RawConn) error { return nil }

// broken and underway: what a system does not tell is taken to have arrived.
func (s *stream) broken() bool  { return s.finished() }
func (s *stream) refused() bool { return s.finished() }
func (s *stream) underway() int { return 0 }

func streamOptions(syscall.RawConn, time.Duration, int) error { return nil }

func (s *stream) setUserTimeout(time.Duration) error { return nil }
