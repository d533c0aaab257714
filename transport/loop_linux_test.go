package transport

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// echo is a Handler that answers each request with what its Call-ID was and a body of as many bytes as its
// Subject says.
func echo() *inbox {
	box := newInbox()
	box.handle = func(m *sip.Message, src *Source) {
		if !m.IsRequest() {
			return
		}
		n := 0
		if subject, ok := m.Header("Subject"); ok {
			_, _ = fmt.Sscan(subject, &n)
		}
		r := sip.AppendResponse(nil, m, 200, "OK", "x")
		r = bytes.Replace(r, []byte("Content-Length: 0\r\n\r\n"), fmt.Appendf(nil, "Content-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n)), 1)
		_ = src.Flow.Send(r)
	}
	return box
}

// rawClient is the far end of a connection to a bench, without any of this package's means.
func (b *bench) rawClient(t testing.TB, tr sipaddr.Transport) net.Conn {
	t.Helper()
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: siptest.Loopback(t).AsSlice()}}
	c, err := d.Dial("tcp", b.at(tr).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if tr == sipaddr.TLS {
		return tls.Client(c, &tls.Config{InsecureSkipVerify: true, ServerName: "example.com"})
	}
	return c
}

// ask writes n requests in pieces of any size, and reads the responses, which have to come in the same order.
func ask(c net.Conn, n, body int) error {
	var text []byte
	for i := range n {
		text = fmt.Appendf(text, "OPTIONS sip:x@example.com SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK%d\r\nMax-Forwards: 70\r\n"+
			"From: <sip:a@example.org>;tag=1\r\nTo: <sip:x@example.com>\r\nCall-ID: %d\r\nCSeq: 1 OPTIONS\r\nSubject: %d\r\nContent-Length: 0\r\n\r\n", i, i, body)
	}
	failed := make(chan error, 1)
	// Ends when all is written, or the connection is closed.
	go func() {
		rest := text
		for len(rest) > 0 {
			k := min(len(rest), 1+rand.IntN(3000))
			if _, err := c.Write(rest[:k]); err != nil {
				failed <- err
				return
			}
			rest = rest[k:]
		}
		failed <- nil
	}()
	r := bufio.NewReader(c)
	for i := range n {
		_ = c.SetReadDeadline(time.Now().Add(2 * patience))
		want, length := fmt.Sprintf("Call-ID: %d\r\n", i), -1
		found := false
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return fmt.Errorf("response %d: %w", i, err)
			}
			found = found || line == want
			_, _ = fmt.Sscanf(line, "Content-Length: %d", &length)
			if line == "\r\n" {
				break
			}
		}
		if !found || length != body {
			return fmt.Errorf("response %d is another one, or has %d bytes", i, length)
		}
		if _, err := io.CopyN(io.Discard, r, int64(length)); err != nil {
			return fmt.Errorf("response %d: %w", i, err)
		}
	}
	return <-failed
}

