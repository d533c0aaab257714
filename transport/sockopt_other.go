//go:build !linux

package transport

import (
	"syscall"
	"time"
)

func dialControl(_, _ string, _ syscall.RawConn) error { return nil }

func streamOptions(syscall.RawConn, time.Duration, int) error { return nil }
