package admin

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/internal/admin/api"
	"github.com/tandem-sip/tandem/internal/node"
	"github.com/tandem-sip/tandem/internal/trace"
)

// callColumns are what calls are sorted and filtered by.
var callColumns = []column[api.Call]{
	byText("call_id", func(c *api.Call) string { return c.CallID }),
	byText("method", func(c *api.Call) string { return c.Method }),
	{name: "user", text: func(c *api.Call) []string { return c.Users }},
	{name: "peer", text: func(c *api.Call) []string {
		return append(append(append([]string{}, c.Peers...), c.Identities...), c.Addresses...)
	}},
	{name: "connection", text: func(c *api.Call) []string { return numbers(c.Connections) }},
	{name: "status", compare: byNumber("", func(c *api.Call) int { return c.Status }).compare,
		text: func(c *api.Call) []string { return []string{strconv.Itoa(c.Status)} }},
	byTime("begun", func(c *api.Call) *time.Time { return &c.Begun }),
	byTime("latest", func(c *api.Call) *time.Time { return &c.Latest }),
	byNumber("messages", func(c *api.Call) int { return c.Messages }),
}

func numbers(list []uint64) []string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = strconv.FormatUint(n, 10)
	}
	return out
}

// traceRoutes show recent messages, and those that come.
func (s *Server) traceRoutes() []route {
	raw := parameter{name: "raw", doc: "true: with the bytes of the messages", words: []string{"true", "false"}}
	return []route{
		listRoute("/v1/calls", "The calls and other transactions of which messages are kept, the latest first.", callColumns, s.calls),
		{
			method: http.MethodGet, path: "/v1/trace", summary: "The messages of one Call-ID that are kept, with the reason why each request went where it did.",
			answers: api.Trace{}, params: []parameter{{name: "call_id", doc: "of the messages; it has to be there"}, raw}, serve: s.trace,
		},
		{
			method: http.MethodGet, path: "/v1/trace/follow", media: "text/event-stream", answers: api.TraceMessage{},
			summary: "Messages as they come, as server-sent events: message, and missed, with how many a client was too slow for.",
			params: []parameter{
				{name: "call_id", doc: "only those with this Call-ID"},
				{name: "user", doc: "only calls with this user part in From, To or the Request-URI"},
				{name: "peer", doc: "only calls by this configured peer, proved identity or IP address"},
				raw,
			},
			serve: s.follow,
		},
	}
}

func (s *Server) calls() []api.Call {
	all := s.node.Trace().Calls()
	out := make([]api.Call, len(all))
	for i, c := range all {
		out[i] = api.Call{
			CallID: text(c.CallID), Begun: c.Begun, Latest: c.Latest, Method: text(c.Method), RequestURI: text(c.RequestURI), From: text(c.From), To: text(c.To),
			Status: c.Status, Reason: text(c.Reason), Users: texts(c.Users), Peers: texts(c.Peers), Identities: texts(c.Identities), Addresses: texts(c.Addresses),
			Connections: append([]uint64{}, c.Connections...), Messages: c.Messages, Bytes: c.Bytes, Whole: c.Whole,
		}
	}
	return out
}

// text is a peer's text as JSON can have it.
func text(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

func texts(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = text(s)
	}
	return out
}

func (s *Server) trace(w http.ResponseWriter, r *http.Request, _ args) *failure {
	id := r.URL.Query().Get("call_id")
	if id == "" {
		return refuse(http.StatusBadRequest, api.BadRequest, "say which call: call_id=... ; GET /v1/calls lists them")
	}
	list := s.node.Trace().Ladder(id)
	if len(list) == 0 {
		return refuse(http.StatusNotFound, api.NotFound, "no message of that Call-ID is kept"+kept(s.node.Trace().Stats()))
	}
	out := api.Trace{CallID: text(id), Messages: make([]api.TraceMessage, len(list))}
	for i, m := range list {
		out.Messages[i] = traceMessageOf(m, r.URL.Query().Get("raw") == "true")
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// kept says how it comes that something is not kept.
func kept(st trace.Stats) string {
	switch {
	case st.OneIn == 0:
		return ": trace.memory is 0, or there is no admin API in the configuration; GET /v1/trace/follow shows what comes"
	case st.OneIn > 1:
		return fmt.Sprintf(": so much comes that it is of one call in %d; GET /v1/trace/follow shows what comes", st.OneIn)
	case st.Kept > 0:
		return ": what is reaches back " + time.Since(st.Oldest).Round(time.Second).String()
	}
	return ", and none of any other yet"
}

// traceMessageOf says of a message what the API says.
func traceMessageOf(m *trace.Message, raw bool) api.TraceMessage {
	out := api.TraceMessage{
		Number: m.Number, Time: m.Time, Direction: "received", Transport: word(m.Transport), Connection: m.Conn,
		Local: m.Local.String(), Remote: m.Remote.String(), LocalDomain: m.LocalDomain, Peer: m.Peer, Identities: texts(strings.Fields(m.Identity)),
		CallID: text(m.CallID), CSeq: m.CSeq, Method: text(m.Method), Status: m.Status, Reason: text(m.Reason), RequestURI: text(m.RequestURI),
		From: text(m.From), To: text(m.To), Branch: text(m.Branch), Bytes: len(m.Raw), Problem: text(m.Problem),
	}
	if m.Sent {
		out.Direction = "sent"
	}
	if m.Decision != nil {
		way := wayOf(&node.Way{Hop: m.Decision.Hop, Explanation: m.Decision.Explanation})
		out.Decision = &way
	}
	if raw {
		out.Raw = m.Raw
	}
	return out
}

// aliveEvery is how often a stream says that it is there, so that both sides notice when the other is gone.
const aliveEvery = 15 * time.Second

// follow streams messages until the client goes, takes nothing or may not read them any more, or the server stops.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, _ args) *failure {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return nil
	}
	q := r.URL.Query()
	f, err := s.node.Trace().Follow(trace.Filter{CallID: q.Get("call_id"), User: q.Get("user"), Peer: q.Get("peer")})
	if err != nil {
		return refuse(http.StatusServiceUnavailable, api.Unavailable, "too many follow already")
	}
	defer f.Close()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // for a proxy of HTTP in between
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	out := &eventWriter{w: w, wire: http.NewResponseController(w)}
	out.comment("following") // from now on the client is told of everything
	for out.flush() {
		select {
		case <-r.Context().Done():
			return nil
		case <-s.stopping:
			return nil
		case <-alive.C:
			out.comment("")
		case <-f.Ready():
			list, missed := f.Next()
			for _, m := range list {
				out.event("message", "", traceMessageOf(m, q.Get("raw") == "true"))
			}
			if missed > 0 {
				out.event("missed", "", api.Missed{Missed: missed})
			}
		}
		if s.admit(r, false) != nil {
			return nil // the credentials have changed
		}
	}
	return nil
}
