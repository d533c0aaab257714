package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// crowd is how many connections the made-up proxy has.
const crowd = 10_000

// crowded serves the page, and an API that says what a proxy with many busy connections says.
func crowded(t testing.TB) string {
	t.Helper()
	mux := http.NewServeMux()
	files := http.FileServer(http.Dir("../../internal/dashboard"))
	mux.Handle("/page/", files)
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		text, err := os.ReadFile(filepath.Join("../../internal/dashboard/page", "index.html"))
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(text)
	})
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v)
	}
	now := func() string { return time.Now().UTC().Format(time.RFC3339Nano) }
	mux.HandleFunc("/v1/status", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{"version": "test", "state": "serving", "started": now(), "connections": crowd, "domains": []any{}, "config": map[string]any{"file": "x", "loaded": now(), "warnings": []any{}}})
	})
	mux.HandleFunc("/v1/connections", func(w http.ResponseWriter, r *http.Request) {
		offset, _ := strconv.Atoi(r.FormValue("offset"))
		limit, _ := strconv.Atoi(r.FormValue("limit"))
		items := []any{}
		for i := offset; i < min(crowd, offset+limit); i++ {
			n := time.Now().UnixMilli() + int64(i)
			items = append(items, map[string]any{
				"id": i + 1, "transport": "tls", "direction": "accepted", "state": "open", "local_domain": "example.com", "local_address": "192.0.2.1:5061",
				"source_address": fmt.Sprintf("198.51.%d.%d:5061", i/250, i%250), "identities": []string{fmt.Sprintf("d%d.example", i)}, "opened": now(), "last_used": now(),
				"bytes_in": n, "bytes_out": n / 2, "transactions": n % 7, "alias_rows": 1,
			})
		}
		answer(w, map[string]any{"items": items, "total": crowd, "offset": offset, "limit": limit})
	})
	mux.HandleFunc("/v1/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "event: hello\ndata: {\"process\":\"x\",\"resumed\":false}\n\n")
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			fmt.Fprintf(w, "event: tick\ndata: %s\n\n", `{"at":"`+now()+`","seconds":1,"state":"serving","connections":10000,"calls":900,"messages":9000,"alias_rows":10000,"transactions":80,"decisions":[],"responses":[]}`)
			w.(http.Flusher).Flush()
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv.URL
}

// scroll goes through the whole list in 120 frames, and returns how long the frames took and the most rows that there were.
const scroll = `new Promise((done) => {
	const port = document.querySelector(".port"), frames = [];
	let n = 0, last = performance.now(), rows = 0;
	const step = (now) => {
		frames.push(now - last);
		last = now;
		rows = Math.max(rows, document.querySelectorAll(".sizer .vrow").length);
		port.scrollTop = (port.scrollHeight - port.clientHeight) * (1 - Math.cos(n / 120 * Math.PI * 2)) / 2;
		if (n++ < 120) requestAnimationFrame(step); else done({frames: frames.slice(1), rows});
	};
	requestAnimationFrame(step);
})`

// TestSmooth: with 10,000 connections there are no more elements than fit into the window, and what a frame of scrolling
// takes of the processor fits into one frame of sixty a second.
func TestSmooth(t *testing.T) {
	p := open(t, crowded(t)+"/#/connections", desk, "light")
	p.until(`document.querySelector("button.open")`)
	if err := chromedp.Run(p.ctx, performance.Enable().WithTimeDomain(performance.EnableTimeDomainThreadTicks)); err != nil {
		t.Fatal(err)
	}
	busy := func() (seconds float64) {
		var list []*performance.Metric
		p.do(chromedp.ActionFunc(func(ctx context.Context) (err error) { list, err = performance.GetMetrics().Do(ctx); return err }))
		for _, m := range list {
			if m.Name == "TaskDuration" {
				return m.Value
			}
		}
		t.Fatal("the browser does not say how busy it was")
		return 0
	}
	before := busy()
	var got struct {
		Frames []float64
		Rows   int
	}
	p.do(chromedp.Evaluate(scroll, &got, func(e *runtime.EvaluateParams) *runtime.EvaluateParams { return e.WithAwaitPromise(true) }))
	each := 1000 * (busy() - before) / float64(len(got.Frames))
	slow := 0
	for _, ms := range got.Frames {
		if ms > 50 {
			slow++
		}
	}
	t.Logf("%d frames of scrolling: %.1f ms of the processor each, %d longer than 50 ms on the clock, %d rows at most", len(got.Frames), each, slow, got.Rows)
	if each > 1000.0/60 {
		t.Errorf("a frame takes %.1f ms of the processor", each)
	}
	if got.Rows > 80 {
		t.Errorf("%d rows are elements", got.Rows)
	}
	p.until(`document.querySelector(".count").textContent === "10,000 in all" && document.querySelector(".vrow:not(.waiting) button.open")`)
	p.do(chromedp.Evaluate(`document.querySelector(".port").scrollTop = 1e9`, nil))
	p.until(`[...document.querySelectorAll("button.open")].some((b) => b.dataset.id === "10000")`)
	if !strings.Contains(eval[string](p, `document.querySelector("[role=table]").getAttribute("aria-rowcount")`), "10001") {
		t.Error("the length of the list is not told")
	}
	p.shot("connections-10000")
}
