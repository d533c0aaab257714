package sctp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Listener takes the associations that peers open to one port.
type Listener struct {
	addr    netip.AddrPort
	waiting chan Association // those that nobody has taken yet; its capacity is the backlog
	closed  chan struct{}
	once    sync.Once
	stop    func() // tells the provider
}

// newListener makes a listener that calls stop when it is closed.
func newListener(addr netip.AddrPort, backlog int, stop func()) *Listener {
	return &Listener{addr: addr, waiting: make(chan Association, backlog), closed: make(chan struct{}), stop: stop}
}

// Addr is the listen address, the first if there are several, and SCTP port.
func (l *Listener) Addr() netip.AddrPort { return l.addr }

// Accept waits for an association. The error wraps net.ErrClosed, or is what ctx says.
func (l *Listener) Accept(ctx context.Context) (Association, error) {
	select {
	case <-l.closed:
		return nil, fmt.Errorf("sctp: listener: %w", net.ErrClosed)
	default:
	}
	select {
	case a := <-l.waiting:
		return a, nil
	case <-l.closed:
		return nil, fmt.Errorf("sctp: listener: %w", net.ErrClosed)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close takes no more associations, and aborts those that nobody has taken.
func (l *Listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.stop()
		for {
			select {
			case a := <-l.waiting:
				a.Abort("nobody listens any more")
			default:
				return
			}
		}
	})
	return nil
}

// offer queues an association, and tells whether there was room. The caller makes sure that the listener is
// not closed meanwhile.
func (l *Listener) offer(a Association) bool {
	select {
	case l.waiting <- a:
		return true
	default:
		return false
	}
}
