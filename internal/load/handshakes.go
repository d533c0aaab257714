package load

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// This file dials connections beside the load, which end once their handshake has: what a proxy does with those who come is
// not to be felt by those who are there.

const (
	knockTimeout = 10 * time.Second
	maxKnocks    = 2000 // of them under way at once
)

var errTooManyKnocks = errors.New("too many handshakes are under way")

// knocking dials Config.Handshakes connections a second, evenly spaced and open loop, until the function that it returns
// is called, which waits for those under way.
func (g *Generator) knocking(ctx context.Context) (stop func()) {
	if g.cfg.Handshakes == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var under sync.WaitGroup
	room := make(chan struct{}, maxKnocks)
	interval := time.Duration(float64(time.Second) / g.cfg.Handshakes)
	// Ends with ctx.
	under.Go(func() {
		began := time.Now()
		for n := 0; ; n++ {
			due := began.Add(time.Duration(n) * interval)
			pause(ctx, time.Until(due))
			if ctx.Err() != nil {
				return
			}
			select {
			case room <- struct{}{}:
			default:
				g.noConnection(errTooManyKnocks)
				continue
			}
			// Ends when the connection does, knockTimeout at the latest.
			under.Go(func() {
				defer func() { <-room }()
				if err := g.knock(ctx, n); err == nil {
					g.count(func(c *Counters) {
						c.Handshakes++
						record(g.handshakes, time.Since(due))
					})
				} else if ctx.Err() == nil {
					g.noConnection(err)
				}
			})
		}
	})
	return func() {
		cancel()
		under.Wait()
	}
}

// knock dials, and asks for an answer to a ping, because a client knows of TLS 1.3 only by what comes then that its
// certificate was taken (RFC 5626, Section 3.5.1).
func (g *Generator) knock(ctx context.Context, number int) error {
	c, err := g.dial(ctx, number)
	if err != nil {
		return err
	}
	defer c.end()
	ctx, cancel := context.WithTimeout(ctx, knockTimeout)
	defer cancel()
	if c.conn == nil {
		return pingAssociation(ctx, c.messages)
	}
	defer context.AfterFunc(ctx, func() { _ = c.conn.Close() })()
	if _, err := io.WriteString(c.conn, ping); err != nil {
		return err
	}
	_, err = io.ReadFull(c.conn, make([]byte, len(pong)))
	return err
}
