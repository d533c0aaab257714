package capture

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// packet is what a reader finds.
type packet struct {
	pcap     gopacket.CaptureInfo
	comments []string
	gopacket.Packet
}

// read reads a capture back.
func read(t *testing.T, file []byte) (list []packet) {
	t.Helper()
	r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, ci, options, err := r.ReadPacketDataWithOptions()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, packet{ci, options.Comments, gopacket.NewPacket(data, layers.LinkTypeRaw, gopacket.Default)})
	}
}

// TestWrite: datagrams and segments, with both versions of IP, are read back with right lengths and checksums.
func TestWrite(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file)
	if err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 5000) // 80,000 bytes
	at := time.Unix(1_800_000_000, 123_456_789).UTC()
	addr := netip.MustParseAddrPort
	sent := []Message{
		{From: addr("192.0.2.1:5060"), To: addr("192.0.2.2:5062"), Payload: []byte("odd"), Comment: "because"},
		{From: addr("[2001:db8::1]:5060"), To: addr("[2001:db8::2]:5060"), Payload: []byte("even")},
		{From: addr("192.0.2.1:4000"), To: addr("192.0.2.2:5061"), Stream: true, Payload: []byte("request one")},
		{From: addr("192.0.2.2:5061"), To: addr("192.0.2.1:4000"), Stream: true, Payload: large, Comment: "long"},
		{From: addr("192.0.2.1:4000"), To: addr("192.0.2.2:5061"), Stream: true, Payload: []byte("request two")},
		{From: addr("[fe80::1%eth0]:4000"), To: addr("[fe80::2]:5061"), Stream: true, Payload: []byte("x")},
		{From: addr("0.0.0.0:5060"), To: addr("[2001:db8::2]:5060"), Payload: []byte("from anywhere")},
	}
	for i := range sent {
		sent[i].Time = at.Add(time.Duration(i) * time.Microsecond)
		if err := w.Write(sent[i]); err != nil {
			t.Fatal(err)
		}
	}
	list := read(t, file.Bytes())
	at2 := 0
	streams := make(map[string]uint32) // what the next segment begins with
	for i := range sent {
		var payload []byte
		for first := true; len(payload) < len(sent[i].Payload); first = false {
			if at2 == len(list) {
				t.Fatalf("the capture ends before message %d does", i)
			}
			p := list[at2]
			at2++
			if e := p.ErrorLayer(); e != nil {
				t.Fatalf("message %d: %v", i, e.Error())
			}
			if l, ok := p.TransportLayer().(interface {
				SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
			}); !ok || l.SetNetworkLayerForChecksum(p.NetworkLayer()) != nil {
				t.Fatalf("message %d: %v", i, p.TransportLayer())
			}
			if errs, mismatches := p.VerifyChecksums(); errs != nil || len(mismatches) > 0 {
				t.Errorf("message %d: checksums %v %v", i, errs, mismatches)
			}
			if !p.pcap.Timestamp.Equal(sent[i].Time) {
				t.Errorf("message %d: %v, want %v", i, p.pcap.Timestamp, sent[i].Time)
			}
			if got := strings.Join(p.comments, "; "); first && got != sent[i].Comment || !first && got != "" {
				t.Errorf("message %d: comment %q", i, got)
			}
			from, to := p.NetworkLayer().NetworkFlow().Endpoints()
			if want := sent[i].To.Addr().WithZone("").String(); to.String() != want {
				t.Errorf("message %d goes from %v to %v", i, from, to)
			}
			if tcp, ok := p.TransportLayer().(*layers.TCP); ok != sent[i].Stream {
				t.Errorf("message %d: %v", i, p.TransportLayer())
			} else if ok {
				key, back := from.String()+tcp.SrcPort.String(), to.String()+tcp.DstPort.String()
				if tcp.Seq != max(streams[key], 1) || tcp.Ack != max(streams[back], 1) {
					t.Errorf("message %d: seq %d, ack %d; want %d, %d", i, tcp.Seq, tcp.Ack, streams[key], streams[back])
				}
				streams[key] = tcp.Seq + uint32(len(tcp.Payload))
				if last := len(payload)+len(tcp.Payload) == len(sent[i].Payload); tcp.PSH != last {
					t.Errorf("message %d: PSH %v", i, tcp.PSH)
				}
			}
			payload = append(payload, p.ApplicationLayer().Payload()...)
		}
		if !bytes.Equal(payload, sent[i].Payload) {
			t.Errorf("message %d came back as %d other bytes", i, len(payload))
		}
	}
	if at2 != len(list) {
		t.Errorf("%d packets, of which %d are ours", len(list), at2)
	}
}

// TestForgets: what is known of connections is bounded.
func TestForgets(t *testing.T) {
	w, err := NewWriter(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxStreams + 100 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1)
		if err := w.Write(Message{From: from, To: from, Stream: true, Payload: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.streams) != maxStreams || len(w.order) != maxStreams {
		t.Errorf("%d and %d streams are known", len(w.streams), len(w.order))
	}
}

// TestTooLarge: a datagram that cannot be is an error, and what follows it is still written well.
func TestTooLarge(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file)
	if err != nil {
		t.Fatal(err)
	}
	a := netip.MustParseAddrPort("192.0.2.1:5060")
	if err := w.Write(Message{From: a, To: a, Payload: make([]byte, 70_000)}); err == nil {
		t.Error("a datagram of 70,000 bytes was written")
	}
	if err := w.Write(Message{From: a, To: a, Payload: []byte("x")}); err != nil {
		t.Error(err)
	}
	if n := len(read(t, file.Bytes())); n != 1 {
		t.Errorf("%d packets", n)
	}
}
