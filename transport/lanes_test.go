package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sctp"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// TestStreams speaks TLS over four streams of one association, both ways.
func TestStreams(t *testing.T) {
	ca := newPKI(t)
	answers := func() *inbox {
		box := newInbox()
		box.handle = func(m *sip.Message, src *Source) {
			if m.IsRequest() {
				if err := src.Flow.Send(sip.AppendResponse(nil, m, 200, "", "x")); err != nil {
					t.Errorf("answer: %v", err)
				}
			}
			box.messages <- arrival{m: m, src: src}
		}
		return box
	}
	a := start(t, Config{SCTP: userland, TLSStreams: 4, Handler: answers(), Domains: []Domain{ca.domain(t, "example.com", "p1.example.com")}})
	b := start(t, Config{SCTP: userland, Handler: answers(), Domains: []Domain{ca.domain(t, "example.net", "p2.example.net")}})
	hop := Hop{To: resolved(sipaddr.TLSSCTP, b.at(sipaddr.TLSSCTP)), Reference: "example.net"}
	there := a.must(hop)
	const calls = 40
	for i := range calls {
		if err := there.f.Send(request(there.f, "OPTIONS", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	for range calls {
		if got := b.message(); !got.m.IsRequest() || got.src.Peer == nil || got.src.Flow.ID() == 0 {
			t.Errorf("%v", got.src)
		}
		if got := a.message(); got.m.StatusCode() != 200 {
			t.Errorf("answered %d", got.m.StatusCode())
		}
	}
	back := b.must(Hop{To: resolved(sipaddr.TLSSCTP, a.at(sipaddr.TLSSCTP)), Reference: "example.com"})
	if !back.dec.Reuse() {
		t.Errorf("backwards: %v", back.dec.Reason)
	}
	for i := range calls {
		if err := back.f.Send(request(back.f, "OPTIONS", fmt.Sprint("back", i))); err != nil {
			t.Fatal(err)
		}
	}
	for range calls {
		a.message()
		b.message()
	}
	for _, side := range []*bench{a, b} {
		c := side.Connections()
		if len(c) != 1 || c[0].Streams != 4 || side.Stats().SCTP.Associations != 1 {
			t.Fatalf("connections %+v", c)
		}
		list := side.conns[c[0].ID].further.list
		for i, l := range list {
			if l.stream.in.Load() < 3000 {
				t.Errorf("stream %d has had %d bytes: nothing but the handshake", i+1, l.stream.in.Load())
			}
		}
	}
	if s := a.Stats(); s.HandshakesClient != 4 || s.Resumed != 3 {
		t.Errorf("%d handshakes, %d resumed", s.HandshakesClient, s.Resumed)
	}
	a.BeginClose(a.Connections()[0].ID, nil)
	for _, side := range []*bench{a, b} {
		if got := receive(t, side.box.closed, "the end"); got.err != nil {
			t.Errorf("closed with %v", got.err)
		}
	}
}

// TestStreamOfAnother opens a second stream with another certificate than the first, and a third that never ends its
// handshake.
func TestStreamOfAnother(t *testing.T) {
	ca := newPKI(t)
	for _, c := range []struct {
		name   string
		second func(t *testing.T, s *sctp.Stream)
	}{
		{"another certificate", func(t *testing.T, s *sctp.Stream) {
			cert := ca.Domain(t, "example.org").TLS()
			_ = tls.Client(s, &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true}).Handshake()
		}},
		{"no certificate", func(t *testing.T, s *sctp.Stream) {
			_ = tls.Client(s, &tls.Config{InsecureSkipVerify: true}).Handshake()
		}},
		{"no TLS", func(t *testing.T, s *sctp.Stream) { _, _ = s.Write([]byte(strings.Repeat("x", 100))) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, Config{SCTP: userland, Domains: []Domain{ca.domain(t, "example.com", "p1.example.com")}})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			a, err := caller(t).Dial(ctx, b.at(sipaddr.TLSSCTP), 0)
			if err != nil {
				t.Fatal(err)
			}
			first, err := a.OpenStream(5) // the client chooses the stream
			if err != nil {
				t.Fatal(err)
			}
			cert := ca.Domain(t, "example.net").TLS()
			tc := tls.Client(first, &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true})
			if err := tc.Handshake(); err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(tc, strings.Replace(options, "SIP/2.0/SCTP 127.0.0.1;", "SIP/2.0/TLS-SCTP p2.example.net;alias;", 1)+"Content-Length: 0\r\n\r\n")
			b.message()
			if rows := b.Aliases(); len(rows) != 1 || rows[0].Resolved.Transport != sipaddr.TLSSCTP || rows[0].Direction != alias.Accepted {
				t.Errorf("rows %+v", rows)
			}
			second, err := a.OpenStream(2)
			if err != nil {
				t.Fatal(err)
			}
			c.second(t, second)
			if got := receive(t, b.box.closed, "the end"); got.err == nil {
				t.Error("closed without an error")
			}
			if _, err := io.Copy(io.Discard, tc); err == nil {
				t.Error("the first stream goes on, or ended in order")
			}
			if n := len(b.Aliases()); n != 0 {
				t.Errorf("%d rows", n)
			}
		})
	}
}

// TestLaneOf holds that a transaction stays on its stream, and that transactions use all of them.
func TestLaneOf(t *testing.T) {
	used := make(map[int]bool)
	for range 200 {
		branch := siptest.Token(12)
		lane := -1
		for _, form := range []string{
			"INVITE sip:a SIP/2.0\r\nVia: SIP/2.0/TLS-SCTP h;branch=%s;alias\r\n", "CANCEL sip:a SIP/2.0\r\nv: SIP/2.0/TLS-SCTP h;branch=%s\r\n",
			"SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS-SCTP h;alias;branch=%s\r\nVia: SIP/2.0/UDP x;branch=other\r\n",
			"ACK sip:a SIP/2.0\r\nVia: SIP/2.0/TLS-SCTP h ;branch=%s ;received=1.2.3.4\r\n",
		} {
			n := laneOf([]byte(fmt.Sprintf(form, branch)), 4)
			if lane >= 0 && n != lane {
				t.Errorf("%q goes over stream %d, and what was before it over %d", form, n, lane)
			}
			lane = n
		}
		used[lane] = true
	}
	if len(used) != 4 {
		t.Errorf("%d of 4 streams are used", len(used))
	}
	if laneOf([]byte("\r\n\r\n"), 4) != 0 {
		t.Error("a ping does not go over the first stream")
	}
}
