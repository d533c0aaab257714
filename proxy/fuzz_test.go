package proxy

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-sip/tandem/sip"
)

// FuzzRequest sends anything through the core. It never panics, and each request that is understood ends in
// exactly one final response or is forwarded, an ACK in none; what is forwarded can be read again.
func FuzzRequest(f *testing.F) {
	for _, dir := range []string{filepath.Join("..", "sip", "testdata", "rfc4475"), "testdata"} {
		files, _ := filepath.Glob(filepath.Join(dir, "*.*"))
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil && len(text) < 8<<10 {
				f.Add(string(text), uint16(200), byte(0))
			}
		}
	}
	f.Add("INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:bob@example.com>\r\n"+
		"Call-ID: x\r\nCSeq: 1 INVITE\r\nContact: <sip:a@b>\r\nContent-Length: 0\r\n\r\n", uint16(486), byte(3))
	f.Fuzz(func(t *testing.T, raw string, status uint16, how byte) {
		if !strings.Contains(raw, "\r\n") {
			raw = strings.ReplaceAll(raw, "\n", "\r\n")
		}
		synctest.Test(t, func(t *testing.T) { fuzzOne(t, raw, 100+int(status)%600, how) })
	})
}

func fuzzOne(t *testing.T, raw string, status int, how byte) {
	b := newBench(t, Config{Rules: forkRules("", "", "0.5"), RecurseRedirects: how&1 != 0})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	// Ends when ctx is cancelled below.
	go func() {
		defer close(ended)
		_ = b.layer.Run(ctx)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	b.anywhere = "tcp:198.51.100.8:5060"
	if how&2 != 0 {
		b.refused[forkAddrs[0]] = errors.New("refused")
	}
	c := b.client("tcp:203.0.113.8:40000", Source{Relay: how&4 != 0, Inside: how&8 != 0})
	m, err := sip.Parse(raw)
	c.take(raw)
	synctest.Wait()
	if err != nil || !m.IsRequest() || m.Validate() != nil {
		if n := len(b.everywhere()); n != 0 {
			t.Fatalf("forwarded %d messages that were not understood", n)
		}
		return
	}
	method := m.Method()
	forwarded := 0
	for range 8 { // as many rounds as there are targets, and some
		for addr, flow := range b.flows {
			for _, req := range flow.take(t, 0) {
				if err := req.Validate(); err != nil {
					t.Fatalf("forwarded something bad: %v\n%s", err, req.Raw())
				}
				forwarded++
				switch req.Method() {
				case "ACK":
				case "CANCEL":
					b.at(addr).answer(req, 200)
				default:
					b.at(addr).answer(req, status)
					if status < 200 {
						b.at(addr).answer(req, 480)
					}
				}
			}
		}
	}
	timer := time.NewTimer(10 * time.Minute)
	<-timer.C
	synctest.Wait()
	finals := 0
	var last string
	for _, resp := range c.got() {
		if s := resp.StatusCode(); s >= 200 && resp.Raw() != last { // not one that is sent again
			finals++
			last = resp.Raw()
		}
	}
	switch {
	case method == "ACK":
		if finals != 0 {
			t.Fatalf("%d answers to an ACK", finals)
		}
	case method == "CANCEL":
	case finals == 0 && status == 408 && method != "INVITE": // RFC 4320, Section 4.2
	case finals == 1:
	case status >= 200 && status < 300 && method == "INVITE" && finals >= 1: // each further 2xx
	default:
		t.Fatalf("%d final responses to %s, forwarded %d, answered %d", finals, method, forwarded, status)
	}
	if n := b.core.Stats().Active; n != 0 {
		t.Fatalf("%d contexts are left", n)
	}
}
