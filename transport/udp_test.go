package transport

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

func TestReply(t *testing.T) {
	b := start(t, Config{})
	peer := siptest.NewPeer(t, siptest.PeerConfig{})
	peer.Listen(sipaddr.UDP, 5060)
	c := peer.Dial(sipaddr.UDP, b.at(sipaddr.UDP))
	ask := func(sentBy string, params ...string) netip.AddrPort {
		r := c.Request("OPTIONS", "sip:example.com").SetSentBy(sentBy)
		r.Via[0] = "SIP/2.0/UDP " + sentBy + ";" + params[0] + ";branch=" + r.Branch()
		c.SendRequest(r)
		got := b.message()
		via, err := got.m.TopVia()
		if err != nil {
			t.Fatal(err)
		}
		return b.Reply(got.src, via).Remote()
	}
	src := c.Local()
	for _, x := range []struct {
		name, sentBy, param string
		want                netip.AddrPort
	}{
		{"the sent-by port", "client.example:5099", "x", addrPort(src.Addr(), 5099)},
		{"the default port", "client.example", "x", addrPort(src.Addr(), 5060)},
		{"rport", "client.example:5099", "rport", src},
		{"A81 received", "192.0.2.1:5099", "received=192.0.2.1", addrPort(src.Addr(), 5099)},
		{"A81 maddr", "client.example:5099", "maddr=224.0.1.75", addrPort(src.Addr(), 5099)},
	} {
		t.Run(x.name, func(t *testing.T) {
			if got := ask(x.sentBy, x.param); got != x.want {
				t.Errorf("reply to %v, want %v", got, x.want)
			}
		})
	}
	t.Run("nobody's address", func(t *testing.T) {
		for _, a := range []string{"255.255.255.255:5060", "224.0.1.75:5060", "0.0.0.0:5060", "127.0.0.1:0"} {
			h := Hop{To: resolved(sipaddr.UDP, netip.MustParseAddrPort(a))}
			if got := b.flow(h); got.err != ErrBadAddress {
				t.Errorf("%s: %v", a, got.err)
			}
		}
	})
}

func TestReplyAfterClose(t *testing.T) {
	t.Run("TCP", func(t *testing.T) {
		b := start(t, Config{})
		peer := siptest.NewPeer(t, siptest.PeerConfig{})
		at := peer.Listen(sipaddr.TCP, 0)
		c := peer.Dial(sipaddr.TCP, b.at(sipaddr.TCP))
		c.SendRequest(c.Request("OPTIONS", "sip:example.com").SetSentBy("192.0.2.9:" + itoa(int(at.Port()))))
		got := b.message()
		via, _ := got.m.TopVia()
		f := b.Reply(got.src, via)
		c.Reset()
		receive(t, b.box.closed, "the end")
		if err := f.Send(sip.AppendResponse(nil, got.m, 200, "OK", "x")); err != nil {
			t.Fatal(err)
		}
		if r := peer.ExpectResponse(200); !r.Conn.Accepted() {
			t.Error("not over a new connection")
		}
	})
	t.Run("TLS", func(t *testing.T) {
		p := newPair(t, nil)
		c, got := p.offer(t, "192.0.2.9:"+itoa(int(p.tls.Port())))
		via, _ := got.m.TopVia()
		f := p.b.Reply(got.src, via)
		c.Reset()
		receive(t, p.b.box.closed, "the end")
		if err := f.Send(sip.AppendResponse(nil, got.m, 200, "OK", "x")); err != nil {
			t.Fatal(err)
		}
		p.peer.ExpectResponse(200)
	})
	t.Run("TLS without a certificate", func(t *testing.T) {
		p := newPair(t, nil)
		honest := p.tls
		p.peer = siptest.NewPeer(t, siptest.PeerConfig{Addr: p.peer.Addr()})
		c, got := p.offer(t, "x.example:"+itoa(int(honest.Port())))
		via, _ := got.m.TopVia()
		f := p.b.Reply(got.src, via)
		c.Reset()
		receive(t, p.b.box.closed, "the end")
		if err := f.Send([]byte("x")); err != ErrClosed {
			t.Errorf("%v", err)
		}
	})
}

func TestLarge(t *testing.T) {
	b := start(t, Config{})
	t.Run("over TCP", func(t *testing.T) {
		peer := siptest.NewPeer(t, siptest.PeerConfig{})
		at := peer.Listen(sipaddr.TCP, 0)
		a := b.must(Hop{To: resolved(sipaddr.UDP, at), Size: 1301})
		if a.f.Transport() != sipaddr.TCP || !strings.HasPrefix(string(a.f.AppendVia(nil, "x")), "SIP/2.0/TCP ") {
			t.Errorf("flow over %s", a.f.Transport())
		}
		again := b.must(Hop{To: resolved(sipaddr.TCP, at)})
		if again.f != a.f {
			t.Error("a persistent connection was not used")
		}
	})
	t.Run("refused", func(t *testing.T) {
		peer := siptest.NewPeer(t, siptest.PeerConfig{})
		at := peer.Listen(sipaddr.UDP, 0)
		a := b.must(Hop{To: resolved(sipaddr.UDP, at), Size: 5000})
		if a.f.Transport() != sipaddr.UDP {
			t.Errorf("flow over %s", a.f.Transport())
		}
		if err := a.f.Send(request(a.f, "OPTIONS", "large")); err != nil {
			t.Fatal(err)
		}
		r := peer.ExpectRequest("OPTIONS")
		r.Reply(200)
		if got := b.message(); got.m.StatusCode() != 200 {
			t.Errorf("got %q", got.m.Raw())
		}
	})
	t.Run("small", func(t *testing.T) {
		a := b.must(Hop{To: resolved(sipaddr.UDP, addrPort(siptest.Loopback(t), 5060)), Size: 1300})
		if a.f.Transport() != sipaddr.UDP {
			t.Errorf("flow over %s", a.f.Transport())
		}
	})
}

func TestStrayResponse(t *testing.T) {
	b := start(t, Config{})
	peer := siptest.NewPeer(t, siptest.PeerConfig{})
	c := peer.Dial(sipaddr.UDP, b.at(sipaddr.UDP))
	c.Send("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\n" +
		"Call-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n")
	eventually(t, "dropped", func() bool { return b.Stats().StrayResponses == 1 })
}

func TestIPv6(t *testing.T) {
	box := newInbox()
	ip := netip.IPv6Loopback()
	b := start(t, Config{Handler: box, Listen: []Listen{{sipaddr.UDP, addrPort(ip, 0)}, {sipaddr.TCP, addrPort(ip, 0)}}})
	peer := siptest.NewPeer(t, siptest.PeerConfig{Addr: ip})
	for _, tr := range []sipaddr.Transport{sipaddr.UDP, sipaddr.TCP} {
		at := peer.Listen(tr, 0)
		a := b.must(Hop{To: resolved(tr, at)})
		if err := a.f.Send(request(a.f, "OPTIONS", "six"+tr.String())); err != nil {
			t.Fatal(err)
		}
		r := peer.ExpectRequest("OPTIONS")
		if r.Source().Addr() != ip {
			t.Errorf("from %v", r.Source())
		}
		r.Reply(200)
		if got := b.message(); got.m.StatusCode() != 200 {
			t.Errorf("got %q", got.m.Raw())
		}
	}
}
