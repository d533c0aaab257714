package admin

import (
	"net/http"
	"time"

	"github.com/tandem-sip/tandem/internal/admin/api"
	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/node"
)

// allRoutes lists what can be asked.
func (s *Server) allRoutes() []route {
	list := []route{
		{method: http.MethodGet, path: "/healthz", summary: "Whether the process answers.", answers: api.Health{}, serve: s.healthz},
		{method: http.MethodGet, path: "/readyz", summary: "Whether requests are taken: 503 while it starts and while it drains.", answers: api.Health{}, serve: s.readyz},
		{method: http.MethodGet, path: "/v1/status", summary: "What this process is and how it does.", answers: api.Status{}, serve: s.status},
	}
	list = append(list, s.connectionRoutes()...)
	list = append(list, s.aliasRoute(), s.peerRoute(), s.transactionRoute(), s.explainRoute(), s.eventsRoute())
	list = append(list, s.traceRoutes()...)
	list = append(list, s.steerRoutes()...)
	list = append(list, s.metricsRoute(), descriptionRoute())
	return append(list, profileRoutes()...)
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request, _ args) *failure {
	writeJSON(w, http.StatusOK, api.Health{Status: "ok"})
	return nil
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request, _ args) *failure {
	if state := s.node.State(); state != node.Serving {
		return refuse(http.StatusServiceUnavailable, api.Unavailable, "the proxy is "+state.String())
	}
	writeJSON(w, http.StatusOK, api.Health{Status: "ok"})
	return nil
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request, _ args) *failure {
	cfg, st := s.node.Config(), s.node.Stats()
	out := api.Status{
		Version: s.opts.Version, State: s.node.State().String(), Started: s.started,
		Config:      api.Configuration{File: cfg.File, Loaded: s.node.Loaded(), Warnings: []string{}},
		Domains:     []api.Domain{},
		Connections: st.Transport.Connections, Transactions: s.node.Outstanding(),
	}
	for _, p := range cfg.Warnings {
		out.Config.Warnings = append(out.Config.Warnings, p.String())
	}
	for _, n := range st.Transport.AliasRows {
		out.AliasRows += n
	}
	for i := range cfg.Domains {
		out.Domains = append(out.Domains, domainOf(&cfg.Domains[i], st.Transport.AliasRows[cfg.Domains[i].Name]))
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// domainOf says of a served domain what the API says.
func domainOf(d *config.Domain, rows int) api.Domain {
	out := api.Domain{Name: d.Name, AliasRows: rows, Names: []string{}}
	if leaf := d.Certificate.Leaf; leaf != nil {
		out.Names = append(out.Names, d.Identities.Names()...)
		out.Expiry = timeOrNil(leaf.NotAfter)
		out.DaysLeft = daysLeft(out.Expiry, time.Now())
	}
	return out
}
