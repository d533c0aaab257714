package siptest_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// TestCall places a call over each transport, from both ends of the bench.
func TestCall(t *testing.T) {
	for _, tr := range []sipaddr.Transport{sipaddr.UDP, sipaddr.TCP, sipaddr.TLS} {
		t.Run(tr.String(), func(t *testing.T) {
			t.Parallel()
			ca := siptest.NewCA(t)
			bob := siptest.NewPeer(t, siptest.PeerConfig{Name: "bob", Cert: ca.Domain(t, "example.net"), Trust: ca.Pool(), Handle: siptest.AnswerAll})
			alice := siptest.NewPeer(t, siptest.PeerConfig{Name: "alice", Cert: ca.Domain(t, "example.com"), Trust: ca.Pool()})
			to := bob.Listen(tr, 5060)
			alice.Listen(tr, 5060)
			c := alice.DialName(tr, to, "example.net")

			invite := c.Request("INVITE", "sip:bob@"+to.String())
			c.SendRequest(invite)
			alice.ExpectResponse(100)
			alice.ExpectResponse(180)
			ok := c.ExpectResponse(2)
			if !strings.Contains(ok.Body(), "m=audio") {
				t.Errorf("200 with the body %q", ok.Body())
			}
			c.SendRequest(invite.Ack(ok))
			c.SendRequest(invite.InDialog("BYE", ok))
			alice.ExpectFinal("BYE")

			got := bob.ExpectRequest("INVITE")
			if err := got.Validate(); err != nil {
				t.Errorf("the INVITE: %v", err)
			}
			ack, bye := bob.ExpectRequest("ACK"), bob.ExpectRequest("BYE")
			if ack.Branch() == got.Branch() || bye.Branch() == ack.Branch() {
				t.Error("a branch was used twice")
			}
			if to, _ := bye.To(); to.Tag() == "" {
				t.Error("BYE without a tag in To")
			}

			// And back, in the same dialog.
			got.Conn.SendRequest(got.InDialog("BYE", got.Conn))
			back := alice.ExpectRequest("BYE")
			if back.CallID() != got.CallID() {
				t.Errorf("Call-ID %q, want %q", back.CallID(), got.CallID())
			}
			back.Reply(481)
			bob.ExpectResponse(481)
			if tr != sipaddr.UDP && bob.Accept() != got.Conn {
				t.Error("the INVITE did not come on the accepted connection")
			}
			if tr == sipaddr.TLS && c.TLS().PeerCertificates[0].DNSNames[0] != "example.net" {
				t.Error("another certificate than bob's")
			}
		})
	}
}

// TestRequestsAreSIP reads what the templates write.
func TestRequestsAreSIP(t *testing.T) {
	p := siptest.NewPeer(t, siptest.PeerConfig{})
	c := p.Dial(sipaddr.UDP, netip.MustParseAddrPort("127.0.0.1:9"))
	for _, method := range []string{"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "MESSAGE", "REGISTER", "SUBSCRIBE"} {
		t.Run(method, func(t *testing.T) {
			r := c.Request(method, "sip:bob@example.net")
			r.Route = []string{"<sip:p1.example.com;lr>"}
			r.Headers = []string{"Subject: hello"}
			r.SetSentBy("p0.example.org", "alias")
			m, err := sip.Parse(r.String())
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Validate(); err != nil {
				t.Fatal(err)
			}
			via, _ := m.TopVia()
			if m.Method() != method || m.Branch() != r.Branch() || !via.Alias || via.Host != "p0.example.org" || m.Count(sip.FieldRoute) != 1 {
				t.Errorf("not what was asked for:\n%s", r)
			}
		})
	}
}

