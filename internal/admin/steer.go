package admin

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/tandem-sip/tandem/internal/admin/api"
	"github.com/tandem-sip/tandem/internal/config"
)

// steerRoutes tell the process what to do.
func (s *Server) steerRoutes() []route {
	return []route{
		{method: http.MethodPost, path: "/v1/reload", summary: "Read the configuration again and put it into force. After a refusal everything is as it was.", answers: api.Status{}, serve: s.reload},
		{method: http.MethodPost, path: "/v1/drain", summary: "Take nothing new, let the transactions end, close the connections in order, and end the process.", answers: api.Status{}, serve: s.drain},
		{method: http.MethodPost, path: "/v1/upgrade", summary: "Start the program again, have it take the listeners over, and end this process when what it has begun is done. After a refusal this process goes on.", answers: api.Done{}, serve: s.upgrade},
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
