//go:build interop

package interop

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/internal/devca"
	"github.com/tandem-sip/tandem/sctp"
)

// Where both sides of an association are, and the UDP port of ours in userland. The kernel has 9899.
var (
	ourAddress   = netip.MustParseAddr("127.41.0.1")
	theirAddress = netip.MustParseAddr("127.41.0.2")
)

const ourUDPPort = 9900

// sizes are the lengths of the messages of the fourth case of sctp_test.
var sizes = []int{1, 1000, 2000, 3000, 5000, 10000, 15000, 20000, 25000, 32768}

// TestKernelTools makes associations of both providers with the programs of lksctp-tools and with OpenSSL, which
// lksctp-tools makes speak SCTP.
func TestKernelTools(t *testing.T) {
	needKernel(t)
	for _, kind := range []sctp.Kind{sctp.Kernel, sctp.UDP} {
		t.Run(kind.String(), func(t *testing.T) {
			cfg := sctp.Config{Kind: kind, Addresses: []netip.Addr{ourAddress}}
			encapsulation := 0 // the UDP port that the kernel sends to
			if kind == sctp.UDP {
				cfg.UDPPort, encapsulation = ourUDPPort, ourUDPPort
			}
			setEncapsulation(t, encapsulation)
			p, err := sctp.Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = p.Close() })
			l, err := p.Listen(plainPort)
			if err != nil {
				t.Fatal(err)
			}
			for name, test := range map[string]func(*testing.T, sctp.Provider, *sctp.Listener){
				"to sctp_test": toTool, "from sctp_test": fromTool, "sctp_darn ends": toolEnds, "sctp_darn restarts": toolRestarts,
				"to OpenSSL": toOpenSSL, "from OpenSSL": fromOpenSSL,
			} {
				t.Run(name, func(t *testing.T) { test(t, p, l) })
			}
		})
	}
}

// setEncapsulation has the kernel's associations begin over UDP, to a port, until the test ends; 0: not over UDP.
func setEncapsulation(t *testing.T, port int) {
	t.Helper()
	set := func(port int) error {
		return os.WriteFile("/proc/sys/net/sctp/encap_port", []byte(strconv.Itoa(port)), 0)
	}
	if err := set(port); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set(0); err != nil {
			t.Error(err)
		}
	})
}

// soon is a context that ends when a test has waited long enough.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// tool starts a program of lksctp-tools at a port of its own.
func tool(t *testing.T, program string, port int, more ...string) *process {
	t.Helper()
	args := append([]string{"-H", theirAddress.String(), "-P", strconv.Itoa(port)}, more...)
	return start(t, program, t.TempDir(), program, args...)
}

// toUs are the arguments that make a tool dial.
func toUs(more ...string) []string {
	return append([]string{"-h", ourAddress.String(), "-p", strconv.Itoa(plainPort)}, more...)
}

// toTool sends messages to sctp_test, shuts one association down, and aborts the other.
func toTool(t *testing.T, p sctp.Provider, _ *sctp.Listener) {
	at := netip.AddrPortFrom(theirAddress, 7001)
	peer := tool(t, "sctp_test", int(at.Port()), "-l")
	peer.awaitListening(t, "sctp", at)
	for i, end := range []string{"SHUTDOWN_COMPLETE", "COMMUNICATION_LOST"} {
		a, err := p.Dial(soon(t), at, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range sizes {
			if err := a.Send(soon(t), make([]byte, n), 0, true); err != nil {
				t.Fatal(err)
			}
			peer.awaitText(t, fmt.Sprintf("Data %d bytes.", n), i+1)
		}
		if i == 0 {
			err = a.Shutdown(soon(t))
		} else {
			a.Abort("enough")
		}
		if err != nil {
			t.Error(err)
		}
		peer.awaitText(t, end, 1)
	}
}

// served accepts an association and serves it.
func served(t *testing.T, l *sctp.Listener) (a sctp.Association, messages <-chan string, end <-chan error) {
	t.Helper()
	a, err := l.Accept(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	got, over := make(chan string, 1000), make(chan error, 1)
	// ends with the association
	go func() { over <- a.Serve(func(m []byte, _ uint16) { got <- string(m) }) }()
	return a, got, over
}

// next takes the next element of a channel.
func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-soon(t).Done():
		t.Fatal("nothing came")
	}
	panic("not reached")
}

// fromTool takes the messages that sctp_test sends, and the end of the association.
func fromTool(t *testing.T, _ sctp.Provider, l *sctp.Listener) {
	tool(t, "sctp_test", 7002, toUs("-s", "-c", "4", "-x", "2", "-o", "1")...)
	_, got, end := served(t, l)
	for i := range 2 * len(sizes) {
		if m := next(t, got); len(m) != sizes[i%len(sizes)] {
			t.Errorf("message %d has %d bytes", i, len(m))
		}
	}
	if err := next(t, end); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
}

