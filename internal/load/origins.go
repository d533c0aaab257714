package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/tandem-sip/tandem/sipaddr"
)

// ErrNoConnection says that none of the connections to the target came about.
var ErrNoConnection = errors.New("load: no connection to the target")

// connect dials all connections to the target, and has each dialed again when it ends before ctx does. It returns when
// each was tried once; the error is for when none came about.
func (g *Generator) connect(ctx context.Context) error {
	if !g.cfg.calls() || g.cfg.Target.Transport == sipaddr.UDP {
		return nil
	}
	var at place
	for _, l := range g.listeners {
		if l.at.side == callerSide {
			at = l.at
		}
	}
	failed := make([]error, g.cfg.Connections)
	var tried sync.WaitGroup
	room := make(chan struct{}, dialsAtOnce)
	for i := range g.cfg.Connections {
		tried.Add(1)
		// Ends with ctx, once the connection that it then carries has ended.
		g.running.Go(func() {
			room <- struct{}{}
			o, err := g.dialOrigin(ctx, i, at)
			<-room
			failed[i] = err
			tried.Done()
			g.carryOn(ctx, i, at, o)
		})
	}
	tried.Wait()
	if slices.Contains(failed, nil) || ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("%w %v: %w", ErrNoConnection, g.cfg.Target, failed[0])
}

// carryOn carries one connection to the target, and those that follow it. o is nil when it did not come about.
func (g *Generator) carryOn(ctx context.Context, number int, at place, o *origin) {
	for {
		if o != nil {
			g.carry(o.path.conn, &o.place)
			g.lost(o)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(redialAfter):
		}
		o, _ = g.dialOrigin(ctx, number, at) // it was counted
	}
}

// dialOrigin dials a connection and has calls made over it. The origin has to be carried.
func (g *Generator) dialOrigin(ctx context.Context, number int, at place) (*origin, error) {
	c, err := g.dial(ctx, number)
	if err != nil {
		if ctx.Err() == nil {
			g.noConnection(err)
		}
		return nil, err
	}
	if !g.keep(c) {
		return nil, net.ErrClosed
	}
	o := &origin{place: at, host: g.bind.Addr().String(), path: path{conn: c}}
	g.engine.mu.Lock()
	defer g.engine.mu.Unlock()
	g.engine.origins = append(g.engine.origins, o)
	g.engine.counters.ConnectionsDialed++
	return o, nil
}

// lost takes an origin out whose connection has ended.
func (g *Generator) lost(o *origin) {
	g.drop(o.path.conn)
	g.mu.Lock()
	ended := g.ended
	g.mu.Unlock()
	e := g.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	e.origins = slices.DeleteFunc(e.origins, func(other *origin) bool { return other == o })
	if !ended {
		e.counters.ConnectionsLost++
	}
}
