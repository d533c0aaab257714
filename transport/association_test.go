package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sctp"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// userland has SCTP spoken over UDP, which needs nothing of the kernel.
var userland = sctp.Config{Kind: sctp.UDP}

// caller speaks SCTP from an address of its own, without any SIP.
func caller(t *testing.T) sctp.Provider {
	t.Helper()
	p, err := sctp.Open(sctp.Config{Kind: sctp.UDP, Addresses: []netip.Addr{siptest.Loopback(t)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// call opens an association to b, and gives what comes over it.
func call(t *testing.T, p sctp.Provider, b *bench) (sctp.Association, <-chan string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	a, err := p.Dial(ctx, b.at(sipaddr.SCTP), 0)
	if err != nil {
		t.Fatal(err)
	}
	came := make(chan string, 100)
	// Ends with the association, which the provider ends.
	go func() {
		_ = a.Serve(func(m []byte, stream uint16) { came <- fmt.Sprint(stream, " ", string(m)) })
		close(came)
	}()
	return a, came
}

const options = "OPTIONS sip:x@example.com SIP/2.0\r\nVia: SIP/2.0/SCTP 127.0.0.1;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n" +
	"From: <sip:a@example.org>;tag=1\r\nTo: <sip:x@example.com>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n"

// TestSCTPPair sends both ways between two sides: each over an association of its own.
func TestSCTPPair(t *testing.T) {
	a, b := start(t, Config{SCTP: userland}), start(t, Config{SCTP: userland})
	there := a.must(Hop{To: resolved(sipaddr.SCTP, b.at(sipaddr.SCTP))})
	if there.dec.Reason != alias.NotTLS || !there.f.Reliable() || there.f.Transport() != sipaddr.SCTP {
		t.Errorf("flow %v over %v", there.dec.Reason, there.f.Transport())
	}
	if via, want := string(there.f.AppendVia(nil, "z")), fmt.Sprintf("SIP/2.0/SCTP %s:5060;branch=z", a.ip); via != want {
		t.Errorf("Via %q, want %q", via, want)
	}
	if err := there.f.Send(request(there.f, "OPTIONS", "1")); err != nil {
		t.Fatal(err)
	}
	got := b.message()
	if got.src.Transport != sipaddr.SCTP || got.src.Remote.Addr() != a.ip || got.src.Remote.Port() == 5060 || got.src.Local != b.at(sipaddr.SCTP) {
		t.Errorf("source %+v", got.src)
	}
	if err := got.src.Flow.Send([]byte("SIP/2.0 200 OK\r\nVia: " + string(there.f.AppendVia(nil, "z9hG4bK1")) + "\r\n\r\n")); err != nil {
		t.Error(err)
	}
	if a.message().m.StatusCode() != 200 {
		t.Error("no answer")
	}
	t.Run("seed-sctp-pair", func(t *testing.T) {
		back := b.must(Hop{To: resolved(sipaddr.SCTP, a.at(sipaddr.SCTP))})
		if back.f.ID() == got.src.Flow.ID() {
			t.Error("a request takes the association that the peer opened")
		}
		eventually(t, "each side has opened one", func() bool { return len(a.Connections()) == 2 })
	})
	if again := a.must(Hop{To: resolved(sipaddr.SCTP, b.at(sipaddr.SCTP))}); again.f.ID() != there.f.ID() {
		t.Error("a second association for the same way")
	}
	if c, _ := a.Connection(id(there.f)); c.SCTP != "udp" || c.Direction != alias.Dialed {
		t.Errorf("connection %+v", c)
	}
	if len(a.Aliases())+len(b.Aliases()) != 0 {
		t.Error("an alias row without TLS")
	}
}

// TestSCTPMessages sends messages of every kind in messages of SCTP.
func TestSCTPMessages(t *testing.T) {
	b := start(t, Config{SCTP: userland})
	a, came := call(t, caller(t), b)
	send := func(text string, stream uint16) {
		t.Helper()
		if err := a.Send(t.Context(), []byte(text), stream, stream%2 == 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, body, want string
		stream           uint16
		bad              bool
	}{
		{name: "no Content-Length", body: "\r\nabc", want: "abc"},
		{name: "another stream", body: "\r\nabc", want: "abc", stream: 7},
		{name: "excess bytes", body: "Content-Length: 2\r\n\r\nabc", want: "ab"},
		{name: "too short", body: "Content-Length: 4\r\n\r\nabc", bad: true},
		{name: "large", body: "\r\n" + strings.Repeat("x", 60000), want: strings.Repeat("x", 60000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			send(options+c.body, c.stream)
			if c.bad {
				if got := receive(t, b.box.malformed, "what is malformed"); got.err == nil || got.m == nil {
					t.Errorf("%v", got.err)
				}
				return
			}
			if got := b.message(); got.m.Body() != c.want || !got.src.Flow.Reliable() {
				t.Errorf("body of %d bytes, want %d", len(got.m.Body()), len(c.want))
			}
		})
	}
	t.Run("ping", func(t *testing.T) {
		send("\r\n\r\n", 0)
		if got := receive(t, came, "a pong"); got != "0 \r\n" {
			t.Errorf("%q", got)
		}
	})
	t.Run("too large to send", func(t *testing.T) {
		send(options+"\r\n", 0)
		if err := b.message().src.Flow.Send(make([]byte, 65537)); err != ErrTooLarge {
			t.Errorf("%v", err)
		}
	})
	t.Run("one message each", func(t *testing.T) {
		send(options+"\r\n", 0)
		f := b.message().src.Flow
		for i := range 20 {
			if err := f.Send([]byte(fmt.Sprintf("SIP/2.0 200 OK\r\nX: %d\r\n\r\n", i))); err != nil {
				t.Fatal(err)
			}
		}
		seen := make(map[string]bool) // unordered, they may overtake each other
		for range 20 {
			seen[receive(t, came, "an answer")] = true
		}
		for i := range 20 {
			if text := fmt.Sprintf("0 SIP/2.0 200 OK\r\nX: %d\r\n\r\n", i); !seen[text] {
				t.Errorf("no %q", text)
			}
		}
	})
}

// TestSCTPEnds ends associations in each way that there is.
func TestSCTPEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(sctp.Association, *bench)
		want func(error) bool
	}{
		{"shut down by the peer", func(a sctp.Association, _ *bench) { _ = a.Shutdown(context.Background()) }, func(err error) bool { return err == nil }},
		{"aborted by the peer", func(a sctp.Association, _ *bench) { a.Abort("") }, func(err error) bool { return errors.Is(err, sctp.ErrAborted) }},
		{"closed here", func(_ sctp.Association, b *bench) { b.BeginClose(b.Connections()[0].ID, nil) }, func(err error) bool { return err == nil }},
		{"closed by an operator", func(_ sctp.Association, b *bench) { b.CloseNow(b.Connections()[0].ID) }, func(err error) bool { return err == ErrOperator }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := start(t, Config{SCTP: userland})
			a, came := call(t, caller(t), b)
			if err := a.Send(t.Context(), []byte(options+"\r\n"), 0, true); err != nil {
				t.Fatal(err)
			}
			f := b.message().src.Flow
			c.end(a, b)
			if got := receive(t, b.box.closed, "the end"); !c.want(got.err) || got.id != id(f) {
				t.Errorf("%d closed with %v", got.id, got.err)
			}
			for range came {
			}
			if err := f.Send([]byte("SIP/2.0 200 OK\r\n\r\n")); err != ErrClosed {
				t.Errorf("sending: %v", err)
			}
			eventually(t, "nothing is left", func() bool { return len(b.Connections()) == 0 && b.Stats().SCTP.Associations == 0 })
		})
	}
}

// TestSCTPRefused dials where nobody listens.
func TestSCTPRefused(t *testing.T) {
	b := start(t, Config{SCTP: userland})
	p := caller(t) // it speaks SCTP, and has no listener
	a, _ := call(t, p, b)
	got := b.flow(Hop{To: resolved(sipaddr.SCTP, netip.AddrPortFrom(a.LocalAddr().Addr(), 5060))})
	de, ok := errors.AsType[*DialError](got.err)
	if !ok || !de.Refused {
		t.Errorf("%v", got.err)
	}
}

// TestSCTPPeerDies cuts what is between two sides.
func TestSCTPPeerDies(t *testing.T) {
	quick := sctp.Config{Kind: sctp.UDP, RTOInitial: 200 * time.Millisecond, PingInterval: 300 * time.Millisecond, Retransmissions: 3}
	b := start(t, Config{SCTP: quick})
	here := siptest.Loopback(t)
	relay := siptest.NewRelay(t, here, netip.AddrPortFrom(b.ip, 9899))
	quick.PeerUDPPort = int(relay.Port)
	a := start(t, Config{SCTP: quick, Listen: []Listen{{sipaddr.SCTP, netip.AddrPortFrom(here, 5060)}}})
	there := a.must(Hop{To: resolved(sipaddr.SCTP, b.at(sipaddr.SCTP))})
	if err := there.f.Send(request(there.f, "OPTIONS", "1")); err != nil {
		t.Fatal(err)
	}
	b.message()
	relay.Cut()
	for _, side := range []*bench{a, b} {
		if got := receive(t, side.box.closed, "the end"); !errors.Is(got.err, sctp.ErrLost) {
			t.Errorf("closed with %v", got.err)
		}
	}
}

// TestSCTPPeerRestarts has somebody open an association from the address and port of another one, whose peer knows nothing
// of it any more.
func TestSCTPPeerRestarts(t *testing.T) {
	b := start(t, Config{SCTP: userland})
	here := siptest.Loopback(t)
	relay := siptest.NewRelay(t, here, netip.AddrPortFrom(b.ip, 9899))
	dials := func(udpPort int) sctp.Association {
		p, err := sctp.Open(sctp.Config{Kind: sctp.UDP, Addresses: []netip.Addr{here}, UDPPort: udpPort, PeerUDPPort: int(relay.Port)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		a, _ := call(t, p, b)
		if err := a.Send(t.Context(), []byte(options+"\r\n"), 0, true); err != nil {
			t.Fatal(err)
		}
		return a
	}
	before := dials(0)
	first := b.message()
	port := before.LocalAddr().Port()
	var now atomic.Uint32
	relay.Alter(func(packet []byte, there bool) {
		source, destination := packet[0:2], packet[2:4]
		if there {
			now.Store(uint32(binary.BigEndian.Uint16(source)))
			binary.BigEndian.PutUint16(source, port)
		} else {
			binary.BigEndian.PutUint16(destination, uint16(now.Load()))
		}
		clear(packet[8:12]) // RFC 9260, Appendix A
		binary.LittleEndian.PutUint32(packet[8:], crc32.Checksum(packet, crc32.MakeTable(crc32.Castagnoli)))
	})
	dials(-1)
	if got := receive(t, b.box.closed, "the end of the old one"); got.id != id(first.src.Flow) || !errors.Is(got.err, sctp.ErrRestarted) {
		t.Errorf("%d closed with %v", got.id, got.err)
	}
	if got := b.message(); got.src.Flow.ID() == first.src.Flow.ID() || got.src.Remote != first.src.Remote {
		t.Errorf("from %v over connection %d", got.src.Remote, got.src.Flow.ID())
	}
}
