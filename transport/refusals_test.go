package transport

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

func TestRefusals(t *testing.T) {
	var r refusals
	now := time.Unix(1000, 0)
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 5060)
	}
	if r.has(at(0), now) {
		t.Error("refused before it was asked")
	}
	r.add(at(0), now)
	if !r.has(at(0), now.Add(refusalLasts-1)) || r.has(at(1), now) {
		t.Error("not remembered, or of another one")
	}
	if r.has(at(0), now.Add(refusalLasts)) {
		t.Error("remembered for ever")
	}
	for i := range maxRefusals + 100 {
		r.add(at(i), now)
	}
	if len(r.until) > maxRefusals || !r.has(at(maxRefusals+99), now) {
		t.Errorf("%d are remembered", len(r.until))
	}
	r.add(at(maxRefusals+100), now.Add(refusalLasts))
	if len(r.until) != 1 {
		t.Errorf("%d are remembered after their time", len(r.until))
	}
}

// TestLargeToRefuser: an agent that has only UDP costs one dial, and not one for each large request.
func TestLargeToRefuser(t *testing.T) {
	b := start(t, Config{})
	peer := siptest.NewPeer(t, siptest.PeerConfig{})
	at := peer.Listen(sipaddr.UDP, 0)
	for range 5 {
		if a := b.must(Hop{To: resolved(sipaddr.UDP, at), Size: 5000}); a.f.Transport() != sipaddr.UDP {
			t.Fatalf("flow over %s", a.f.Transport())
		}
	}
	if s := b.Stats(); s.DialsFailed != 1 || s.LargeOverTCP != 5 || s.LargeOverUDP != 5 {
		t.Errorf("%d dials failed, %d large requests, %d of them over UDP", s.DialsFailed, s.LargeOverTCP, s.LargeOverUDP)
	}
	// What no datagram holds is not let through by what is remembered.
	if a := b.flow(Hop{To: resolved(sipaddr.UDP, at), Size: maxDatagram + 1}); a.err == nil {
		t.Error("a flow for what is too large for it")
	}
	// A connection that stands is used, whoever made it.
	peer.Listen(sipaddr.TCP, at.Port())
	b.must(Hop{To: resolved(sipaddr.TCP, at)})
	if a := b.must(Hop{To: resolved(sipaddr.UDP, at), Size: 5000}); a.f.Transport() != sipaddr.TCP {
		t.Errorf("flow over %s", a.f.Transport())
	}
}
