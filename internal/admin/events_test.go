package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// stream is an open stream of events.
type stream struct {
	t    testing.TB
	resp *http.Response
	in   *bufio.Reader
}

// watch opens a stream. header has pairs of names and values.
func (r *rig) watch(client *http.Client, header ...string) *stream {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.base+"/v1/events", http.NoBody)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { resp.Body.Close() })
	return &stream{r.t, resp, bufio.NewReader(resp.Body)}
}

// next reads one event, and returns an error when there is none any more.
func (s *stream) next(into any) (name, id string, err error) {
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "event":
			name = value
		case "id":
			id = value
		case "data":
			if err := json.Unmarshal([]byte(value), into); err != nil {
				s.t.Fatalf("%v in %s", err, value)
			}
		case "":
			return name, id, nil
		}
	}
}

// hello reads the beginning of a stream.
func (s *stream) hello() (h api.Hello) {
	s.t.Helper()
	if name, _, err := s.next(&h); err != nil || name != "hello" || s.resp.StatusCode != 200 || s.resp.Header.Get("Content-Type") != "text/event-stream" {
		s.t.Fatalf("the stream begins with %q, %v, %v", name, err, s.resp)
	}
	return h
}

// TestEvents: what happens shows in the next tick, for all who watch; what is refused; who comes back goes on where it was.
func TestEvents(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var doc object
	if err := json.Unmarshal(description, &doc); err != nil {
		t.Fatal(err)
	}
	one, two := s.watch(http.DefaultClient), s.watch(http.DefaultClient)
	if h := one.hello(); h.Resumed || h.Version != "v1.2.3" || h.Process == "" || h.Process != two.hello().Process {
		t.Errorf("hello: %+v", h)
	}
	s.asks("sip:bob@partner.example", 200)
	var id string
	for i, w := range []*stream{one, two} {
		var raw json.RawMessage
		name, at, err := w.next(&raw)
		if err != nil || name != "tick" {
			t.Fatalf("%q, %v", name, err)
		}
		var v any
		var tick api.Tick
		if json.Unmarshal(raw, &v) != nil || json.Unmarshal(raw, &tick) != nil {
			t.Fatalf("a tick: %s", raw)
		}
		for _, text := range mismatches(doc, object{"$ref": "#/components/schemas/Tick"}, v, "tick") {
			t.Error(text)
		}
		if len(tick.Received) != 1 || tick.Received[0] != (api.Count{Name: "MESSAGE", Count: 1}) || len(tick.Sent) != 1 || tick.Messages != 2 || tick.Seconds <= 0 ||
			tick.AliasRows != 1 || tick.Connections != 1 || tick.State != "serving" || len(tick.Responses) != 1 || tick.Responses[0].Name != "2xx" ||
			len(tick.Decisions) != 1 || tick.Decisions[0] != (api.Decided{Decision: "reuse", Reason: "reuse", Count: 1}) {
			t.Errorf("tick: %s", raw)
		}
		if i > 0 && at != id {
			t.Errorf("the same tick is %s and %s", id, at)
		}
		id = at
	}
	one.resp.Body.Close()
	two.resp.Body.Close()
	var tick api.Tick
	back := s.watch(http.DefaultClient, "Last-Event-ID", id)
	if h := back.hello(); !h.Resumed {
		t.Error("it does not go on behind the last one")
	}
	if name, next, err := back.next(&tick); err != nil || name != "tick" || next == id || len(tick.Received) != 0 {
		t.Errorf("behind %s: %s %s %+v %v", id, name, next, tick, err)
	}
	for _, from := range []string{"", "x", "other-1", id + "x", strings.Split(id, "-")[0] + "-999999", "-1", strings.Repeat("9", 8000)} {
		w := s.watch(http.DefaultClient, "Last-Event-ID", from)
		if h := w.hello(); h.Resumed {
			t.Errorf("it goes on behind %q", from)
		}
		// What was there before is there again.
		if name, first, err := w.next(&tick); err != nil || name != "tick" || first != id {
			t.Errorf("after %q it begins with %s %s, %v", from, name, first, err)
		}
		w.resp.Body.Close()
	}
	refused(t, s.do(http.DefaultClient, "GET", "/v1/events?since=1", ""), 400, api.BadRequest)
	refused(t, s.do(http.DefaultClient, "POST", "/v1/events", ""), 405, api.MethodNotAllowed)
	if a := s.do(http.DefaultClient, "HEAD", "/v1/events", ""); a.status != 200 {
		t.Errorf("HEAD: %d", a.status)
	}
}

