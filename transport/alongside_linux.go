package transport

import (
	"context"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// alongside opens more sockets with the address of c, so that there is one for each loop. The system spreads datagrams over
// them by source and destination: what one source sends comes to one of them, in its order.
//
// c was bound without SO_REUSEPORT, which is how one learns that nobody else has the address. From now on processes of
// this user can have it beside this one when they ask for that from the start, which none of ours does.
func (t *Transport) alongside(c *net.UDPConn, network string) (more []*net.UDPConn) {
	if t.cfg.Loops < 2 {
		return nil
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error { return shared(raw) }}
	raw, err := c.SyscallConn()
	if err == nil {
		err = shared(raw)
	}
	for err == nil && len(more) < t.cfg.Loops-1 {
		var another net.PacketConn
		if another, err = config.ListenPacket(context.Background(), network, c.LocalAddr().String()); err == nil {
			more = append(more, another.(*net.UDPConn))
		}
	}
	if err != nil {
		t.cfg.Logger.Warn("not every event loop has a UDP socket of its own", "on", c.LocalAddr().String(), "sockets", 1+len(more), "err", err)
	}
	return more
}

// shared lets further sockets of this user have the address of one, or of one that is about to be bound.
func shared(raw syscall.RawConn) error {
	return control(raw, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
}
