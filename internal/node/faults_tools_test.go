package node_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/framing"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// farm is a server without a memory, for loads: it answers each request over TLS at once, or does not even read.
type farm struct {
	listener net.Listener
	deaf     atomic.Bool // new connections are accepted, and after the handshake nothing is read
	mute     atomic.Bool // requests are read and not answered
	requests atomic.Int64
	pings    atomic.Int64 // answered
	open     atomic.Int64 // connections

	mu    sync.Mutex // guards the fields below
	conns map[net.Conn]bool
	run   sync.WaitGroup
}

func newFarm(t testing.TB, at netip.AddrPort, pair tls.Certificate) *farm {
	t.Helper()
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	f := &farm{listener: l, conns: make(map[net.Conn]bool)}
	cfg := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert}
	f.run.Add(1)
	// Ends when the listener is closed, at the end of the test.
	go func() {
		defer f.run.Done()
		for {
			socket, err := l.AcceptTCP()
			if err != nil {
				return
			}
			_ = socket.SetReadBuffer(4096)
			f.mu.Lock()
			f.conns[socket] = true
			f.run.Add(1)
			f.mu.Unlock()
			// Ends when the connection does, at the end of the test at the latest.
			go func() {
				defer f.run.Done()
				f.serve(tls.Server(socket, cfg))
				_ = socket.Close()
				f.mu.Lock()
				delete(f.conns, socket)
				f.mu.Unlock()
			}()
		}
	}()
	t.Cleanup(f.close)
	return f
}

// close closes everything and returns when nothing runs any more.
func (f *farm) close() {
	_ = f.listener.Close()
	f.mu.Lock()
	for c := range f.conns {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.run.Wait()
}

func (f *farm) serve(c *tls.Conn) {
	if c.Handshake() != nil {
		return
	}
	f.open.Add(1)
	defer f.open.Add(-1)
	if f.deaf.Load() {
		// Nothing is read; the end shows when something cannot be written any more.
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if gone(c.NetConn()) {
				return
			}
		}
	}
	var d framing.Decoder
	var buf []byte
	chunk := make([]byte, 64<<10)
	for {
		n, err := c.Read(chunk)
		if err != nil {
			return
		}
		buf = append(buf, chunk[:n]...)
		var out []byte
		for {
			kind, n, err := d.Next(buf)
			if err != nil {
				return
			}
			if kind == framing.More {
				break
			}
			unit := string(buf[:n])
			buf = buf[n:]
			switch {
			case f.mute.Load():
			case kind == framing.Ping:
				f.pings.Add(1)
				out = append(out, "\r\n"...)
			case kind == framing.Message:
				f.requests.Add(1)
				if m, err := sip.Parse(unit); err == nil && m.IsRequest() && m.Method() != sip.MethodAck {
					out = sip.AppendResponse(out, m, 200, "", "farm")
				}
			}
		}
		if len(out) > 0 {
			if _, err := c.Write(out); err != nil {
				return
			}
		}
	}
}

// gone tells whether the other side has reset or closed a connection, without reading from it what is not.
func gone(c net.Conn) bool {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	return socketError(raw)
}

// asker sends requests from one UDP socket and notes when each has its final response. It sends again what is
// not answered.
type asker struct {
	t      testing.TB
	socket *net.UDPConn
	to     netip.AddrPort
	done   chan struct{}
	run    sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	pending map[string]*asked
	status  map[int]int
}

type asked struct {
	began, next time.Time
	text        []byte
	got         func(status int, after time.Duration)
}

func newAsker(t testing.TB, at netip.Addr, to netip.AddrPort) *asker {
	t.Helper()
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
	if err != nil {
		t.Fatal(err)
	}
	_ = socket.SetReadBuffer(4 << 20)
	a := &asker{t: t, socket: socket, to: to, done: make(chan struct{}), pending: make(map[string]*asked), status: make(map[int]int)}
	a.run.Add(2)
	// Ends when the socket is closed, at the end of the test.
	go a.read()
	// Ends when done is closed, at the end of the test.
	go a.repeat()
	t.Cleanup(func() {
		_ = socket.Close()
		close(a.done)
		a.run.Wait()
	})
	return a
}

// ask sends a MESSAGE with a body of some size and has got called when it is answered.
func (a *asker) ask(uri string, size int, got func(status int, after time.Duration)) {
	id := siptest.Token(16)
	var b strings.Builder
	local := a.socket.LocalAddr().String()
	b.WriteString("MESSAGE " + uri + " SIP/2.0\r\nVia: SIP/2.0/UDP " + local + ";rport;branch=z9hG4bK" + id + "\r\nMax-Forwards: 70\r\n" +
		"From: <sip:alice@example.com>;tag=1\r\nTo: <" + uri + ">\r\nCall-ID: " + id + "\r\nCSeq: 1 MESSAGE\r\n" +
		"Content-Type: text/plain\r\nContent-Length: " + strconv.Itoa(size) + "\r\n\r\n" + strings.Repeat("x", size))
	now := time.Now()
	r := &asked{began: now, next: now.Add(time.Second), text: []byte(b.String()), got: got}
	a.mu.Lock()
	a.pending[id] = r
	a.mu.Unlock()
	_, _ = a.socket.WriteToUDPAddrPort(r.text, a.to)
}

