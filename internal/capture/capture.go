// Package capture writes SIP messages as a capture file that packet tools read: what was said over TLS as well, for
// it takes the messages as the proxy has them, and makes the packets around them.
package capture

import (
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Message is one message as it stands in a capture.
type Message struct {
	Time     time.Time
	From, To netip.AddrPort
	// Stream says that it went over a connection; it then stands in segments of TCP, without the TLS that there may
	// have been. Otherwise it stands in a datagram of UDP.
	Stream  bool
	Payload []byte
	// Comment stands beside the packet; "" for none.
	Comment string
}

// Writer writes a capture in the form pcapng, with IP packets. One goroutine uses it.
type Writer struct {
	out *pcapgo.NgWriter
	buf gopacket.SerializeBuffer
	ids uint16 // of IPv4 packets

	// streams has where each direction of a connection stands; the oldest is forgotten.
	streams map[ends]uint32
	order   []ends
}

// ends are those of one direction of a connection.
type ends struct{ from, to netip.AddrPort }

const (
	maxSegment = 32 << 10 // bytes of a message in one segment
	maxStreams = 10_000
	// maxDatagram is what UDP carries over IPv4, 28 bytes less than an IPv4 packet can have.
	maxDatagram = 65535 - 28
	firstByte   = 1 // the sequence number that a direction begins with
	window      = 65535
	hops        = 64
)

// NewWriter begins a capture.
func NewWriter(w io.Writer) (*Writer, error) {
	options := pcapgo.DefaultNgWriterOptions
	options.SectionInfo.Application = "tandem"
	options.SectionInfo.Comment = "SIP as the proxy has it: decrypted, in packets that were made around it"
	out, err := pcapgo.NewNgWriterInterface(w, pcapgo.NgInterface{Name: "tandem", LinkType: layers.LinkTypeRaw, TimestampResolution: 9, SnapLength: 0}, options)
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	return &Writer{out: out, buf: gopacket.NewSerializeBuffer(), streams: make(map[ends]uint32)}, nil
}

// Write writes a message, and what was written before to the end. A datagram that could not have been is an error, and
// nothing was written then.
func (w *Writer) Write(m Message) error {
	if !m.Stream && len(m.Payload) > maxDatagram {
		return fmt.Errorf("capture: a datagram of %d bytes", len(m.Payload))
	}
	m.From, m.To = ofOneFamily(m.From, m.To)
	payload, comment := m.Payload, m.Comment
	for first := true; first || len(payload) > 0; first = false {
		n := len(payload)
		if m.Stream {
			n = min(n, maxSegment)
		}
		if err := w.packet(&m, payload[:n], n == len(payload)); err != nil {
			return err
		}
		options := pcapgo.NgPacketOptions{}
		if comment != "" {
			options.Comments, comment = []string{comment}, ""
		}
		b := w.buf.Bytes()
		if err := w.out.WritePacketWithOptions(gopacket.CaptureInfo{Timestamp: m.Time, Length: len(b), CaptureLength: len(b)}, b, options); err != nil {
			return fmt.Errorf("capture: %w", err)
		}
		payload = payload[n:]
	}
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	return nil
}

// packet makes a packet of IP with a part of a message in it.
func (w *Writer) packet(m *Message, payload []byte, last bool) error {
	protocol := layers.IPProtocolUDP
	if m.Stream {
		protocol = layers.IPProtocolTCP
	}
	ip, network := w.header(m, protocol)
	var transport gopacket.SerializableLayer
	if m.Stream {
		tcp := &layers.TCP{
			SrcPort: layers.TCPPort(m.From.Port()), DstPort: layers.TCPPort(m.To.Port()), ACK: true, PSH: last, Window: window,
			Seq: w.next(ends{m.From, m.To}, len(payload)), Ack: w.next(ends{m.To, m.From}, 0),
		}
		if err := tcp.SetNetworkLayerForChecksum(network); err != nil {
			return fmt.Errorf("capture: %w", err)
		}
		transport = tcp
	} else {
		udp := &layers.UDP{SrcPort: layers.UDPPort(m.From.Port()), DstPort: layers.UDPPort(m.To.Port())}
		if err := udp.SetNetworkLayerForChecksum(network); err != nil {
			return fmt.Errorf("capture: %w", err)
		}
		transport = udp
	}
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(w.buf, options, ip, transport, gopacket.Payload(payload)); err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	return nil
}

// header makes the header of IP.
func (w *Writer) header(m *Message, protocol layers.IPProtocol) (gopacket.SerializableLayer, gopacket.NetworkLayer) {
	if m.To.Addr().Is4() {
		w.ids++
		ip := &layers.IPv4{Version: 4, TTL: hops, Id: w.ids, Protocol: protocol, SrcIP: m.From.Addr().AsSlice(), DstIP: m.To.Addr().AsSlice()}
		return ip, ip
	}
	ip := &layers.IPv6{Version: 6, HopLimit: hops, NextHeader: protocol, SrcIP: m.From.Addr().AsSlice(), DstIP: m.To.Addr().AsSlice()}
	return ip, ip
}

// next returns where a direction of a connection stands, and moves on.
func (w *Writer) next(e ends, n int) uint32 {
	at, known := w.streams[e]
	if !known {
		if at = firstByte; n == 0 {
			return at
		}
		if len(w.order) == maxStreams {
			delete(w.streams, w.order[0])
			w.order = w.order[1:]
		}
		w.order = append(w.order, e)
	}
	w.streams[e] = at + uint32(n)
	return at
}

// ofOneFamily makes two addresses such as may stand in one header.
func ofOneFamily(a, b netip.AddrPort) (from, to netip.AddrPort) {
	x, y := a.Addr().Unmap().WithZone(""), b.Addr().Unmap().WithZone("")
	if x.Is4() != y.Is4() || !x.IsValid() || !y.IsValid() {
		x, y = as6(x), as6(y)
	}
	return netip.AddrPortFrom(x, a.Port()), netip.AddrPortFrom(y, b.Port())
}

// as6 is an address as IPv6 has it; an unspecified one stays that.
func as6(a netip.Addr) netip.Addr {
	if !a.IsValid() || a.IsUnspecified() {
		return netip.IPv6Unspecified()
	}
	return netip.AddrFrom16(a.As16())
}
