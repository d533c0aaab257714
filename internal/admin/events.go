package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/internal/admin/api"
)

// takeTimeout is how long somebody who watches may take for what is sent. Who takes longer is dropped.
const takeTimeout = 5 * time.Second

func (s *Server) eventsRoute() route {
	return route{
		method: http.MethodGet, path: "/v1/events", media: "text/event-stream", answers: api.Tick{}, serve: s.events,
		summary: "What happens, each second, as server-sent events: first hello, then tick for as long as somebody reads. " +
			"Last-Event-ID goes on where a stream has ended.",
	}
}

// events streams ticks until the client goes, is too slow or may not read them any more, or the server stops.
func (s *Server) events(w http.ResponseWriter, r *http.Request, _ args) *failure {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return nil
	}
	process := strconv.FormatInt(s.started.UnixNano(), 36)
	since, resumed := uint64(0), false
	if of, n, ok := strings.Cut(r.Header.Get("Last-Event-ID"), "-"); ok && of == process {
		if n, err := strconv.ParseUint(n, 10, 64); err == nil {
			since, resumed = n, true
		}
	}
	at, resumed, ok := s.ticks.join(since, resumed)
	if !ok {
		return refuse(http.StatusServiceUnavailable, api.Unavailable, fmt.Sprintf("%d streams of events are open already, or the process is stopping", maxWatchers))
	}
	defer s.ticks.leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // for a proxy of HTTP in between
	hello := api.Hello{Process: process, Version: s.opts.Version, Started: s.started, Resumed: resumed}
	out := &eventWriter{w: w, wire: http.NewResponseController(w)}
	out.event("hello", "", hello)
	s.stream(r.Context(), out, process, at, func() bool { return s.admit(r, false) == nil })
	return nil
}

// stream sends the ticks behind the one with the number at, until nobody takes them or may take them any more.
func (s *Server) stream(ctx context.Context, out *eventWriter, process string, at uint64, admitted func() bool) {
	for out.flush() {
		list, fresh, ok := s.ticks.after(at)
		if !ok || !admitted() {
			return
		}
		for _, data := range list {
			at++
			out.event("tick", fmt.Sprintf("%s-%d", process, at), json.RawMessage(data))
		}
		if len(list) > 0 {
			continue // there may be more by now
		}
		select {
		case <-fresh:
		case <-ctx.Done():
			return
		}
	}
}

// eventWriter writes server-sent events.
type eventWriter struct {
	w    http.ResponseWriter
	wire *http.ResponseController
	err  error
}

// event writes one event, whose data is one line.
func (e *eventWriter) event(name, id string, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		panic("admin: an event is no JSON: " + err.Error()) // a bug of ours
	}
	if e.err == nil {
		e.err = e.wire.SetWriteDeadline(time.Now().Add(takeTimeout))
	}
	if e.err == nil && id != "" {
		_, e.err = fmt.Fprintf(e.w, "id: %s\n", id)
	}
	if e.err == nil {
		_, e.err = fmt.Fprintf(e.w, "event: %s\ndata: %s\n\n", name, text)
	}
}

// comment writes a line that says nothing to a program.
func (e *eventWriter) comment(text string) {
	if e.err == nil {
		e.err = e.wire.SetWriteDeadline(time.Now().Add(takeTimeout))
	}
	if e.err == nil {
		_, e.err = fmt.Fprintf(e.w, ": %s\n\n", text)
	}
}

// flush sends what was written, and reports whether the client has taken it.
func (e *eventWriter) flush() bool {
	if e.err == nil {
		e.err = e.wire.Flush()
	}
	return e.err == nil
}