func (a *asker) read() {
	defer a.run.Done()
	buf := make([]byte, 64<<10)
	for {
		n, err := a.socket.Read(buf)
		if err != nil {
			return
		}
		m, err := sip.Parse(string(buf[:n]))
		if err != nil || m.IsRequest() || m.StatusCode() < 200 {
			continue
		}
		a.mu.Lock()
		r := a.pending[m.CallID()]
		delete(a.pending, m.CallID())
		if r != nil {
			a.status[m.StatusCode()]++
		}
		a.mu.Unlock()
		if r != nil && r.got != nil {
			r.got(m.StatusCode(), time.Since(r.began))
		}
	}
}

// repeat sends again what has no answer yet.
func (a *asker) repeat() {
	defer a.run.Done()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-a.done:
			return
		case now := <-tick.C:
			a.mu.Lock()
			for _, r := range a.pending {
				if now.After(r.next) {
					r.next = now.Add(2 * time.Second)
					_, _ = a.socket.WriteToUDPAddrPort(r.text, a.to)
				}
			}
			a.mu.Unlock()
		}
	}
}

// left counts the requests without a final response.
func (a *asker) left() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.pending)
}

// answers counts the final responses by status.
func (a *asker) answers() map[int]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[int]int)
	for s, n := range a.status {
		out[s] = n
	}
	return out
}

// relay stands between two ends of TCP connections and can spoil what it passes on.
type relay struct {
	listener net.Listener
	to       string
	forth    atomic.Int64 // bytes to pass until one is spoiled, towards the listening end; negative: none
	back     atomic.Int64
	run      sync.WaitGroup

	mu    sync.Mutex // guards the field below
	conns []net.Conn
}

func newRelay(t testing.TB, at, to netip.AddrPort) *relay {
	t.Helper()
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: l, to: to.String()}
	r.forth.Store(-1)
	r.back.Store(-1)
	r.run.Add(1)
	// Ends when the listener is closed, at the end of the test.
	go func() {
		defer r.run.Done()
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", r.to)
			if err != nil {
				_ = in.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, in, out)
			r.mu.Unlock()
			r.run.Add(2)
			// Both end when a side ends the connection, at the end of the test at the latest.
			go r.pass(out, in, &r.forth)
			// As above.
			go r.pass(in, out, &r.back)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		r.mu.Lock()
		for _, c := range r.conns {
			_ = c.Close()
		}
		r.mu.Unlock()
		r.run.Wait()
	})
	return r
}

func (r *relay) pass(to, from net.Conn, spoil *atomic.Int64) {
	defer r.run.Done()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if left := spoil.Load(); n > 0 && left >= 0 {
			if left < int64(n) {
				buf[left] ^= 0x40
				left = -1
			} else {
				left -= int64(n)
			}
			spoil.Store(left)
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			if err == io.EOF {
				_ = to.(*net.TCPConn).CloseWrite()
				return
			}
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
}

// full is a listening socket that takes no connection any more: whoever dials it hears nothing.
func full(t testing.TB, at netip.AddrPort) {
	t.Helper()
	l := listenWithoutBacklog(t, at)
	t.Cleanup(func() { _ = l.Close() })
	for range 8 {
		d := net.Dialer{Timeout: 100 * time.Millisecond}
		c, err := d.Dial("tcp", at.String())
		if err != nil {
			return // it is full
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatalf("%v takes more connections than it was asked to", at)
}

// at gives an address with a transport's usual port.
func at(addr netip.Addr, tr sipaddr.Transport) netip.AddrPort {
	return netip.AddrPortFrom(addr, tr.DefaultPort())
}

// childFarm runs a farm as example.net in a process of its own, on far's address.
func (s *stand) childFarm() *child {
	s.t.Helper()
	cert, key := s.ca.Domain(s.t, "example.net").WriteFiles(s.t)
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	return startChild(s.t, "env", childEnv+"="+strings.Join([]string{at(s.far.Addr(), sipaddr.TLS).String(), cert, key}, " "),
		self, "-test.run=^TestChildFarm$")
}

// startChild runs a command that becomes a farm, until the test ends.
func startChild(t testing.TB, name string, args ...string) *child {
	t.Helper()
	cmd := exec.Command(name, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the child says %q, %v", line, err)
	}
	return &child{cmd.Process}
}

// child is a process of the test's.
type child struct{ process *os.Process }

func (c *child) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := c.process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// stop stops all threads of the child: when it returns nothing is read any more.
func (c *child) stop(t *testing.T) {
	t.Helper()
	c.signal(t, syscall.SIGSTOP)
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(c.process.Pid, &status, syscall.WUNTRACED, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || !status.Stopped() {
			t.Fatalf("the child is not stopped: %v, %v", status, err)
		}
		return
	}
}

// childEnv has the address and the certificate of the farm in a child.
const childEnv = "TANDEM_TEST_CHILD_FARM"

// TestChildFarm is no test: it is what childFarm runs.
func TestChildFarm(t *testing.T) {
	settings := strings.Fields(os.Getenv(childEnv))
	if len(settings) != 3 {
		return // nobody's child
	}
	pair, err := tls.LoadX509KeyPair(settings[1], settings[2])
	if err != nil {
		t.Fatal(err)
	}
	newFarm(t, netip.MustParseAddrPort(settings[0]), pair)
	_, _ = os.Stdout.WriteString("ready\n")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test is over
}
