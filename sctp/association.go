package sctp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	engine "github.com/pion/sctp"
)

// phase is how far an association has come.
type phase int

const (
	cookieWait   phase = iota // INIT was sent
	cookieEchoed              // the cookie was sent back
	established
)

// association is one association in userland. Its packets come from the stack, and what concerns the transfer
// of data goes on to the engine, which believes to have a connection of its own: wire.
type association struct {
	stack    *stack
	path     path
	local    initiation // ours
	progress chan struct{}
	done     chan struct{}
	wire     *wire

	heard atomic.Int64 // when something valid came last, in nanoseconds

	// owned by the stack's watching goroutine
	asked  int64 // when the peer was last asked whether it is there, in nanoseconds
	missed int   // how often in a row it did not answer

	// mu guards the fields below.
	mu         sync.Mutex
	phase      phase
	to         netip.AddrPort // where packets go; the UDP port is the one that was seen last
	peer       initiation
	alternates []netip.Addr
	cookie     []byte
	engine     *engine.Association
	err        error
	leaving    bool // Shutdown was called

	// opening guards the fields below. It may be held while the engine is called, and so the engine is never
	// called from, nor calls, what holds it.
	opening sync.Mutex
	streams map[uint16]*userStream
	arrived chan *userStream  // those that the peer opened; nil until somebody accepts
	serve   func(*userStream) // begins to read a stream; nil until somebody serves
}

// newAssociation makes an association that is in no table yet.
func newAssociation(s *stack, on path, to netip.AddrPort, local initiation) *association {
	a := &association{
		stack: s, path: on, to: to, local: local,
		progress: make(chan struct{}, 1), done: make(chan struct{}), streams: make(map[uint16]*userStream),
	}
	a.wire = newWire(a)
	a.heard.Store(time.Now().UnixNano())
	return a
}

// establish starts the engine, which is told what was agreed.
func (a *association) establish(peer initiation, alternates []netip.Addr) {
	e, err := engine.ClientWithOptions(a.stack.engineConfig(a.wire),
		engine.WithEnableInterleaving(false), engine.WithMaxReassemblyQueueEntries(maxFragments),
		engine.WithEnableZeroChecksum(true), engine.WithSNAP(a.local.forEngine(), peer.forEngine()))
	if err != nil {
		a.end(fmt.Errorf("sctp: %w", err))
		return
	}
	a.mu.Lock()
	a.peer, a.alternates, a.engine, a.phase = peer, alternates, e, established
	a.mu.Unlock()
}

// peerTag is the verification tag that the peer wants to see, 0 while it is not known.
func (a *association) peerTag() uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.peer.tag
}

// target is where packets go.
func (a *association) target() netip.AddrPort {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.to
}

// covers tells whether a packet from a path may be of this association: the ports are its own, and the
// address is one that the peer announced.
func (a *association) covers(on path) bool {
	if on.local != a.path.local || on.remote != a.path.remote {
		return false
	}
	if on.peer == a.path.peer {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Contains(a.alternates, on.peer)
}

// end ends the association, once, and tells all who wait for it.
func (a *association) end(err error) {
	a.mu.Lock()
	if a.err != nil {
		a.mu.Unlock()
		return
	}
	if a.leaving && errors.Is(err, io.EOF) {
		err = errEnded
	}
	a.err = err
	a.mu.Unlock()
	a.stack.forget(a)
	a.stack.countEnd(err)
	close(a.done)
}

// abort ends the association with an error, and tells the peer why.
func (a *association) abort(err error, code uint16, info string) {
	a.mu.Lock()
	tag, to, ended := a.peer.tag, a.to, a.err != nil
	a.mu.Unlock()
	if !ended && tag != 0 {
		a.stack.write(control(a.path, tag, chunkAbort, 0, cause(code, []byte(info))), to)
	}
	a.end(err)
}

// Abort implements Association.
func (a *association) Abort(reason string) {
	a.abort(errEnded, causeUserAbort, reason[:min(len(reason), 256)])
	a.mu.Lock()
	e := a.engine
	a.mu.Unlock()
	if e != nil {
		_ = e.Close() // waits for its goroutines; the wire has nothing more to say
	}
}

// Shutdown implements Association.
func (a *association) Shutdown(ctx context.Context) error {
	a.mu.Lock()
	e := a.engine
	a.leaving = true
	a.mu.Unlock()
	if err := e.Shutdown(ctx); err != nil {
		// Or the peer has begun to shut down as well.
		select {
		case <-a.done:
		case <-ctx.Done():
			a.abort(errEnded, causeUserAbort, "shutdown took too long")
			_ = e.Close()
			return ctx.Err()
		}
	}
	_ = e.Close()
	a.end(errEnded)
	if err := a.Err(); !errors.Is(err, errEnded) {
		return err
	}
	return nil
}

// Done implements Association.
func (a *association) Done() <-chan struct{} { return a.done }

// Err implements Association.
func (a *association) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// LocalAddr implements Association.
func (a *association) LocalAddr() netip.AddrPort {
	return netip.AddrPortFrom(a.stack.socket.local().Addr(), a.path.local)
}

// RemoteAddr implements Association.
func (a *association) RemoteAddr() netip.AddrPort {
	return netip.AddrPortFrom(a.path.peer, a.path.remote)
}