// TestWatchers: there is room for so many, and no more; places are given back.
func TestWatchers(t *testing.T) {
	t.Parallel()
	r := newRig(t, plainYAML)
	client := &http.Client{Transport: &http.Transport{}}
	open := make([]*stream, maxWatchers)
	for i := range open {
		open[i] = r.watch(client)
		open[i].hello()
	}
	refused(t, r.do(client, "GET", "/v1/events", ""), 503, api.Unavailable)
	open[0].resp.Body.Close()
	r.eventually("a place is given back", func() bool {
		r.srv.ticks.mu.Lock()
		defer r.srv.ticks.mu.Unlock()
		return r.srv.ticks.watchers < maxWatchers
	})
	r.watch(client).hello()
}

// TestStreamEndsWithCredentials: a stream that is open when a reload takes its credentials away ends.
func TestStreamEndsWithCredentials(t *testing.T) {
	t.Parallel()
	r := newRig(t, strings.Replace(plainYAML, "admin: 127.0.0.1:0", `admin: {listen: "127.0.0.1:0", token_file: admin.token}`, 1))
	refused(t, r.do(http.DefaultClient, "GET", "/v1/events", ""), 401, api.Unauthorized)
	w := r.watch(http.DefaultClient, "Authorization", "Bearer "+secret)
	w.hello()
	if err := os.WriteFile(filepath.Join(r.dir, "admin.token"), []byte(strings.Repeat("x", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.node.Reload(r.config(strings.Replace(plainYAML, "admin: 127.0.0.1:0", `admin: {listen: "127.0.0.1:0", token_file: admin.token}`, 1))); err != nil {
		t.Fatal(err)
	}
	for {
		var tick api.Tick
		_, _, err := w.next(&tick)
		if err == nil {
			continue // one may have been on its way
		}
		if err != io.EOF {
			t.Errorf("it ended with %v", err)
		}
		return
	}
}

// TestSlowWatcher: who takes nothing is dropped, and a stop waits for nobody.
func TestSlowWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
		var taken atomic.Int64
		k := newTicks(func() *reading { taken.Add(1); return &reading{at: time.Now()} })
		s := &Server{ticks: k}
		near, far := net.Pipe() // which takes what is read from it and nothing else
		defer near.Close()
		ended := make(chan time.Time, 1)
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if at, _, ok := k.join(0, false); ok {
				out := &eventWriter{w: w, wire: http.NewResponseController(w)}
				s.stream(r.Context(), out, "p", at, func() bool { return true })
				k.leave()
			}
			ended <- time.Now()
		})}
		l := &oneConn{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
		l.conn <- far
		// Ends when the server is closed, below.
		go srv.Serve(l)
		begun := time.Now()
		fmt.Fprint(near, "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
		in := bufio.NewReader(near)
		for range 10 {
			if _, err := in.ReadString('\n'); err != nil { // the first ticks are read
				t.Fatal(err)
			}
		}
		at := <-ended
		if took := at.Sub(begun); took < takeTimeout || took > takeTimeout+10*tickInterval {
			t.Errorf("who takes nothing was dropped after %v", took)
		}
		time.Sleep(time.Hour)
		if before := taken.Load(); before > 20 {
			t.Errorf("stock was taken %d times", before)
		}
		srv.Close()
		k.stop()
	})
}

