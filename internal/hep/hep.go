// Package hep sends copies of SIP messages to a collector, such as Homer: HEP version 3, also called EEP, over UDP.
//
// It never waits for the collector: what it does not take in time is dropped, and counted.
package hep

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/tandem-sip/tandem/internal/trace"
	"github.com/tandem-sip/tandem/sipaddr"
)

// Config says where copies go. Collector is required.
type Config struct {
	Collector netip.AddrPort
	// Node is the number by which the collector knows this proxy (capture agent id).
	Node uint32
	// Name is what else it is called there; "" for nothing.
	Name string
	// Password is shown to the collector; nil for none.
	Password []byte
}

// The types of chunks, of the vendor 0, which are those of HEP version 3 itself.
const (
	chunkFamily       = 0x0001 // 2 for IPv4, 10 for IPv6
	chunkProtocol     = 0x0002 // of IP
	chunkSource4      = 0x0003
	chunkDestination4 = 0x0004
	chunkSource6      = 0x0005
	chunkDestination6 = 0x0006
	chunkSourcePort   = 0x0007
	chunkDestPort     = 0x0008
	chunkSeconds      = 0x0009
	chunkMicroseconds = 0x000a
	chunkType         = 0x000b // of what was captured
	chunkNode         = 0x000c
	chunkPassword     = 0x000e
	chunkPayload      = 0x000f
	chunkCorrelation  = 0x0011
	chunkName         = 0x0013

	typeSIP = 1
)

const (
	maxPacket  = 65507 // of UDP over IPv4
	maxQueue   = 8192  // packets that wait
	maxWaiting = 8 << 20
)

// ErrTooLarge says that a message does not fit into a packet.
var ErrTooLarge = errors.New("hep: the message does not fit into a datagram")

// Append appends the packet of a message.
func Append(dst []byte, cfg *Config, m *trace.Message) ([]byte, error) {
	from, to := m.Remote, m.Local
	if m.Sent {
		from, to = to, from
	}
	start := len(dst)
	dst = append(dst, "HEP3\x00\x00"...)
	a, b := from.Addr().Unmap(), to.Addr().Unmap()
	if a.Is4() && b.Is4() {
		dst = append(chunk(dst, chunkFamily, 1), 2)
		dst = append(chunk(dst, chunkSource4, 4), a.AsSlice()...)
		dst = append(chunk(dst, chunkDestination4, 4), b.AsSlice()...)
	} else {
		a16, b16 := a.As16(), b.As16()
		dst = append(chunk(dst, chunkFamily, 1), 10)
		dst = append(chunk(dst, chunkSource6, 16), a16[:]...)
		dst = append(chunk(dst, chunkDestination6, 16), b16[:]...)
	}
	dst = append(chunk(dst, chunkProtocol, 1), protocolOf(m.Transport))
	dst = binary.BigEndian.AppendUint16(chunk(dst, chunkSourcePort, 2), from.Port())
	dst = binary.BigEndian.AppendUint16(chunk(dst, chunkDestPort, 2), to.Port())
	dst = binary.BigEndian.AppendUint32(chunk(dst, chunkSeconds, 4), uint32(m.Time.Unix()))
	dst = binary.BigEndian.AppendUint32(chunk(dst, chunkMicroseconds, 4), uint32(m.Time.Nanosecond()/1000))
	dst = append(chunk(dst, chunkType, 1), typeSIP)
	dst = binary.BigEndian.AppendUint32(chunk(dst, chunkNode, 4), cfg.Node)
	if len(cfg.Password) > 0 {
		dst = append(chunk(dst, chunkPassword, len(cfg.Password)), cfg.Password...)
	}
	if cfg.Name != "" {
		dst = append(chunk(dst, chunkName, len(cfg.Name)), cfg.Name...)
	}
	if m.CallID != "" {
		dst = append(chunk(dst, chunkCorrelation, len(m.CallID)), m.CallID...)
	}
	if len(dst)-start+6+len(m.Raw) > maxPacket {
		return dst[:start], ErrTooLarge
	}
	dst = append(chunk(dst, chunkPayload, len(m.Raw)), m.Raw...)
	binary.BigEndian.PutUint16(dst[start+4:], uint16(len(dst)-start))
	return dst, nil
}

// chunk appends the head of a chunk with so many bytes in it.
func chunk(dst []byte, kind uint16, size int) []byte {
	dst = binary.BigEndian.AppendUint16(dst, 0) // the vendor
	dst = binary.BigEndian.AppendUint16(dst, kind)
	return binary.BigEndian.AppendUint16(dst, uint16(6+size))
}

// protocolOf is the number of a transport in IP. What goes over TLS is told as what is below it.
func protocolOf(t sipaddr.Transport) byte {
	switch t {
	case sipaddr.UDP:
		return 17
	case sipaddr.SCTP, sipaddr.TLSSCTP:
		return 132
	}
	return 6
}

// Stats counts what became of the messages.
type Stats struct {
	Sent     uint64 // packets that were given to the system
	Queue    uint64 // dropped because too many wait
	TooLarge uint64 // dropped because they do not fit into a packet
	Failed   uint64 // that the system did not take, or of which it learned that nobody is there
}

// Exporter sends messages to a collector. Send may be called from any goroutine.
type Exporter struct {
	cfg     Config
	conn    net.Conn // owned by Run; nil: none yet, or it could not be opened
	queue   chan []byte
	waiting atomic.Int64 // bytes in queue
	stats   struct{ sent, queue, tooLarge, failed atomic.Uint64 }
}

// New makes an Exporter. It opens nothing.
func New(cfg Config) *Exporter {
	return &Exporter{cfg: cfg, queue: make(chan []byte, maxQueue)}
}

// Send queues a message. It does not block.
func (e *Exporter) Send(m *trace.Message) {
	if len(e.queue) == cap(e.queue) || e.waiting.Load() > maxWaiting {
		e.stats.queue.Add(1)
		return
	}
	packet, err := Append(make([]byte, 0, len(m.Raw)+256), &e.cfg, m)
	if err != nil {
		e.stats.tooLarge.Add(1)
		return
	}
	select {
	case e.queue <- packet:
		e.waiting.Add(int64(len(packet)))
	default:
		e.stats.queue.Add(1)
	}
}

// Run sends what is queued until ctx is done, then what is queued still, and closes the socket.
func (e *Exporter) Run(ctx context.Context) {
	defer func() {
		if e.conn != nil {
			_ = e.conn.Close()
		}
	}()
	for {
		select {
		case packet := <-e.queue:
			e.write(packet)
		case <-ctx.Done():
			for len(e.queue) > 0 {
				e.write(<-e.queue)
			}
			return
		}
	}
}

// writeTimeout bounds the time for one packet.
const writeTimeout = time.Second

func (e *Exporter) write(packet []byte) {
	e.waiting.Add(-int64(len(packet)))
	if e.conn == nil {
		conn, err := net.Dial("udp", e.cfg.Collector.String())
		if err != nil {
			e.stats.failed.Add(1)
			return
		}
		e.conn = conn
	}
	_ = e.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := e.conn.Write(packet); err != nil {
		e.stats.failed.Add(1)
		return
	}
	e.stats.sent.Add(1)
}

// Stats returns what became of the messages.
func (e *Exporter) Stats() Stats {
	return Stats{e.stats.sent.Load(), e.stats.queue.Load(), e.stats.tooLarge.Load(), e.stats.failed.Load()}
}
