package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tandem-sip/tandem/internal/admin/api"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
)

// TestTrace: a call that has passed is listed and found by its Call-ID, user and peer, and its ladder says over which
// connection each message went and why.
func TestTrace(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.asks("sip:carol@partner.example", 200)
	var page api.Page[api.Call]
	s.get("/v1/calls", &page)
	if page.Total != 2 {
		t.Fatalf("calls: %+v", page)
	}
	c := page.Items[0]
	if c.Method != "MESSAGE" || c.RequestURI != "sip:carol@partner.example" || c.Status != 200 || !c.Whole || c.Messages != 4 || len(c.Peers) != 1 || c.Peers[0] != "partner" || len(c.Connections) != 1 {
		t.Errorf("the latest call: %+v", c)
	}
	for _, query := range []string{"call_id=" + url.QueryEscape(c.CallID), "user=carol", "user=carol&peer=partner", "user=carol&peer=partner.example", "user=carol&peer=" + s.far.Addr().String()} {
		var found api.Page[api.Call]
		if s.get("/v1/calls?"+query, &found); found.Total != 1 || found.Items[0].CallID != c.CallID {
			t.Errorf("%s: %+v", query, found.Items)
		}
	}
	for i, want := range []struct{ action, reason string }{{"reuse", "reuse"}, {"dial", "no_row"}} {
		var ladder api.Trace
		s.get("/v1/trace?raw=true&call_id="+url.QueryEscape(page.Items[i].CallID), &ladder)
		if len(ladder.Messages) != 4 {
			t.Fatalf("ladder: %+v", ladder)
		}
		got := ""
		for _, m := range ladder.Messages {
			got += fmt.Sprintf("%s %s %d %d; ", m.Direction, m.Transport, m.Status, m.Connection)
		}
		id := s.dialed(t)
		if want := fmt.Sprintf("received udp 0 0; sent tls 0 %d; received tls 200 %d; sent udp 200 0; ", id, id); got != want {
			t.Errorf("ladder: %s\nwant    %s", got, want)
		}
		m := ladder.Messages[1]
		d := m.Decision
		if d == nil || d.Action != want.action || d.Reason != want.reason || d.Connection != id || d.Reference != "partner.example" || d.Basis != "uri" ||
			m.Remote != fmt.Sprintf("%s:5061", s.far.Addr()) || m.Peer != "partner" || !bytes.Contains(m.Raw, []byte("branch="+m.Branch)) || m.Bytes != len(m.Raw) {
			t.Errorf("the request sent: %+v, because %+v", m, d)
		}
		if rows := len(d.Considered); i == 0 && (rows != 1 || d.Considered[0].Reason != "reuse" || d.Considered[0].Row.Connection != id) || i == 1 && rows != 0 {
			t.Errorf("rows: %+v", d.Considered)
		}
		for _, i := range []int{0, 2, 3} {
			if ladder.Messages[i].Decision != nil {
				t.Errorf("message %d has a decision", i)
			}
		}
	}
	// What explain says beforehand is what the ladder says afterwards.
	var x api.Explanation
	s.get("/v1/explain?uri=sip:partner.example", &x)
	s.asks("sip:dave@partner.example", 200)
	s.get("/v1/calls?user=dave", &page)
	var ladder api.Trace
	s.get("/v1/trace?call_id="+url.QueryEscape(page.Items[0].CallID), &ladder)
	said, done := x.Ways[0], *ladder.Messages[1].Decision
	for _, d := range []*api.Way{&said, &done} {
		for i := range d.Considered {
			d.Considered[i].Row.LastUsed = time.Time{}
		}
	}
	if a, b := fmt.Sprintf("%+v", said), fmt.Sprintf("%+v", done); a != b {
		t.Errorf("explain said %s\nand it was   %s", a, b)
	}
	if ladder.Messages[0].Raw != nil {
		t.Error("raw messages without being asked for")
	}

	refused(t, s.do(http.DefaultClient, "GET", "/v1/trace", ""), 400, api.BadRequest)
	refused(t, s.do(http.DefaultClient, "GET", "/v1/trace?call_id=nothing", ""), 404, api.NotFound)
	refused(t, s.do(http.DefaultClient, "GET", "/v1/trace/follow?usr=bob", ""), 400, api.BadRequest)
}

// TestFollow: a client is told of a call as it happens, and when the server stops the stream ends.
func TestFollow(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	events := func(query string) *bufio.Scanner {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/v1/trace/follow?"+query, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%s %v", resp.Status, resp.Header)
		}
		sc := bufio.NewScanner(resp.Body)
		if !sc.Scan() || !strings.HasPrefix(sc.Text(), ":") {
			t.Fatalf("the stream begins with %q", sc.Text())
		}
		return sc
	}
	byUser, all := events("user=erin&raw=true"), events("")
	s.asks("sip:bob@partner.example", 200)
	s.asks("sip:erin@partner.example", 200)
	next := func(sc *bufio.Scanner) (m api.TraceMessage) {
		t.Helper()
		for sc.Scan() {
			data, ok := strings.CutPrefix(sc.Text(), "data: ")
			if !ok {
				if l := sc.Text(); l != "" && l != "event: message" {
					t.Fatalf("line %q", l)
				}
				continue
			}
			if err := json.Unmarshal([]byte(data), &m); err != nil {
				t.Fatal(err)
			}
			return m
		}
		t.Fatalf("the stream ended: %v", sc.Err())
		return m
	}
	for i := range 4 {
		if m := next(byUser); m.To != "sip:erin@partner.example" || len(m.Raw) == 0 || m.Method != sip.MethodMessage {
			t.Errorf("message %d to erin: %+v", i, m)
		}
	}
	for i := range 8 {
		if m := next(all); (m.To == "sip:erin@partner.example") != (i >= 4) || m.Raw != nil {
			t.Errorf("message %d of all: %+v", i, m)
		}
	}
	// What cannot be read is told of too.
	conn := s.agent.Dial(sipaddr.UDP, s.node.Listening()[0].Addr)
	conn.Send("OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKq\r\nCall-ID: broken\x1b[2J\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n")
	for m := next(all); m.Problem == ""; m = next(all) {
	}
	s.stop()
	for all.Scan() {
	}
	if all.Err() != nil {
		t.Errorf("the stream was cut off: %v", all.Err())
	}
}
