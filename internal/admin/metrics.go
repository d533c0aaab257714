package admin

import (
	"net/http"

	"github.com/tandem-sip/tandem/internal/metrics"
)

// metricsRoute serves what Prometheus asks for.
func (s *Server) metricsRoute() route {
	h := metrics.Handler(metrics.Config{Node: s.node, Version: s.opts.Version, Times: s.opts.Times, Refused: s.refused.counts})
	return route{
		method: http.MethodGet, path: "/metrics", summary: "Counters and figures in Prometheus' text format.", media: "text/plain",
		serve: func(w http.ResponseWriter, r *http.Request, _ args) *failure {
			h.ServeHTTP(w, r)
			return nil
		},
	}
}
