//go:build unix

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// heap returns what a running process has alive, after a collection.
func (p *process) heap(host string) (bytes int64) {
	p.t.Helper()
	get := func(path string) string {
		resp, err := http.Get("http://" + host + ":8060" + path)
		if err != nil {
			p.t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			p.t.Fatalf("%s: %s %v", path, resp.Status, err)
		}
		return string(body)
	}
	for range 2 { // what a pool holds outlives one collection
		get("/debug/pprof/heap?gc=1")
	}
	m := regexp.MustCompile(`(?m)^go_memstats_heap_alloc_bytes (\S+)$`).FindStringSubmatch(get("/metrics"))
	if m == nil {
		p.t.Fatal("the metrics do not tell the heap")
	}
	f, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return int64(f)
}

// TestReloadUnderLoad reloads again and again while calls go on, 300 a second when TANDEM_RELOADS says how often: no
// call fails, the heap does not grow, and a broken file, which is among them, changes nothing and is told with the line.
func TestReloadUnderLoad(t *testing.T) {
	times, rate := 100, 100
	if text := os.Getenv("TANDEM_RELOADS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		times, rate = n, 300
	} else {
		t.Parallel()
	}
	host, agent := freeHost(t), freeHost(t)
	// Short timers, so that nothing is left of the calls when the heap is looked at.
	good := upgradable(host, agent, "") + "access: {relay_from: []}\ntrace: {memory: 0}\n"
	good = strings.Replace(good, "timers: {", "timers: {t1: 20ms, t2: 100ms, t4: 100ms, ", 1)
	p := launch(t, good, nil)
	other := strings.Replace(good, "relay_from: []", "relay_from: [192.0.2.1]", 1)
	broken := good + "colour: red\n"
	reload := func() (status int, body string) {
		resp, err := http.Post("http://"+host+":8060/v1/reload", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	call := func(d time.Duration) (wait func() report) {
		return offer(t, "--target", "udp://"+host+":5060", "--bind", agent+":5071", "--answer-at", "udp://"+agent+":5070", "--to", "sip:bob@example.com",
			"--from", "sip:alice@example.net", "--rate", strconv.Itoa(rate), "--duration", d.String(), "--hold", "200ms")
	}
	check := func(r report) {
		t.Helper()
		if r.Failed != 0 || r.Done != r.Begun || r.Begun == 0 {
			t.Errorf("%d begun, %d done, %d failed: %v", r.Begun, r.Done, r.Failed, r.Reasons)
		}
	}
	settle := func() int64 {
		t.Helper()
		// 64 T1 is 1.3 s, after which no transaction is kept.
		p.eventually("no transaction is left", func() bool {
			resp, err := http.Get("http://" + host + ":8060/v1/transactions")
			if err != nil {
				return false
			}
			defer resp.Body.Close()
			b, _ := io.ReadAll(resp.Body)
			return strings.Contains(string(b), `"total":0`)
		})
		return p.heap(host)
	}
	every := underLoad(t) / time.Duration(times)
	round := func(n int) {
		t.Helper()
		wait := call(every*time.Duration(n) + time.Second)
		for i := range n {
			begun := time.Now()
			p.configure([]string{good, other}[i%2])
			if status, body := reload(); status != 200 {
				t.Errorf("reload: %d %s", status, body)
			}
			if i%50 == 25 {
				p.configure(broken)
				line := strconv.Itoa(strings.Count(broken, "\n"))
				if status, body := reload(); status != 422 || !strings.Contains(body, p.file+":"+line+": colour: unknown key") {
					t.Errorf("a broken file: %d %s", status, body)
				}
			}
			if left := every - time.Since(begun); left > 0 {
				<-time.After(left)
			}
		}
		check(wait())
	}
	round(max(times/5, 30)) // pools and maps grow to their size
	before := settle()
	round(times)
	after := settle()
	t.Logf("%d reloads under %d calls a second: the heap has %d bytes, and had %d (%+d)", times, rate, after, before, after-before)
	if after-before >= 1<<20 {
		t.Errorf("the heap grew by %d bytes", after-before)
	}
}

// eventually waits for something.
func (p *process) eventually(what string, is func() bool) {
	p.t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("not so: %s", what)
		}
	}
}