// darn starts sctp_darn, which does what is written to it, and takes the association that it makes.
func darn(t *testing.T, l *sctp.Listener) (peer *process, tell func(string), a sctp.Association, end <-chan error) {
	t.Helper()
	cmd := exec.Command("sctp_darn", append([]string{"-H", theirAddress.String(), "-P", "7003", "-I", "-s"}, toUs()...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	peer = launch(t, "sctp_darn", t.TempDir(), cmd)
	tell = func(line string) {
		t.Helper()
		if _, err := io.WriteString(in, line+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	tell("snd=5")
	a, got, end := served(t, l)
	if m := next(t, got); len(m) != 5 {
		t.Errorf("got %q", m)
	}
	return peer, tell, a, end
}

// toolEnds has the peer end associations in both ways.
func toolEnds(t *testing.T, _ sctp.Provider, l *sctp.Listener) {
	for command, want := range map[string]error{"shutdown": io.EOF, "abort": sctp.ErrAborted} {
		peer, tell, _, end := darn(t, l)
		tell(command)
		if err := next(t, end); !errors.Is(err, want) {
			t.Errorf("%s: the end is %v", command, err)
		}
		peer.stop()
	}
}

// toolRestarts lets the peer lose its association without a word, and make it again from the same port.
func toolRestarts(t *testing.T, _ sctp.Provider, l *sctp.Listener) {
	peer, _, a, end := darn(t, l)
	// A process that ends without having read everything aborts, which here cannot reach us.
	if err := peer.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := a.Send(soon(t), []byte("never read"), 0, true); err != nil {
			t.Fatal(err)
		}
	}
	awaitUnread(t)
	<-time.After(400 * time.Millisecond) // until it is acknowledged: what is sent again would be answered by an ABORT
	route(t, "add")
	if err := peer.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-peer.ended
	route(t, "delete")
	if err := a.Err(); err != nil {
		t.Fatal(err)
	}
	again, tell, _, newEnd := darn(t, l)
	if err := next(t, end); !errors.Is(err, sctp.ErrRestarted) {
		t.Errorf("the end of the first is %v", err)
	}
	tell("shutdown")
	if err := next(t, newEnd); !errors.Is(err, io.EOF) {
		t.Errorf("the end of the second is %v", err)
	}
	again.stop()
}

// route adds the way to nowhere for what is sent to us, or deletes it.
func route(t *testing.T, change string) {
	t.Helper()
	if out, err := exec.Command("ip", "route", change, "table", "local", "blackhole", ourAddress.String()+"/32").CombinedOutput(); err != nil {
		t.Fatalf("ip route %s: %v: %s", change, err, out)
	}
}

// awaitUnread waits until the peer has been sent something that it does not read.
func awaitUnread(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx := soon(t); ctx.Err() == nil; <-tick.C {
		for _, fields := range associationTable(t, "assocs") { // the ninth is RX_QUEUE, the twelfth LPORT
			if len(fields) > 12 && fields[11] == "7003" && fields[8] != "0" {
				return
			}
		}
	}
	t.Fatal("nothing came to the peer")
}

// certificates makes those of both sides, and gives the settings of ours and the arguments of OpenSSL.
func certificates(t *testing.T) (cfg *tls.Config, args []string) {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	if err := devca.Write(dir, "Interop CA", []string{"example.com"}, []string{"example.net"}); err != nil {
		t.Fatal(err)
	}
	own, err := tls.LoadX509KeyPair(file("example.com.pem"), file("example.com.key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(file("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	// The name is that of a domain in a URI, which crypto/tls does not look at: the chain is verified here instead.
	verify := func(s tls.ConnectionState) error {
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		return err
	}
	return &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAnyClientCert, InsecureSkipVerify: true, VerifyConnection: verify},
		[]string{"-cert", file("example.net.pem"), "-key", file("example.net.key"), "-CAfile", file("ca.pem"), "-verify_return_error"}
}

// toOpenSSL speaks TLS over SCTP with a server that sends each line back reversed.
func toOpenSSL(t *testing.T, p sctp.Provider, _ *sctp.Listener) {
	at := netip.AddrPortFrom(theirAddress, 7004)
	cfg, args := certificates(t)
	peer := start(t, "openssl", t.TempDir(), "withsctp", append([]string{"openssl", "s_server", "-accept", at.String(), "-Verify", "1", "-rev"}, args...)...)
	peer.awaitListening(t, "sctp", at)
	a, err := p.Dial(soon(t), at, 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.OpenStream(0)
	if err != nil {
		t.Fatal(err)
	}
	speak(t, tls.Client(s, cfg), "INVITE bob\n", "bob ETIVNI\n")
	if err := a.Shutdown(soon(t)); err != nil && !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// speak writes a line, reads what comes back, and ends TLS.
func speak(t *testing.T, c *tls.Conn, line, want string) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(15 * time.Second))
	if _, err := io.WriteString(c, line); err != nil {
		t.Fatal(err)
	}
	got, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || got != want {
		t.Errorf("got %q, %v", got, err)
	}
	if v := c.ConnectionState().Version; v != tls.VersionTLS13 {
		t.Errorf("TLS of version %x", v)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// fromOpenSSL takes a client.
func fromOpenSSL(t *testing.T, _ sctp.Provider, l *sctp.Listener) {
	cfg, args := certificates(t)
	cmd := exec.Command("withsctp", append([]string{"openssl", "s_client", "-quiet", "-connect", netip.AddrPortFrom(ourAddress, plainPort).String()}, args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	peer := launch(t, "openssl", t.TempDir(), cmd)
	a, err := l.Accept(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.AcceptStream(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Server(s, cfg)
	if err := c.HandshakeContext(soon(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := bufio.NewReader(c).ReadString('\n'); err != nil || strings.TrimSpace(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := io.WriteString(c, "hello yourself\n"); err != nil {
		t.Fatal(err)
	}
	peer.awaitText(t, "hello yourself", 1)
	peer.stop()
	if err := s.SetReadDeadline(time.Now().Add(15 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, s); err != nil {
		t.Errorf("the end is %v", err)
	}
}
