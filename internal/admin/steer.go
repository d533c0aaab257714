package admin

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/internal/admin/api"
	"github.com/tandem-sip/tandem/internal/config"
)

// steerRoutes tell the process what to do.
func (s *Server) steerRoutes() []route {
	return []route{
		{method: http.MethodPost, path: "/v1/reload", summary: "Read the configuration again and put it into force. After a refusal everything is as it was.", answers: api.Status{}, serve: s.reload},
		{method: http.MethodPost, path: "/v1/drain", summary: "Take nothing new, let the transactions end, close the connections in order, and end the process.", answers: api.Status{}, serve: s.drain},
		{method: http.MethodPost, path: "/v1/upgrade", summary: "Start the program again, have it take the listeners over, and end this process when what it has begun is done. After a refusal this process goes on.", answers: api.Done{}, serve: s.upgrade},
		{method: http.MethodGet, path: "/v1/log", summary: "The level of the log.", answers: api.Log{}, serve: s.logLevel},
		{method: http.MethodPost, path: "/v1/log", summary: "Write the log at another level for a time, or with level=configured at that of the configuration again.",
			params: []parameter{
				{name: "level", doc: "of the log", words: []string{"debug", "info", "warn", "error", "configured"}},
				{name: "for_seconds", doc: "how long; 600 when it is not given", integer: true},
			}, answers: api.Log{}, serve: s.setLogLevel},
	}
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request, a args) *failure {
	if s.opts.Reload == nil {
		return refuse(http.StatusServiceUnavailable, api.Unavailable, "this process cannot reload")
	}
	if err := s.opts.Reload(r.Context()); err != nil {
		var bad *config.Error
		if !errors.As(err, &bad) {
			return refuse(http.StatusServiceUnavailable, api.Unavailable, "the configuration was not put into force: "+err.Error())
		}
		f := refuse(http.StatusUnprocessableEntity, api.Unprocessable, "the configuration was refused, and the one that was in force goes on")
		for _, p := range bad.Problems {
			f.body.Problems = append(f.body.Problems, p.String())
		}
		return f
	}
	return s.status(w, r, a)
}

func (s *Server) drain(w http.ResponseWriter, r *http.Request, a args) *failure {
	if s.opts.Drain == nil {
		return refuse(http.StatusServiceUnavailable, api.Unavailable, "this process cannot be drained")
	}
	s.opts.Drain()
	return s.status(w, r, a)
}

func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, _ args) *failure {
	if s.opts.Upgrade == nil {
		return refuse(http.StatusServiceUnavailable, api.Unavailable, "this process cannot be upgraded in place")
	}
	pid, err := s.opts.Upgrade(r.Context())
	if err != nil {
		return refuse(http.StatusConflict, api.Conflict, "this process goes on: "+err.Error())
	}
	writeJSON(w, http.StatusOK, api.Done{Result: "process " + strconv.Itoa(pid) + " has taken over"})
	return nil
}

// How long another level of the log may be asked for, and is when nothing is said, in seconds.
const (
	usualLogSeconds = 10 * 60
	maxLogSeconds   = 24 * 60 * 60
)

func (s *Server) logLevel(w http.ResponseWriter, _ *http.Request, _ args) *failure {
	now, configured, until := s.node.LogLevel()
	writeJSON(w, http.StatusOK, api.Log{Level: strings.ToLower(now.String()), Configured: strings.ToLower(configured.String()), Until: timeOrNil(until)})
	return nil
}

func (s *Server) setLogLevel(w http.ResponseWriter, r *http.Request, a args) *failure {
	seconds, f := number(r, "for_seconds", usualLogSeconds, 1, maxLogSeconds)
	if f != nil {
		return f
	}
	word := r.URL.Query().Get("level")
	var level slog.Level
	switch {
	case word == "":
		return refuse(http.StatusBadRequest, api.BadRequest, "level is missing: debug, info, warn, error or configured")
	case word == "configured":
		s.node.ResetLogLevel()
		return s.logLevel(w, r, a)
	case level.UnmarshalText([]byte(word)) != nil:
		return refuse(http.StatusBadRequest, api.BadRequest, "level is debug, info, warn, error or configured")
	}
	d := time.Duration(seconds) * time.Second
	s.log.Info("the log is written at another level", "level", word, "for", d.String())
	if !s.node.SetLogLevel(level, d) {
		return refuse(http.StatusServiceUnavailable, api.Unavailable, "the level of the log of this process cannot be changed")
	}
	return s.logLevel(w, r, a)
}