// TestLoops carries many connections at once, with no loop, one, and several. The peers write before their connection
// has come to a loop, in pieces.
func TestLoops(t *testing.T) {
	for _, loops := range []int{-1, 1, 3} {
		t.Run(fmt.Sprint(loops), func(t *testing.T) {
			ca := newPKI(t)
			b := start(t, Config{Loops: loops, Handler: echo(), Domains: []Domain{ca.domain(t, "example.com", "")}, QueueBytes: 4 << 20})
			var wg sync.WaitGroup
			for i := range 24 {
				tr, body := sipaddr.TCP, 0
				if i%2 == 0 {
					tr = sipaddr.TLS
				}
				if i%4 > 1 {
					body = 5000
				}
				c := b.rawClient(t, tr)
				wg.Go(func() {
					if err := ask(c, 300, body); err != nil {
						t.Errorf("%s, %d bytes: %v", tr, body, err)
					}
				})
			}
			wg.Wait()
			if s := b.Stats(); s.QueueFull+s.Stalled+s.Malformed+s.Panics != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestLoopBlockedWrite lets the peer read nothing until its socket and ours are full and more is waiting, and then all.
func TestLoopBlockedWrite(t *testing.T) {
	for _, tr := range []sipaddr.Transport{sipaddr.TCP, sipaddr.TLS} {
		t.Run(tr.String(), func(t *testing.T) {
			ca := newPKI(t)
			b := start(t, Config{Loops: 1, Handler: echo(), Domains: []Domain{ca.domain(t, "example.com", "")}, QueueBytes: 16 << 20, WriteTimeout: time.Minute})
			c := b.rawClient(t, tr)
			if raw, ok := c.(*net.TCPConn); ok {
				_ = raw.SetReadBuffer(16 << 10)
			}
			if err := ask(c, 1, 0); err != nil {
				t.Fatal(err)
			}
			var conn *Conn
			b.mu.Lock()
			for _, conn = range b.conns {
			}
			b.mu.Unlock()
			msg := append([]byte("MESSAGE sip:x@y SIP/2.0\r\nSubject: "), bytes.Repeat([]byte("x"), 60<<10)...)
			sent := 0
			eventually(t, "stuck", func() bool {
				for range 20 {
					if err := conn.send(msg); err != nil {
						t.Fatal(err)
					}
					sent += len(msg)
				}
				return conn.stuckSince.Load() != 0
			})
			if err := conn.send(msg); err != nil {
				t.Fatal(err)
			}
			sent += len(msg)
			got := bytes.NewBuffer(nil)
			_ = c.SetReadDeadline(time.Now().Add(2 * patience))
			if _, err := io.CopyN(got, c, int64(sent)); err != nil {
				t.Fatalf("%d of %d bytes: %v", got.Len(), sent, err)
			}
			if !bytes.Equal(got.Bytes(), bytes.Repeat(msg, sent/len(msg))) {
				t.Error("something else came")
			}
			eventually(t, "unstuck", func() bool { return conn.stuckSince.Load() == 0 })
			if err := ask(c, 100, 1000); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLoopDeadlines closes a connection in a loop whose peer takes nothing for WriteTimeout, and one that leaves a message
// unfinished for HeaderTimeout.
func TestLoopDeadlines(t *testing.T) {
	b := start(t, Config{Loops: 1, Handler: echo(), QueueBytes: 64 << 20, WriteTimeout: 100 * time.Millisecond, HeaderTimeout: 100 * time.Millisecond})
	t.Run("writing", func(t *testing.T) {
		c := b.rawClient(t, sipaddr.TCP)
		if err := ask(c, 1, 0); err != nil {
			t.Fatal(err)
		}
		var conn *Conn
		b.mu.Lock()
		for _, conn = range b.conns {
		}
		b.mu.Unlock()
		for conn.stuckSince.Load() == 0 {
			if err := conn.send(bytes.Repeat([]byte("x"), 60<<10)); err != nil {
				t.Fatal(err)
			}
		}
		if got := receive(t, b.box.closed, "the end"); got.err != errStalled {
			t.Errorf("%v", got.err)
		}
	})
	t.Run("reading", func(t *testing.T) {
		c := b.rawClient(t, sipaddr.TCP)
		if err := ask(c, 1, 0); err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte("OPTIONS sip:"))
		if got := receive(t, b.box.closed, "the end"); got.err != errSlow {
			t.Errorf("%v", got.err)
		}
	})
}

// TestLoopHandsBack begins to close connections while bytes come and go. What was asked before is answered, and then
// the connection ends.
func TestLoopHandsBack(t *testing.T) {
	for _, tr := range []sipaddr.Transport{sipaddr.TCP, sipaddr.TLS} {
		t.Run(tr.String(), func(t *testing.T) {
			ca := newPKI(t)
			box := echo()
			answer := box.handle
			var b *bench
			box.handle = func(m *sip.Message, src *Source) {
				answer(m, src)
				if m.CallID() == "20" {
					b.BeginClose(id(src.Flow), nil)
				}
			}
			ready := make(chan struct{})
			handle := box.handle
			box.handle = func(m *sip.Message, src *Source) { <-ready; handle(m, src) }
			b = start(t, Config{Loops: 2, Handler: box, Domains: []Domain{ca.domain(t, "example.com", "")}})
			close(ready)
			var wg sync.WaitGroup
			for range 20 {
				c := b.rawClient(t, tr)
				wg.Go(func() {
					if err := ask(c, 21, 100); err != nil {
						t.Error(err)
					}
					_ = c.SetReadDeadline(time.Now().Add(patience))
					if n, err := c.Read(make([]byte, 100)); err != io.EOF {
						t.Errorf("%d bytes and %v after the end", n, err)
					}
					_ = c.Close()
				})
			}
			wg.Wait()
			for range 20 {
				if got := receive(t, b.box.closed, "the end"); got.err != nil {
					t.Errorf("%v", got.err)
				}
			}
		})
	}
}

// TestLoopClosedInBatch aborts a connection in the turn in which something was queued for it, and others.
func TestLoopClosedInBatch(t *testing.T) {
	box := echo()
	answer := box.handle
	box.handle = func(m *sip.Message, src *Source) {
		answer(m, src)
		if m.CallID() == "7" {
			src.Flow.conn.abort(nil)
			if err := src.Flow.Send([]byte("x")); err != ErrClosed {
				panic("sent after the end")
			}
		}
	}
	b := start(t, Config{Loops: 2, Handler: box})
	var wg sync.WaitGroup
	for i := range 40 {
		c := b.rawClient(t, sipaddr.TCP)
		n := 7 + i%2*100
		wg.Go(func() {
			if err := ask(c, n, 10); (err == nil) != (n == 7) {
				t.Errorf("%d requests: %v", n, err)
			}
			_ = c.Close()
		})
	}
	wg.Wait()
	for range 40 {
		receive(t, b.box.closed, "the end")
	}
	eventually(t, "nothing is left", func() bool { return b.Stats().Connections == 0 })
	for _, l := range *b.loops.Load() {
		l := l
		eventually(t, "the loops have let go", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.slots)-len(l.free) <= 1 && len(l.watched) == 0
		})
	}
	if s := b.Stats(); s.Panics != 0 {
		t.Errorf("%+v", s)
	}
}

// TestLoopChurn opens and closes many connections, in all ways, while others are served.
func TestLoopChurn(t *testing.T) {
	ca := newPKI(t)
	b := start(t, Config{Loops: 2, Handler: echo(), Domains: []Domain{ca.domain(t, "example.com", "")}})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 25 {
				tr := sipaddr.TCP
				if (i+k)%3 == 0 {
					tr = sipaddr.TLS
				}
				d := net.Dialer{Timeout: patience}
				raw, err := d.Dial("tcp", b.at(tr).String())
				if err != nil {
					t.Error(err)
					return
				}
				c := raw
				if tr == sipaddr.TLS {
					c = tls.Client(raw, &tls.Config{InsecureSkipVerify: true, ServerName: "example.com"})
				}
				if err := ask(c, 5, 100*k); err != nil {
					t.Error(err)
				}
				switch k % 3 {
				case 0:
					_ = raw.(*net.TCPConn).SetLinger(0)
					_ = raw.Close()
				case 1:
					_, _ = c.Write([]byte("OPTIONS sip:half"))
					_ = c.Close()
				default:
					_ = c.Close()
				}
			}
		})
	}
	wg.Wait()
	eventually(t, "nothing is left", func() bool { return b.Stats().Connections == 0 })
}

// TestLoopLetsGo keeps the goroutine of a connection from taking it back. The loop is not woken by it any more, or else it
// would spin, and take the processor from that goroutine.
func TestLoopLetsGo(t *testing.T) {
	b := start(t, Config{Loops: 1, Handler: echo()})
	c := b.rawClient(t, sipaddr.TCP)
	if err := ask(c, 1, 0); err != nil {
		t.Fatal(err)
	}
	var conn *Conn
	b.mu.Lock()
	for _, conn = range b.conns {
	}
	b.mu.Unlock()
	l := (*b.loops.Load())[0]
	carries := func() bool { // other sockets may only be coming
		l.mu.Lock()
		defer l.mu.Unlock()
		return slices.Contains(l.slots, carried(conn))
	}
	eventually(t, "nobody writes", func() bool {
		conn.mu.Lock()
		defer conn.mu.Unlock()
		return conn.inline && !conn.awake
	})
	if !carries() {
		t.Fatal("the loop does not carry the connection")
	}
	conn.writing.Lock()
	conn.stream.own.depart()
	eventually(t, "let go", func() bool { return !carries() })
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	ready := []unix.PollFd{{Fd: int32(conn.stream.own.fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(ready, int(patience.Milliseconds())); n != 1 {
		t.Fatal(err)
	}
	// The loop may not have read its bell yet, nor be through with letting go.
	eventually(t, "nothing is ready", func() bool {
		n, err := unix.EpollWait(l.poll, make([]unix.EpollEvent, 1), 0)
		return n == 0 && err == nil
	})
	conn.writing.Unlock()
}
