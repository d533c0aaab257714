//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tandem-sip/tandem/internal/admin"
	"github.com/tandem-sip/tandem/internal/handover"
	"github.com/tandem-sip/tandem/internal/node"
)

// upgradeSignal asks for an upgrade in place.
const upgradeSignal = syscall.SIGUSR2

// program is where this program was when it was started, which is where a newer one is put.
var program, errProgram = os.Executable()

// succeed starts the program again, which may be a newer one with another configuration, and lets it take the listeners over.
// After an error this process serves as before. Otherwise the other one serves, and this one has
// nothing left to do but to end what it has begun; relay is for that.
func succeed(ctx context.Context, n *node.Node, a *admin.Server, m *manager, log *slog.Logger) (relay net.Conn, pid int, err error) {
	switch {
	case errProgram != nil:
		return nil, 0, fmt.Errorf("upgrade: %w", errProgram)
	case os.Getpid() == 1:
		return nil, 0, errors.New("upgrade: this is process 1, and its end would end the container: start another container in its place")
	case n.Succeeding():
		return nil, 0, errors.New("upgrade: the process before this one has not ended yet: try again when it has")
	}
	sockets, err := listening(n, a)
	defer func() {
		for _, s := range sockets {
			_ = unix.Close(s.FD)
		}
	}()
	if err != nil {
		return nil, 0, fmt.Errorf("upgrade: %w", err)
	}
	log.Info("upgrading: another process is started", "program", program)
	s, err := handover.Start(program, sockets, n.Heritage())
	if err != nil {
		return nil, 0, err
	}
	if err := s.Ready(ctx); err != nil {
		return nil, 0, err
	}
	n.Pause()
	if err := s.Begin(ctx); err != nil {
		n.Resume()
		return nil, 0, err
	}
	m.yield(s.PID)
	if err := s.Yield(); err != nil {
		log.Warn("upgrading", "err", err) // it serves all the same
	}
	return s.Relay, s.PID, nil
}

// listening returns the sockets that are handed over.
func listening(n *node.Node, a *admin.Server) (list []handover.Socket, err error) {
	sockets, err := n.Sockets()
	if err != nil {
		return nil, err
	}
	for _, s := range sockets {
		list = append(list, handover.Socket{Name: socketName(s.Listen), FD: s.FD})
	}
	if a == nil {
		return list, nil
	}
	raw, err := a.Socket()
	if err != nil {
		return list, err
	}
	var dup int
	cerr := raw.Control(func(fd uintptr) { dup, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(cerr, err); err == nil {
		list = append(list, handover.Socket{Name: adminSocket + " " + n.Config().Admin.Listen.String(), FD: dup})
	}
	return list, err
}
