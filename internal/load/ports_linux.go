package load

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// dialControl lets the system choose the port when it knows the far address, so that one port can serve several.
func dialControl(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		// A system without the option is served as well.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
}