// TestPieces sends a message in every way that a stream allows.
func TestPieces(t *testing.T) {
	bob := siptest.NewPeer(t, siptest.PeerConfig{Name: "bob"})
	alice := siptest.NewPeer(t, siptest.PeerConfig{Name: "alice"})
	c := alice.Dial(sipaddr.TCP, bob.Listen(sipaddr.TCP, 0))
	text := c.Request("MESSAGE", "sip:bob@example.net").String()

	c.SendBytewise(text)
	c.SendPieces("\r\n\r\n"+text+text+"\r\n", 1, 3, 100, len(text)+50)
	for range 3 {
		if got := bob.ExpectRequest("MESSAGE"); got.Text != text {
			t.Fatalf("got %q, want %q", got.Text, text)
		}
	}
	bob.Expect("a ping", func(r *siptest.Received) bool { return r.Text == "\r\n\r\n" })
	server := bob.Accept()
	server.ExpectPong()

	server.Stall()
	c.Send(text)
	bob.ExpectNoRequest(50*time.Millisecond, "MESSAGE")
	server.Resume()
	bob.ExpectRequest("MESSAGE")
	c.CloseWrite()
	if err := server.ExpectClosed(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
	if server.Heard() != 4*len(text)+6 {
		t.Errorf("heard %d bytes", server.Heard())
	}
	server.Send("SIP/2.0 200 OK\r\nl: 0\r\n\r\n") // half open still
	server.Reset()
	if err := c.ExpectClosed(); err == nil || !c.Closed() {
		t.Errorf("the end is %v", err)
	}
	bob.ExpectSilence(0, nil)
	alice.ExpectNoRequest(0, "")
	if n := len(bob.Received()); n != 6 {
		t.Errorf("%d things came", n)
	}
}

// TestHandshakeRefused has a dialer that shows a certificate of an authority that nobody trusts.
func TestHandshakeRefused(t *testing.T) {
	ca, other := siptest.NewCA(t), siptest.NewCA(t)
	bob := siptest.NewPeer(t, siptest.PeerConfig{
		Name: "bob", Cert: ca.Domain(t, "example.net"), Trust: ca.Pool(),
		TLS: func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert },
	})
	to := bob.Listen(sipaddr.TLS, 0)
	mallory := siptest.NewPeer(t, siptest.PeerConfig{Name: "mallory", Cert: other.Domain(t, "example.com")})
	if c, err := mallory.TryDial(sipaddr.TLS, to, ""); err == nil { // in TLS 1.3 the refusal comes later
		if c.ExpectClosed() == nil {
			t.Error("no alert")
		}
	}
	if errs := bob.HandshakeFailures(1); len(errs) != 1 {
		t.Errorf("failures: %v", errs)
	}
	bob.StopListening(sipaddr.TLS)
	if _, err := mallory.TryDial(sipaddr.TLS, to, ""); err == nil {
		t.Error("the port is still open")
	}
}

// TestCloseEndsHandshakes closes a peer whom somebody dialed without a word.
func TestCloseEndsHandshakes(t *testing.T) {
	bob := siptest.NewPeer(t, siptest.PeerConfig{Name: "bob", Cert: siptest.NewCA(t).Domain(t, "example.net"), Wait: time.Minute})
	silent := siptest.NewPeer(t, siptest.PeerConfig{Name: "silent"})
	c := silent.Dial(sipaddr.TCP, bob.Listen(sipaddr.TLS, 0))
	began := time.Now()
	bob.Close()
	_ = c.ExpectClosed()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("closing took %v", took)
	}
}

// TestLoopback holds that addresses differ and that fixed ports on them are free.
func TestLoopback(t *testing.T) {
	seen := make(map[netip.Addr]bool)
	for range 20 {
		a := siptest.Loopback(t)
		if seen[a] || !a.IsLoopback() {
			t.Fatalf("got %v again, or no loopback address", a)
		}
		seen[a] = true
		p := siptest.NewPeer(t, siptest.PeerConfig{Addr: a})
		p.Listen(sipaddr.UDP, 5060)
		p.Listen(sipaddr.TCP, 5060)
	}
}

// recorder is a test that fails without ending ours.
type recorder struct {
	testing.TB
	text string
}

// Fatalf notes the text and leaves as Fatalf does.
func (r *recorder) Fatalf(format string, args ...any) {
	r.text = strings.TrimSpace(format)
	for _, a := range args {
		if s, ok := a.(interface{ String() string }); ok {
			r.text += s.String()
		} else if s, ok := a.(string); ok {
			r.text += s
		}
	}
	panic(r)
}

// TestFailureShowsTheWire holds that a failed expectation tells what was on the wire.
func TestFailureShowsTheWire(t *testing.T) {
	r := &recorder{TB: t}
	bob := siptest.NewPeer(r, siptest.PeerConfig{Name: "bob", Wait: 50 * time.Millisecond})
	alice := siptest.NewPeer(r, siptest.PeerConfig{Name: "alice"})
	c := alice.Dial(sipaddr.UDP, bob.Listen(sipaddr.UDP, 0))
	c.SendRequest(c.Request("OPTIONS", "sip:bob@example.net"))
	bob.ExpectRequest("OPTIONS")
	defer func() {
		if recover() == nil {
			t.Error("the expectation did not fail")
		}
		for _, want := range []string{"a INVITE request", "alice#1 UDP", "bob#1 UDP", "OPTIONS sip:bob@example.net SIP/2.0"} {
			if !strings.Contains(r.text, want) {
				t.Errorf("no %q in:\n%s", want, r.text)
			}
		}
	}()
	bob.ExpectRequest("INVITE")
}

// Resume may come at any moment, as Close calls it: reading goes on.
func TestResumeWhileReading(t *testing.T) {
	server := siptest.NewPeer(t, siptest.PeerConfig{Name: "server", Handle: siptest.Answer(200)})
	at := server.Listen(sipaddr.TCP, 0)
	client := siptest.NewPeer(t, siptest.PeerConfig{Name: "client"})
	conn := client.Dial(sipaddr.TCP, at)
	accepted := server.Accept()
	done := make(chan struct{})
	for range 3 {
		// Ends when all has been answered.
		go func() {
			for {
				select {
				case <-done:
					return
				default:
					accepted.Resume()
				}
			}
		}()
	}
	defer close(done)
	for range 20 {
		conn.SendRequest(conn.Request(sip.MethodOptions, "sip:server@example.com"))
		client.ExpectResponse(200)
	}
}
