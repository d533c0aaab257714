//go:build !unix

package transport

import "syscall"

func noBroadcast(syscall.RawConn) error { return nil }

func descriptorLimit() int { return 1 << 30 }
