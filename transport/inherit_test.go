package transport

import (
	"net/netip"
	"testing"
)

// TestHoldBack: only new requests that offer reuse are held back, and the CANCELs of those; the rest goes on.
func TestHoldBack(t *testing.T) {
	c := &Conn{remote: netip.MustParseAddrPort("192.0.2.1:5061")}
	text := func(method, branch, more string) []byte {
		return []byte(method + " sip:a@example.com SIP/2.0\r\nVia: SIP/2.0/TLS p.example.net;branch=z9hG4bK" + branch + more + "\r\n" +
			"From: <sip:b@example.net>;tag=1\r\nTo: <sip:a@example.com>\r\nCall-ID: 1\r\nCSeq: 1 " + method + "\r\nContent-Length: 0\r\n\r\n")
	}
	if c.holdBack(text("INVITE", "1", ";alias")) {
		t.Error("held back although nobody asked for that")
	}
	c.held.on.Store(true)
	for _, x := range []struct {
		name string
		raw  []byte
		want bool
	}{
		{"an INVITE without alias", text("INVITE", "2", ""), false},
		{"a CANCEL for what is under way", text("CANCEL", "1", ";alias"), false},
		{"an INVITE", text("INVITE", "3", ";alias"), true},
		{"its CANCEL", text("CANCEL", "3", ";alias"), true},
		{"an ACK", text("ACK", "1", ";alias"), false},
		{"a response", []byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS p.example.net;branch=z9hG4bK1;alias\r\n\r\n"), false},
		{"what cannot be read", []byte("x\r\n\r\n"), false},
	} {
		if got := c.holdBack(x.raw); got != x.want {
			t.Errorf("%s: held back: %v", x.name, got)
		}
	}
	for len(c.held.requests) < maxHeld {
		c.holdBack(text("MESSAGE", "4", ";alias"))
	}
	if c.holdBack(text("MESSAGE", "5", ";alias")) {
		t.Error("there is no limit")
	}
}
