package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tandem-sip/tandem/siptest"
)

// TestIdleConnections measures what an idle connection takes in a proxy, whose process has nothing but its own end.
// A request went over each and was answered.
func TestIdleConnections(t *testing.T) {
	const many = 400
	s := start(t, onFreePorts+"admin: 127.0.0.1:0\ntrace: {memory: 0}\n") // what is kept of messages has a limit of its own
	listening := func(what string) string {
		line := s.until(what)
		return regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line[strings.Index(line, what):])
	}
	tcp, secure := listening("tcp://"), listening("tls://")
	admin := listening("admin")
	s.until("msg=serving")
	dir := filepath.Dir(s.file)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "example.com.pem"), filepath.Join(dir, "example.com.key"))
	if err != nil {
		t.Fatal(err)
	}
	// Which names a certificate has is the business of other tests.
	client := &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true, ServerName: "example.com"}
	for _, c := range []struct {
		thing, transport string
		dial             func() (net.Conn, error)
	}{
		{"idle mutual TLS connection", "TLS", func() (net.Conn, error) { return tls.Dial("tcp", secure, client) }},
		{"idle TCP connection", "TCP", func() (net.Conn, error) { return net.Dial("tcp", tcp) }},
	} {
		var conns []net.Conn
		opened := func(n int) {
			for i := range n {
				conn, err := c.dial()
				if err != nil {
					t.Fatal(err)
				}
				conns = append(conns, conn)
				fmt.Fprintf(conn, "OPTIONS sip:example.com SIP/2.0\r\nVia: SIP/2.0/%s client.invalid;branch=z9hG4bK%d\r\nMax-Forwards: 0\r\n"+
					"From: <sip:a@example.com>;tag=1\r\nTo: <sip:example.com>\r\nCall-ID: %s%d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n", c.transport, len(conns), c.transport, len(conns))
				if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "SIP/2.0 200") {
					t.Fatalf("connection %d is answered %q, %v", i, line, err)
				}
			}
		}
		opened(20) // what is made once is made
		before := inUse(t, admin)
		opened(many)
		siptest.Plan(t, c.thing, (inUse(t, admin)-before)/many)
		for _, conn := range conns {
			_ = conn.Close()
		}
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	if code := s.wait(); code != 0 {
		t.Errorf("exit code %d, want 0\n%s", code, strings.Join(s.log, "\n"))
	}
}

// inUse returns the bytes of heap and stacks that a running proxy has in use after a collection.
func inUse(t *testing.T, admin string) (bytes int) {
	t.Helper()
	for range 2 { // what has a cleanup goes with the second
		resp, err := http.Get("http://" + admin + "/debug/pprof/heap?gc=1&debug=1")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s, %v", resp.Status, err)
		}
		bytes = 0
		for _, figure := range []string{"HeapAlloc", "Stack"} {
			m := regexp.MustCompile(`(?m)^# ` + figure + ` = (\d+)`).FindSubmatch(text)
			if m == nil {
				t.Fatalf("no %s in the profile", figure)
			}
			n, _ := strconv.Atoi(string(m[1]))
			bytes += n
		}
	}
	return bytes
}