// slowServer answers MESSAGEs over UDP after a while, and remembers which came.
type slowServer struct {
	conn net.PacketConn
	mu   sync.Mutex // guards the field below
	seen map[string]bool
}

var (
	callIDs = regexp.MustCompile(`(?m)^Call-ID: (\S+)\r$`)
	headers = regexp.MustCompile(`(?m)^(Via|From|To|Call-ID|CSeq): .*\r\n`)
)

// serve ends when the socket is closed. Each answer is sent by a goroutine of its own, which ends then.
func (s *slowServer) serve() {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		text := string(buf[:n])
		m := callIDs.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		s.mu.Lock()
		s.seen[m[1]] = true
		s.mu.Unlock()
		answer := "SIP/2.0 200 OK\r\n" + strings.Join(headers.FindAllString(text, -1), "") + "Content-Length: 0\r\n\r\n"
		time.AfterFunc(30*time.Millisecond, func() { _, _ = s.conn.WriteTo([]byte(answer), from) })
	}
}

// TestTerminateUnderLoad stops a proxy by SIGTERM while requests come over TLS without a pause. Each that it has sent on gets
// its answer, every connection ends with the closure alert, and it exits with 0 within the deadline.
func TestTerminateUnderLoad(t *testing.T) {
	t.Parallel()
	host, agent := freeHost(t), freeHost(t)
	udp, err := net.ListenPacket("udp", agent+":5070")
	if err != nil {
		t.Fatal(err)
	}
	far := &slowServer{conn: udp, seen: make(map[string]bool)}
	served := make(chan struct{})
	// Ends when the socket is closed.
	go func() { defer close(served); far.serve() }()
	defer func() { _ = udp.Close(); <-served }()
	p := launch(t, upgradable(host, agent, ""), nil)
	cert, err := tls.LoadX509KeyPair(filepath.Join(p.dir, "example.net.pem"), filepath.Join(p.dir, "example.net.key"))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	answered := make(map[string]bool)
	ends := make(chan error)
	const clients, ahead = 6, 4 // connections, and requests under way on each
	for i := range clients {
		// Not verified: who the proxy is, is not what this is about.
		c, err := tls.Dial("tcp", host+":5061", &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		sent := 0
		send := func() {
			sent++
			_, _ = fmt.Fprintf(c, "MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TLS p.example.net;branch=z9hG4bK%d-%d\r\nMax-Forwards: 70\r\n"+
				"From: <sip:a@example.net>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: %d-%d@test\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n", i, sent, i, sent)
		}
		// Ends when the proxy has closed the connection.
		go func() {
			for range ahead {
				send()
			}
			var text strings.Builder
			buf := make([]byte, 16<<10)
			for {
				n, err := c.Read(buf)
				text.Write(buf[:n])
				for {
					one, rest, whole := strings.Cut(text.String(), "\r\n\r\n")
					if !whole {
						break
					}
					text.Reset()
					text.WriteString(rest)
					m := callIDs.FindStringSubmatch(one + "\r\n")
					if m == nil || strings.HasPrefix(one, "SIP/2.0 1") {
						continue
					}
					mu.Lock()
					answered[m[1]] = true
					mu.Unlock()
					send()
				}
				if err != nil {
					ends <- err
					return
				}
			}
		}()
	}
	<-time.After(underLoad(t) / 3)
	begun := time.Now()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	for range clients {
		// io.EOF is a closure alert; without one it is io.ErrUnexpectedEOF.
		if err := <-ends; !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a connection ended with %v", err)
		}
	}
	if code := p.code(); code != 0 || time.Since(begun) > 6*time.Second {
		t.Errorf("exit code %d after %v\n%s", code, time.Since(begun), p.log())
	}
	far.mu.Lock()
	defer far.mu.Unlock()
	mu.Lock()
	defer mu.Unlock()
	lost := 0
	for id := range far.seen {
		if !answered[id] {
			lost++
		}
	}
	t.Logf("%d were sent on, %d answered, stopped in %v", len(far.seen), len(answered), time.Since(begun))
	if lost > 0 || len(far.seen) < 50 {
		t.Errorf("%d of %d that were sent on got no answer", lost, len(far.seen))
	}
}
