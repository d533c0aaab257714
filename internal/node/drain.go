package node

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// closeGrace is the part of the time of a drain that is kept for telling the peers that their connections end.
const closeGrace = 500 * time.Millisecond

// Drain takes no new transactions and returns when those that exist have ended and the connections are
// closed in order (RFC 5923, Section 8.3), or ctx is done. Shortly before that the connections are closed although
// transactions need them still, so that every peer is told. Run goes on until its own context is done.
func (n *Node) Drain(ctx context.Context) error {
	n.draining.Store(true)
	n.pairs.stop()
	early, cancel := withGrace(ctx)
	defer cancel()
	err := n.layer.Drain(early)
	if err == nil {
		err = n.net.Drain(early)
	}
	if err != nil {
		left := n.Outstanding()
		n.closeAll(ctx)
		return fmt.Errorf("node: drain: %d transactions were cut off: %w", left, err)
	}
	return nil
}

// withGrace returns a context that is done closeGrace before ctx, or after nine tenths of the time that there is.
func withGrace(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	grace := min(closeGrace, time.Until(deadline)/10)
	return context.WithDeadline(ctx, deadline.Add(-grace))
}

// closeAll sends the closure alert over every connection, whatever is outstanding there, and waits for their ends until
// ctx is done.
func (n *Node) closeAll(ctx context.Context) {
	for _, c := range n.net.Connections() {
		n.net.CloseNow(c.ID)
	}
	if err := n.net.Drain(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		n.log.Debug("closing", "err", err)
	}
}
