package node_test

import (
	"archive/tar"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// publicCorpus reads the files of the public suites and captures, which lie beside the repository and are no
// part of it. TANDEM_SHARED names the folder; when it does, they have to be there.
func publicCorpus(t *testing.T) (files []string) {
	t.Helper()
	shared := os.Getenv("TANDEM_SHARED")
	named := shared != ""
	if !named {
		shared = "../../../shared"
	}
	f, err := os.Open(filepath.Join(shared, "corpus", "public-dev.tar.gz"))
	if !named && errors.Is(err, os.ErrNotExist) {
		t.Skip("the public corpus is not beside the repository")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, string(b))
	}
	if len(files) == 0 {
		t.Fatal("the public corpus is empty")
	}
	return files
}

// newPublic makes a proxy that anybody may send anything to, for domains that are served: the others are not
// forwarded, since what the corpus names is no part of the bench.
func newPublic(t *testing.T) *scene {
	t.Helper()
	s := &scene{bench: newBench(t), from: siptest.Loopback(t)}
	s.b = newRecorder(t, false, s.ca.Domain(t, "b.example.net"))
	s.bystander = siptest.NewPeer(t, siptest.PeerConfig{Name: "bystander"})
	certFile, keyFile := s.ca.Domain(t, "p.example.org").WriteFiles(t)
	y := fmt.Sprintf("listen: [udp://%[1]s:5060, tcp://%[1]s:5060, tls://%[1]s:5061]\n", siptest.Loopback(t))
	y += fmt.Sprintf("dns: [%s]\ntrust: {ca: [%s]}\n", s.dns.Addr(), s.ca.WriteFile(t))
	y += fmt.Sprintf("domains:\n  - {name: p.example.org, certificate: %s, key: %s}\n", certFile, keyFile)
	for _, name := range []string{"example.com", "example.net", "example.org", "atlanta.example.com", "biloxi.example.com", "biloxi.com", "atlanta.com", "127.0.0.1", "192.168.1.1", "sip.linphone.org"} {
		y += "  - {name: " + name + "}\n"
	}
	y += fmt.Sprintf("routes: [{to: \"sip:%s:5060;transport=tcp\"}]\n", s.b.Addr())
	y += "timers: {t1: 50ms, t2: 200ms, t4: 200ms, header_read: 600ms, body_read: 600ms, drain: 0s}\n"
	s.p = s.run(y)
	s.p.addr = s.p.Listening()[0].Addr.Addr()
	return s
}

// TestPublicCorpus feeds every file of the public corpus to a proxy, over UDP and over a TLS connection of
// its own: it lives, and goes on answering.
func TestPublicCorpus(t *testing.T) {
	files := publicCorpus(t)
	s := newPublic(t)
	begin := time.Now()
	t.Run("UDP", func(t *testing.T) {
		s.inParallel(t, 8, files, func(file string, socket *net.UDPConn) error {
			if len(file) <= 65507 {
				_, _ = socket.Write([]byte(file)) // the system may refuse its size
			}
			return asks(socket)
		})
		s.lives(t, sipaddr.UDP)
	})
	t.Run("TLS", func(t *testing.T) {
		sessions := tls.NewLRUClientSessionCache(8)
		s.inParallel(t, 32, files, func(file string, _ *net.UDPConn) error {
			d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.from, 0)), Timeout: 5 * time.Second}
			c, err := d.Dial("tcp", s.p.at(sipaddr.TLS).String())
			if err != nil {
				return err
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			// Attackers verify nothing.
			secure := tls.Client(c, &tls.Config{InsecureSkipVerify: true, ClientSessionCache: sessions, ServerName: "p.example.org"})
			if err := secure.Handshake(); err != nil {
				return err
			}
			_, _ = secure.Write([]byte(file)) // the proxy may have enough of it
			_ = secure.CloseWrite()
			_, err = io.Copy(io.Discard, secure)
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				return fmt.Errorf("the connection is open after 5 s: %w", err)
			}
			return nil
		})
		s.lives(t, sipaddr.TLS)
	})
	// Twelve seconds on an idle machine; the race detector and others' work make it several times as long.
	if d := time.Since(begin); d > 3*time.Minute {
		t.Errorf("it took %v", d)
	}
	t.Logf("%d files in %v; %d requests came out", len(files), time.Since(begin), s.b.count())
	s.forgets(t)
	s.lives(t, sipaddr.TCP)
}

// inParallel gives each file to one of n workers, which have a UDP socket each.
func (s *scene) inParallel(t *testing.T, n int, files []string, feed func(string, *net.UDPConn) error) {
	t.Helper()
	work := make(chan string)
	var running sync.WaitGroup
	for range n {
		socket, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.from, 0)), net.UDPAddrFromAddrPort(s.p.at(sipaddr.UDP)))
		if err != nil {
			t.Fatal(err)
		}
		running.Add(1)
		// Ends when all files are taken.
		go func() {
			defer running.Done()
			defer socket.Close()
			for file := range work {
				if err := feed(file, socket); err != nil {
					t.Errorf("%v after %.200q", err, file)
				}
			}
		}()
	}
	for _, file := range files {
		work <- file
	}
	close(work)
	running.Wait()
}

// asks sends OPTIONS over a socket until it is answered 200, at most for a second; a datagram may be lost.
func asks(socket *net.UDPConn) error {
	id := "probe-" + siptest.Token(10)
	text := strings.Replace(request(sip.MethodOptions, "sip:p.example.org", id), "SIP/2.0/TLS a.example.com:5061", "SIP/2.0/UDP a.example.com;rport", 1)
	var b [65536]byte
	for range 4 {
		if _, err := socket.Write([]byte(text)); err != nil {
			return err
		}
		_ = socket.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
		for {
			n, err := socket.Read(b[:])
			if err != nil {
				break
			}
			if m := string(b[:n]); strings.HasPrefix(m, "SIP/2.0 200 ") && strings.Contains(m, id) {
				return nil
			}
		}
	}
	return errors.New("OPTIONS was not answered within a second")
}
