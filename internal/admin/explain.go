package admin

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tandem-sip/tandem/internal/admin/api"
	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/node"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/transport"
)

// maxExplains bounds the explanations in progress, which may ask DNS.
const maxExplains = 8

// maxURI is the longest URI that is explained, in bytes.
const maxURI = 4096

func (s *Server) explainRoute() route {
	return route{
		method: http.MethodGet, path: "/v1/explain", summary: "Where a request for a next-hop URI would go, and why.", answers: api.Explanation{},
		params: []parameter{
			{name: "uri", doc: "the next hop: a SIP or SIPS URI"},
			{name: "from", doc: "the served domain on whose behalf; the first one by default"},
		},
		serve: s.explain,
	}
}

func (s *Server) explain(w http.ResponseWriter, r *http.Request, _ args) *failure {
	text, from := r.URL.Query().Get("uri"), strings.ToLower(r.URL.Query().Get("from"))
	if text == "" {
		return refuse(http.StatusBadRequest, api.BadRequest, "say which next hop: uri=sips:example.net")
	}
	u, err := sip.ParseURI(text)
	if err != nil || !u.IsSIP() || len(text) > maxURI {
		return refuse(http.StatusBadRequest, api.BadRequest, shown(text)+" is no SIP or SIPS URI: write one such as sips:example.net")
	}
	domains := s.node.Config().Domains
	if from == "" && len(domains) > 0 {
		from = domains[0].Name
	}
	if from != "" && !slices.ContainsFunc(domains, func(d config.Domain) bool { return d.Name == from }) {
		return refuse(http.StatusBadRequest, api.BadRequest, shown(from)+" is not served here")
	}
	select {
	case s.explains <- struct{}{}:
		defer func() { <-s.explains }()
	default:
		return refuse(http.StatusServiceUnavailable, api.Unavailable, "too many explanations are under way")
	}
	writeJSON(w, http.StatusOK, explanationOf(text, from, s.node.Explain(r.Context(), u, from)))
	return nil
}

// explanationOf says of an explanation what the API says.
func explanationOf(uri, from string, x node.Explanation) *api.Explanation {
	out := &api.Explanation{
		URI: uri, LocalDomain: from, Steps: []api.Step{}, Ways: []api.Way{},
		Expires: timeOrNil(x.Answer.Expires), Stale: x.Answer.Stale,
	}
	for _, st := range x.Answer.Steps {
		out.Steps = append(out.Steps, api.Step{
			Question: st.Question, Type: st.Type, Answer: st.Answer, TTL: st.TTL.Seconds(), From: st.From, Cached: st.Cached,
		})
	}
	if x.Err != nil {
		out.Failure = strings.TrimPrefix(x.Err.Error(), "resolve: ")
		out.Would = "the request would be refused: " + out.Failure
		return out
	}
	for i := range x.Ways {
		out.Ways = append(out.Ways, wayOf(&x.Ways[i]))
	}
	out.Would = would(out.Ways)
	return out
}

// wayOf says of one address what the API says.
func wayOf(w *node.Way) api.Way {
	out := api.Way{
		IP: w.Hop.To.Addr().String(), Port: w.Hop.To.Port(), Transport: word(w.Hop.To.Transport), Reference: w.Hop.Reference,
		Basis: w.Hop.Basis.String(), Action: w.Action.String(), Reason: w.Reason.String(), Connection: uint64(w.Conn),
		Considered: []api.Verdict{},
	}
	for _, v := range w.Considered {
		out.Considered = append(out.Considered, api.Verdict{Reason: v.Reason.String(), Row: aliasOf(&v.Row)})
	}
	var auth *transport.AuthError
	switch {
	case errors.As(w.Err, &auth):
		out.Failure = auth.Text()
	case w.Err != nil:
		out.Failure = strings.TrimPrefix(w.Err.Error(), "transport: ")
	}
	return out
}

// would puts into one sentence what is done at the first address where anything is.
func would(ways []api.Way) string {
	for _, w := range ways {
		at := fmt.Sprintf("%s:%s", w.Transport, hostPort(w.IP, w.Port))
		switch w.Action {
		case transport.Reuse.String():
			return fmt.Sprintf("the request would take connection %d to %s", w.Connection, at)
		case transport.Dial.String():
			return "a connection would be dialed to " + at + proving(w.Reference)
		case transport.Join.String():
			return "the request would wait for the connection that is being dialed to " + at + proving(w.Reference)
		case transport.Datagram.String():
			return "a datagram would be sent to " + at
		}
	}
	return "the request would be refused: " + cmp.Or(ways[0].Failure, ways[0].Reason)
}

func proving(reference string) string {
	if reference == "" {
		return ""
	}
	return ", where the peer has to prove to be " + reference
}

func hostPort(ip string, port uint16) string {
	if strings.Contains(ip, ":") {
		ip = "[" + ip + "]"
	}
	return fmt.Sprintf("%s:%d", ip, port)
}
