//go:build !linux

package transport

import (
	"net/netip"
	"time"
)

// Elsewhere than on Linux there are no loops: each connection has its goroutines, and Go's poller.

type loop struct{}

type gathering struct{}

type outgoing struct{}

type descriptor struct{}

func (*descriptor) deadline(time.Time) bool { return false }
func (*descriptor) close() bool             { return false }
func (*descriptor) quit()                   {}

type seats struct{}

func newSeats(int) seats { return seats{} }

func (t *Transport) gathers(f flusher) bool { return t.batch.gathers(f) }

func (*Transport) startLoops() []*loop { return nil }
func stopLoops([]*loop)                {}

func (*Transport) strained(time.Time) bool { return false }

func (*Transport) loopFor(uint64) *loop { return nil }

func (*Conn) carry() (bool, error) { return false, nil }
func (c *Conn) flush()             { c.tell() }

func (*stream) writeInline([]byte) (int, error) { return 0, ErrClosed }

func (*udpSocket) carry() bool { return false }

func (s *udpSocket) write(b []byte, to netip.AddrPort) error { return s.writeBlocking(b, to) }
func (*udpSocket) flush()                                    {}
