//go:build !unix

package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"syscall"

	"github.com/tandem-sip/tandem/internal/admin"
	"github.com/tandem-sip/tandem/internal/node"
)

// upgradeSignal is none that comes.
const upgradeSignal = syscall.Signal(-1)

func succeed(context.Context, *node.Node, *admin.Server, *manager, *slog.Logger) (net.Conn, int, error) {
	return nil, 0, errors.ErrUnsupported
}
