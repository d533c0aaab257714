package hep

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/internal/trace"
	"github.com/tandem-sip/tandem/sipaddr"
)

// decoded is a packet as the specification of HEP version 3 has it: by the type of the chunk.
type decoded map[uint16][]byte

// decode reads a packet, of which everything has to be as the specification says.
func decode(t *testing.T, b []byte) decoded {
	t.Helper()
	if len(b) < 6 || string(b[:4]) != "HEP3" || int(binary.BigEndian.Uint16(b[4:])) != len(b) {
		t.Fatalf("no packet: %x", b)
	}
	d := make(decoded)
	for rest := b[6:]; len(rest) > 0; {
		if len(rest) < 6 {
			t.Fatalf("%d bytes are left over", len(rest))
		}
		vendor, kind, size := binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:]), int(binary.BigEndian.Uint16(rest[4:]))
		if vendor != 0 || size < 6 || size > len(rest) || d[kind] != nil {
			t.Fatalf("chunk %d of vendor %d with %d of %d bytes", kind, vendor, size, len(rest))
		}
		d[kind] = rest[6:size]
		rest = rest[size:]
	}
	// By the specification these have a size each.
	for kind, size := range map[uint16]int{1: 1, 2: 1, 3: 4, 4: 4, 5: 16, 6: 16, 7: 2, 8: 2, 9: 4, 10: 4, 11: 1, 12: 4} {
		if c, ok := d[kind]; ok && len(c) != size {
			t.Errorf("chunk %d has %d bytes, not %d", kind, len(c), size)
		}
	}
	return d
}

var at = time.Unix(1_800_000_000, 123_456_789)

// TestAppend: what is received and sent, over each transport and both versions of IP.
func TestAppend(t *testing.T) {
	cfg := &Config{Node: 2001, Name: "p1", Password: []byte("secret")}
	m4 := trace.Message{Time: at, Local: netip.MustParseAddrPort("192.0.2.1:5061"), Remote: netip.MustParseAddrPort("198.51.100.7:40000"), CallID: "a@b", Raw: []byte("OPTIONS ...")}
	m6 := trace.Message{Time: at, Local: netip.MustParseAddrPort("[2001:db8::1]:5060"), Remote: netip.MustParseAddrPort("[2001:db8::2%eth0]:5062"), Raw: []byte("SIP/2.0 ...")}
	for _, c := range []struct {
		name      string
		m         trace.Message
		transport sipaddr.Transport
		sent      bool
		protocol  byte
	}{
		{"received over TLS", m4, sipaddr.TLS, false, 6}, {"sent over UDP", m4, sipaddr.UDP, true, 17},
		{"received over TCP and IPv6", m6, sipaddr.TCP, false, 6}, {"sent over SCTP and IPv6", m6, sipaddr.SCTP, true, 132},
	} {
		c.m.Transport, c.m.Sent = c.transport, c.sent
		b, err := Append([]byte("before"), cfg, &c.m)
		if err != nil || !bytes.HasPrefix(b, []byte("before")) {
			t.Fatalf("%s: %v", c.name, err)
		}
		d := decode(t, b[len("before"):])
		from, to := c.m.Remote, c.m.Local
		if c.sent {
			from, to = to, from
		}
		family, src, dst := byte(2), d[3], d[4]
		if to.Addr().Is6() {
			family, src, dst = 10, d[5], d[6]
		}
		if d[1][0] != family || !bytes.Equal(src, from.Addr().WithZone("").AsSlice()) || !bytes.Equal(dst, to.Addr().WithZone("").AsSlice()) {
			t.Errorf("%s: family %d, from %x to %x", c.name, d[1], src, dst)
		}
		if d[2][0] != c.protocol || binary.BigEndian.Uint16(d[7]) != from.Port() || binary.BigEndian.Uint16(d[8]) != to.Port() {
			t.Errorf("%s: protocol %d, ports %x to %x", c.name, d[2], d[7], d[8])
		}
		if binary.BigEndian.Uint32(d[9]) != uint32(at.Unix()) || binary.BigEndian.Uint32(d[10]) != 123_456 || d[11][0] != 1 ||
			binary.BigEndian.Uint32(d[12]) != 2001 || string(d[14]) != "secret" || string(d[19]) != "p1" {
			t.Errorf("%s: %v", c.name, d)
		}
		if string(d[15]) != string(c.m.Raw) || string(d[17]) != c.m.CallID {
			t.Errorf("%s: %v", c.name, d)
		}
	}
	m4.Raw = make([]byte, 65_500)
	if b, err := Append(nil, cfg, &m4); !errors.Is(err, ErrTooLarge) || len(b) != 0 {
		t.Errorf("a message that does not fit: %v", err)
	}
}

// TestExporter: a collector gets what was sent, in its order; what it is too slow for is dropped and counted.
func TestExporter(t *testing.T) {
	collector, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer collector.Close()
	e := New(Config{Collector: collector.LocalAddr().(*net.UDPAddr).AddrPort()})
	local, remote := netip.MustParseAddrPort("192.0.2.1:5060"), netip.MustParseAddrPort("192.0.2.2:5060")
	message := func(i int) *trace.Message {
		return &trace.Message{Time: at, Local: local, Remote: remote, Raw: binary.BigEndian.AppendUint32(nil, uint32(i))}
	}
	// Nobody takes them out of the queue yet.
	for i := range maxQueue + 10 {
		e.Send(message(i))
	}
	e.Send(&trace.Message{Time: at, Local: local, Remote: remote, Raw: make([]byte, 70_000)})
	if s := e.Stats(); s != (Stats{Queue: 11}) {
		t.Errorf("with a full queue: %+v", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { e.Run(ctx) })
	buf := make([]byte, 1<<16)
	last := -1
	for range 100 { // of so many at once the system drops some
		if err := collector.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, _, err := collector.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		i := int(binary.BigEndian.Uint32(decode(t, buf[:n])[15]))
		if i <= last {
			t.Errorf("message %d comes after %d", i, last)
		}
		last = i
	}
	cancel()
	wg.Wait()
	if s := e.Stats(); s.Sent+s.Failed != maxQueue || e.waiting.Load() != 0 {
		t.Errorf("at the end: %+v, %d bytes wait", s, e.waiting.Load())
	}
	e.Send(&trace.Message{Time: at, Local: local, Remote: remote, Raw: make([]byte, 70_000)})
	if s := e.Stats(); s.TooLarge != 1 {
		t.Errorf("too large: %+v", s)
	}
	for range 300 { // by their bytes
		e.Send(&trace.Message{Time: at, Local: local, Remote: remote, Raw: make([]byte, 60_000)})
	}
	if w := e.waiting.Load(); w > maxWaiting+1<<16 || w < maxWaiting/2 {
		t.Errorf("%d bytes wait", w)
	}
}
