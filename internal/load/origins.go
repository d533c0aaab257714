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
		for o != nil {
			g.carry(o.path.conn, &o.place)
			o = g.follow(ctx, number, o)
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

// follow dials the connection that takes the place of one that has ended. What is to be sent meanwhile waits for it, and
// requests that nothing was heard of are sent over it again: RFC 5923, Section 8.3. It returns nil when it does not come
// about, and the origin is out then.
func (g *Generator) follow(ctx context.Context, number int, o *origin) *origin {
	next := &origin{place: o.place, host: o.host, path: path{conn: newConn(nil)}}
	if !g.replace(o, next) || ctx.Err() != nil {
		g.drop(o.path.conn)
		g.out(next)
		return nil
	}
	g.drop(o.path.conn)
	c, err := g.dial(ctx, number)
	if err != nil {
		if ctx.Err() == nil {
			g.noConnection(err)
		}
		g.out(next)
		return nil
	}
	next.path.conn.conn, next.path.conn.messages = c.conn, c.messages // which nobody has looked at yet
	if !g.keep(next.path.conn) {
		g.out(next)
		return nil
	}
	g.count(func(n *Counters) { n.ConnectionsDialed++ })
	return next
}

// replace has calls made over another origin from now on, and moves those there that were made over the old one. It
// reports false when the end has come.
func (g *Generator) replace(o, next *origin) bool {
	g.mu.Lock()
	ended := g.ended
	g.mu.Unlock()
	e := g.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if i := slices.Index(e.origins, o); i >= 0 {
		e.origins[i] = next
	}
	if ended {
		return false
	}
	e.counters.ConnectionsLost++
	for _, c := range e.calls {
		l := &c.legs[callerSide]
		if l.path.conn != o.path.conn {
			continue
		}
		l.path = next.path
		for _, t := range []*clientTx{&l.inv, &l.req} {
			if t.state == trying && !c.over && next.path.conn.put(t.raw) {
				e.counters.Repeated++
			}
		}
	}
	next.path.conn.rouse()
	return true
}

// out takes an origin out that has no connection.
func (g *Generator) out(o *origin) {
	e := g.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	e.origins = slices.DeleteFunc(e.origins, func(other *origin) bool { return other == o })
}