// oneConn is a listener with one connection.
type oneConn struct {
	conn   chan net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error {
	close(l.closed)
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// TestTicks: stock is taken once for all, only while somebody watches; what is kept has a limit; a stop ends everything.
func TestTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
		var taken atomic.Int64
		k := newTicks(func() *reading {
			r := &reading{at: time.Now()}
			r.stats.Transport.MessagesIn = uint64(taken.Add(1))
			return r
		})
		time.Sleep(time.Hour)
		if taken.Load() != 0 {
			t.Errorf("stock was taken %d times for nobody", taken.Load())
		}
		for range maxWatchers {
			if _, _, ok := k.join(0, false); !ok {
				t.Fatal("there is no room")
			}
		}
		taken.Store(0)
		time.Sleep(10*tickInterval + tickInterval/2)
		list, fresh, ok := k.after(0)
		if taken.Load() != 10 || len(list) != 10 || !ok {
			t.Errorf("stock was taken %d times in ten seconds, %d ticks, %v", taken.Load(), len(list), ok)
		}
		var tick api.Tick
		if err := json.Unmarshal(list[9], &tick); err != nil || tick.Messages != 1 || tick.Seconds != 1 {
			t.Errorf("%v %+v", err, tick)
		}
		select {
		case <-fresh:
			t.Error("there is more already")
		default:
		}
		<-fresh
		time.Sleep(2*keptTicks*tickInterval + tickInterval/2)
		if _, _, ok := k.after(0); ok {
			t.Error("who is so late is not told")
		}
		k.mu.Lock()
		if len(k.ring) != keptTicks || len(k.before) != latencyTicks {
			t.Errorf("%d ticks and %d readings are kept", len(k.ring), len(k.before))
		}
		k.mu.Unlock()
		for range maxWatchers {
			k.leave()
		}
		taken.Store(0)
		time.Sleep(20 * tickInterval)
		if taken.Load() != 0 {
			t.Errorf("stock was taken %d times when all had left", taken.Load())
		}

		// Who comes back gets one tick over the whole time; who comes much later begins anew.
		last := k.last
		if at, resumed, ok := k.join(last, true); at != last || !resumed || !ok {
			t.Errorf("%d %v %v", at, resumed, ok)
		}
		time.Sleep(tickInterval + tickInterval/2)
		list, _, _ = k.after(last)
		if err := json.Unmarshal(list[0], &tick); err != nil || tick.Seconds < 20 {
			t.Errorf("the tick after a gap: %v %s", err, list)
		}
		k.leave()
		time.Sleep(2 * keptTicks * tickInterval)
		if at, resumed, _ := k.join(last, true); at != k.last || resumed || len(k.ring) != 0 {
			t.Errorf("after a long time: %d %v, %d ticks", at, resumed, len(k.ring))
		}
		k.stop()
		if _, _, ok := k.after(k.last); ok {
			t.Error("there will be more after a stop")
		}
		if _, _, ok := k.join(0, false); ok {
			t.Error("somebody joins after a stop")
		}
		k.leave()
		k.stop()
	})
}

// TestStopEndsStreams: an open stream does not hold up the end of the process, and is told.
func TestStopEndsStreams(t *testing.T) {
	t.Parallel()
	r := newRig(t, plainYAML)
	ctx, cancel := context.WithCancel(t.Context())
	second := New(r.srv.opts)
	if err := second.Open(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	// Ends when ctx is done.
	go func() { ended <- second.Run(ctx) }()
	r.base = "http://" + second.Addr().String()
	w := r.watch(http.DefaultClient)
	w.hello()
	cancel()
	var tick api.Tick
	for {
		if _, _, err := w.next(&tick); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("the stream ended with %v", err)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// BenchmarkTick is what a second costs while somebody watches.
func BenchmarkTick(b *testing.B) {
	r := newRig(b, plainYAML)
	before := []*reading{r.srv.takeStock()}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(r.srv.takeStock().since(before)); err != nil {
			b.Fatal(err)
		}
	}
}
