package sctp

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"

	"github.com/pion/logging"
	engine "github.com/pion/sctp"
)

const (
	wireQueue    = 256  // packets of an association that the engine has not read yet
	wireBuffer   = 2048 // bytes of a packet that has its buffer from the pool
	maxFragments = 4096 // chunks of a stream that wait to be read; a SIP message is never short enough for more
	enginePort   = 5000 // what the engine takes for the ports of every association
)

// buffers are for packets on their way to an engine.
var buffers = sync.Pool{New: func() any { return new([wireBuffer]byte) }}

// incoming is a packet for the engine.
type incoming struct {
	data   []byte
	pooled *[wireBuffer]byte // nil: not from the pool
}

// wire is what the engine takes for its connection: the packets of one association.
type wire struct {
	a     *association
	queue chan incoming
}

func newWire(a *association) *wire { return &wire{a: a, queue: make(chan incoming, wireQueue)} }

// engineConfig is how every engine is set up.
func (s *stack) engineConfig(w *wire) engine.Config {
	quiet := &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
	return engine.Config{
		NetConn: w, LoggerFactory: quiet, Name: "sctp", MTU: uint32(s.cfg.MTU),
		MaxReceiveBufferSize: uint32(s.cfg.ReceiveBuffer), MaxMessageSize: uint32(s.cfg.MaxMessage),
		RTOMax: float64(s.cfg.RTOMax.Milliseconds()),
	}
}

// push queues a copy of a packet for the engine. When the engine does not keep up the packet is dropped, as
// by any full queue on its way: the peer sends it again.
func (w *wire) push(p packet) {
	var in incoming
	if len(p) <= wireBuffer {
		in.pooled = buffers.Get().(*[wireBuffer]byte)
		in.data = in.pooled[:copy(in.pooled[:], p)]
	} else {
		in.data = append([]byte(nil), p...)
	}
	binary.BigEndian.PutUint16(in.data, enginePort)
	binary.BigEndian.PutUint16(in.data[2:], enginePort)
	binary.BigEndian.PutUint32(in.data[8:], 0) // it was looked at already
	select {
	case w.queue <- in:
	default:
		w.a.stack.queueFull.Add(1)
		in.free()
	}
}

// free gives the buffer back.
func (in incoming) free() {
	if in.pooled != nil {
		buffers.Put(in.pooled)
	}
}

// Read gives the engine the next packet.
func (w *wire) Read(b []byte) (int, error) {
	select {
	case in := <-w.queue:
		n := copy(b, in.data)
		in.free()
		return n, nil
	case <-w.a.done:
		return 0, w.a.Err()
	}
}

// Write sends a packet of the engine's. It asks whether peers are there in a way that none understands, and
// the stack does that anyway.
func (w *wire) Write(b []byte) (int, error) {
	select {
	case <-w.a.done:
		return 0, w.a.Err()
	default:
	}
	p := packet(b)
	if len(p) < headerSize+chunkHeader || p.first().kind() == chunkPing {
		return len(b), nil
	}
	if p.first().kind() == chunkAbort { // the engine gives up: a peer sent what cannot be
		w.a.abort(abortError(ErrViolation, p.first()), causeProtocolViolation, "")
		return len(b), nil
	}
	p.seal(w.a.path.local, w.a.path.remote)
	w.a.stack.write(p, w.a.target())
	return len(b), nil
}

// Close is called by the engine when the association was shut down.
func (w *wire) Close() error {
	w.a.end(io.EOF)
	return nil
}

// LocalAddr is of no use to the engine.
func (w *wire) LocalAddr() net.Addr { return &net.UDPAddr{} }

// RemoteAddr is of no use to the engine.
func (w *wire) RemoteAddr() net.Addr { return &net.UDPAddr{} }

// SetDeadline does nothing: who wants the engine to stop ends the association.
func (w *wire) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
