package node_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// flood is a connection of an attacker for very many messages: it keeps only what was counted.
type flood struct {
	t   *testing.T
	tcp *net.TCPConn
	tls *tls.Conn

	mu     sync.Mutex // guards the fields below
	heard  int        // bytes
	counts map[string]int
	ended  chan struct{} // closed when reading is over
}

// dialTCP opens a TCP connection from the attackers' address.
func (s *scene) dialTCP(t *testing.T, to netip.AddrPort) *net.TCPConn {
	t.Helper()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.from, 0)), Timeout: 5 * time.Second}
	c, err := d.DialContext(context.Background(), "tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

// flood opens a TLS connection; nothing is read from it before listen.
func (s *scene) flood(t *testing.T) *flood {
	t.Helper()
	f := &flood{t: t, tcp: s.dialTCP(t, s.p.at(sipaddr.TLS)), counts: make(map[string]int), ended: make(chan struct{})}
	// Attackers verify nothing.
	f.tls = tls.Client(f.tcp, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{s.cert.TLS()}})
	if err := f.tls.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if t.Failed() {
			t.Logf("answers by status: %v", f.counts)
		}
	})
	return f
}

// listen reads all that comes and counts final responses by status, and probes that are answered.
func (f *flood) listen() *flood {
	// Ends when the connection does, at the end of the test at the latest.
	go func() {
		defer close(f.ended)
		var rest []byte
		chunk := make([]byte, 64<<10)
		for {
			n, err := f.tls.Read(chunk)
			if err != nil {
				return
			}
			rest = append(rest, chunk[:n]...)
			f.mu.Lock()
			f.heard += n
			for {
				i := bytes.Index(rest, []byte("\r\n\r\n")) // no answer has a body
				if i < 0 {
					break
				}
				if m := rest[:i]; bytes.HasPrefix(m, []byte("SIP/2.0 ")) {
					f.counts[string(m[8:11])]++
					if bytes.Contains(m, []byte("\r\nCall-ID: probe-")) {
						f.counts["probe"]++
					}
					if bytes.Contains(m, []byte("\r\nRetry-After: ")) {
						f.counts["Retry-After"]++
					}
				}
				rest = rest[i+4:]
			}
			f.mu.Unlock()
		}
	}()
	return f
}

func (f *flood) count(what string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[what]
}

// send sends a stream; that the proxy may have enough of it is no error.
func (f *flood) send(stream string) {
	_ = f.tcp.SetWriteDeadline(time.Now().Add(20 * time.Second))
	_, _ = f.tls.Write([]byte(stream))
}

// sendAll sends a stream and a probe, and waits for the answer to the probe: everything has been handled.
func (f *flood) sendAll(stream string) {
	f.t.Helper()
	f.send(stream)
	before := f.count("probe")
	f.send(strings.Replace(request(sip.MethodOptions, "sip:p.example.org", siptest.Token(8)), "Call-ID: ", "Call-ID: probe-", 1))
	within(f.t, 20*time.Second, "the probe behind the flood is answered", func() bool { return f.count("probe") > before })
}

// live counts the transactions in the proxy.
func (s *scene) live() (n int) {
	for _, k := range s.p.Stats().Transactions.Live {
		n += k
	}
	return n
}

// TestFloods sends very many good messages at once. State stays within its limits, others are served
// meanwhile, and nothing is left afterwards.
func TestFloods(t *testing.T) {
	t.Parallel()
	t.Run("fl-001-invite-cancel-rapid", func(t *testing.T) {
		t.Parallel()
		s := newScene(t, sceneKind{rings: true})
		f := s.flood(t).listen()
		f.sendAll(largeStreams["fl-001-invite-cancel-rapid"]())
		s.lives(t, sipaddr.TLS)
		// Those that b's connection had no room for were refused, and those that came when too many waited for b's address.
		refused := func() int { return f.count("500") + f.count("503") + f.count("504") }
		within(t, 20*time.Second, "every INVITE and every CANCEL has a final response, and the probe", func() bool {
			return f.count("487")+f.count("200")+f.count("481")+refused() == 6001
		})
		if missed := f.count("481"); missed > refused() {
			t.Errorf("%d CANCELs found no INVITE, but only %d requests were refused", missed, refused())
		}
		s.forgets(t)
		s.leaves(t, f)
	})
	t.Run("transactions-are-limited", func(t *testing.T) {
		t.Parallel()
		const limit = 400
		s := newScene(t, sceneKind{rings: true, limits: fmt.Sprintf("transactions: %d", limit)})
		f := s.flood(t).listen()
		highest := make(chan int, 1)
		stop := make(chan struct{})
		// Ends when stop is closed.
		go func() {
			n, tick := 0, time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					n = max(n, s.live())
				case <-stop:
					highest <- n
					return
				}
			}
		}()
		f.send(repeated(2000, func(i int) string { return request(sip.MethodInvite, toB, fmt.Sprintf("inv%d", i)) }))
		within(t, 20*time.Second, "what is too much is answered 503", func() bool { return f.count("503")+s.b.count() >= 2000 })
		close(stop)
		if n := <-highest; n > 2*limit || n < limit/2 {
			t.Errorf("there were up to %d transactions, want up to %d on each side", n, limit)
		}
		if f.count("503") == 0 || f.count("503") != f.count("Retry-After") {
			t.Errorf("%d answers 503, %d with Retry-After", f.count("503"), f.count("Retry-After"))
		}
		s.b.hangUp(486)
		s.forgets(t)
		s.lives(t, sipaddr.TLS)
		s.leaves(t, f)
	})
	t.Run("fl-003-invites-then-reset", func(t *testing.T) {
		t.Parallel()
		s := newScene(t, sceneKind{rings: true})
		f := s.flood(t).listen()
		f.sendAll(repeated(500, func(i int) string { return request(sip.MethodInvite, toB, fmt.Sprintf("rst%d", i)) }))
		within(t, 20*time.Second, "all INVITEs ring", func() bool { return s.b.count() >= 500 })
		_ = f.tcp.SetLinger(0)
		_ = f.tcp.Close()
		s.gone(t)
		s.lives(t, sipaddr.TLS)
		s.b.hangUp(486) // those that were not cancelled
		s.forgets(t)
		s.lives(t, sipaddr.TLS)
	})
	t.Run("fl-004-never-read", func(t *testing.T) {
		t.Parallel()
		s := newScene(t, sceneKind{})
		f := s.flood(t)
		_ = f.tcp.SetReadBuffer(4 << 10)
		sent := make(chan struct{})
		// Ends when the proxy has closed the connection, or after the deadline of send.
		go func() {
			defer close(sent)
			f.send(largeStreams["fl-004-never-read"]())
		}()
		for done := false; !done; { // others are served all the while
			s.lives(t, sipaddr.TLS)
			select {
			case <-sent:
				done = true
			default:
			}
		}
		within(t, 15*time.Second, "the connection is closed", func() bool { return s.p.Stats().Transport.QueueFull > 0 || len(s.p.tlsConns()) == 0 })
		s.gone(t)
		s.forgets(t)
	})
	t.Run("fl-006-ack-flood", func(t *testing.T) {
		t.Parallel()
		s := newScene(t, sceneKind{})
		before := s.p.Stats().Transactions.Created
		f := s.flood(t).listen()
		f.sendAll(largeStreams["fl-006-ack-flood"]())
		after := s.p.Stats().Transactions.Created
		created := 0
		for k := range after {
			created += int(after[k] - before[k])
		}
		if created > 1 { // the probe's
			t.Errorf("%d transactions were made for ACKs", created-1)
		}
		s.lives(t, sipaddr.TLS)
		s.leaves(t, f)
	})
	t.Run("keep-alive-flood", func(t *testing.T) {
		t.Parallel()
		s := newScene(t, sceneKind{})
		f := s.flood(t).listen()
		for range 50 {
			f.send(strings.Repeat("\r\n", 4000))
		}
		f.sendAll("")
		f.mu.Lock()
		heard := f.heard
		f.mu.Unlock()
		if heard > 10<<10 {
			t.Errorf("%d bytes came back for pings", heard)
		}
		s.lives(t, sipaddr.TLS)
		s.leaves(t, f)
	})
	t.Run("silent-connections", func(t *testing.T) {
		t.Parallel()
		s := newScene(t, sceneKind{})
		for i := range 300 {
			c := s.dialTCP(t, s.p.at(sipaddr.TLS))
			if i%2 == 0 {
				_, _ = c.Write([]byte("\x16\x03\x01\x02\x00\x01")) // the beginning of a hello
			}
		}
		s.lives(t, sipaddr.TLS)
		within(t, 10*time.Second, "none is left at the end of the time for a handshake", func() bool {
			st := s.p.Stats().Transport
			return st.Pending == 0 && st.Connections <= 1
		})
		s.lives(t, sipaddr.TLS)
	})
	t.Run("plaintext-on-the-tls-port", func(t *testing.T) {
		t.Parallel()
		s := newScene(t, sceneKind{})
		mark := s.b.count()
		for _, text := range []string{request(sip.MethodMessage, toB, "plain"), "GET / HTTP/1.1\r\n\r\n", strings.Repeat("\xff", 5000), "\x80\x2e\x01\x03\x00"} {
			c := s.dialTCP(t, s.p.at(sipaddr.TLS))
			_, _ = c.Write([]byte(text))
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
			var b [512]byte
			for {
				n, err := c.Read(b[:])
				if bytes.Contains(b[:n], []byte("SIP/2.0")) {
					t.Errorf("%q was answered", text)
				}
				if ne, ok := err.(net.Error); ok && ne.Timeout() {
					t.Errorf("%.20q: the connection stays open", text)
				}
				if err != nil {
					break
				}
			}
		}
		if out := s.b.since(mark); len(out) > 0 {
			t.Errorf("%q came out", out[0].Text)
		}
		s.lives(t, sipaddr.TLS)
	})
}

// leaves closes a flood and waits until nothing of it is left.
func (s *scene) leaves(t *testing.T, f *flood) {
	t.Helper()
	_ = f.tcp.Close()
	<-f.ended
	s.gone(t)
}
