package admin

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/internal/admin/api"
	"github.com/tandem-sip/tandem/internal/node"
)

// connectionColumns are what connections are sorted and filtered by.
var connectionColumns = []column[api.Connection]{
	{name: "id", compare: byNumber("", func(c *api.Connection) uint64 { return c.ID }).compare,
		text: func(c *api.Connection) []string { return []string{strconv.FormatUint(c.ID, 10)} }},
	byText("transport", func(c *api.Connection) string { return c.Transport }, "tcp", "tls", "sctp", "tls-sctp"),
	byText("direction", func(c *api.Connection) string { return c.Direction }, "dialed", "accepted"),
	byText("state", func(c *api.Connection) string { return c.State }, "open", "draining", "closing", "closed"),
	byText("local_domain", func(c *api.Connection) string { return c.LocalDomain }),
	byText("peer", func(c *api.Connection) string { return c.Peer }),
	byText("source_address", func(c *api.Connection) string { return c.Source }),
	{name: "identity", text: func(c *api.Connection) []string { return c.Identities }},
	byTime("opened", func(c *api.Connection) *time.Time { return &c.Opened }),
	byTime("last_used", func(c *api.Connection) *time.Time { return &c.LastUsed }),
	byTime("certificate_expiry", func(c *api.Connection) *time.Time { return c.Expiry }),
	byNumber("bytes_in", func(c *api.Connection) uint64 { return c.BytesIn }),
	byNumber("bytes_out", func(c *api.Connection) uint64 { return c.BytesOut }),
	byNumber("queued_bytes", func(c *api.Connection) int { return c.Queued }),
	byNumber("transactions", func(c *api.Connection) int { return c.Transactions }),
}

// connectionRoutes list connections, and act on one.
func (s *Server) connectionRoutes() []route {
	const path = "/v1/connections"
	act := func(verb, summary string, do func(alias.ConnID) (string, bool)) route {
		return route{
			method: http.MethodPost, path: path + "/{id}/" + verb, summary: summary, answers: api.Done{}, ifMatch: true,
			serve: func(w http.ResponseWriter, r *http.Request, a args) *failure { return s.act(w, r, a, do) },
		}
	}
	return []route{
		listRoute(path, "The connections: over TCP and SCTP, with TLS and without.", connectionColumns, s.connections),
		{method: http.MethodGet, path: path + "/{id}", summary: "One connection. Its ETag is for If-Match.", answers: api.Connection{}, serve: s.connection},
		act("drain", "Close a connection in order: no new transactions, and the closure alert when those that there are have ended.", func(id alias.ConnID) (string, bool) {
			return "no new transactions begin on it; it closes when those that there are have ended", s.node.DrainConnection(id)
		}),
		act("close", "Close a connection now: its transactions get no answer over it.", func(id alias.ConnID) (string, bool) {
			return "its transactions were told, and the closure alert is on its way", s.node.CloseConnection(id)
		}),
		act("forget", "Have no request find a connection any more. What the peer sends over it is still taken.", func(id alias.ConnID) (string, bool) {
			rows, ok := s.node.ForgetConnection(id)
			return fmt.Sprintf("no request finds it any more (%d rows); the next one to that address dials", rows), ok
		}),
	}
}

func (s *Server) connections() []api.Connection {
	all := s.node.Survey()
	out := make([]api.Connection, len(all))
	for i := range all {
		out[i] = connectionOf(&all[i])
	}
	return out
}

// connectionOf says of a connection what the API says.
func connectionOf(c *node.Connection) api.Connection {
	out := api.Connection{
		ID: uint64(c.ID), Transport: word(c.Transport), SCTP: c.SCTP, Streams: c.Streams, Direction: c.Direction.String(), State: c.State.String(),
		LocalDomain: c.LocalDomain, Peer: c.PeerName, Local: c.Local.String(), Source: c.Remote.String(),
		Reference: c.Reference, Identities: []string{}, Expiry: timeOrNil(c.CertificateExpiry),
		TLSVersion: c.TLSVersion, Cipher: c.CipherSuite, Resumed: c.Resumed, Opened: c.Opened,
		Handshake: c.HandshakeTime.Seconds(), LastUsed: c.LastUsed, BytesIn: c.BytesIn, BytesOut: c.BytesOut,
		Queued: c.Queued, Transactions: c.Transactions, AliasRows: c.Rows, Backwards: c.Backwards,
	}
	if c.Dialed.IsValid() {
		out.Resolved = c.Dialed.String()
	}
	if c.ConnInfo.Peer != nil {
		out.Identities = append(out.Identities, c.ConnInfo.Peer.Identities.Names()...)
	}
	return out
}

// find returns the connection that a path names.
func (s *Server) find(a args) (*node.Connection, *failure) {
	id, err := strconv.ParseUint(a["id"], 10, 64)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, api.BadRequest, "the id of a connection is a number, as GET /v1/connections lists it")
	}
	c, ok := s.node.Connection(alias.ConnID(id))
	if !ok {
		return nil, refuse(http.StatusNotFound, api.NotFound, "there is no connection "+strconv.FormatUint(id, 10)+", or no more")
	}
	return &c, nil
}

func (s *Server) connection(w http.ResponseWriter, _ *http.Request, a args) *failure {
	c, f := s.find(a)
	if f != nil {
		return f
	}
	w.Header().Set("ETag", s.etag(c))
	writeJSON(w, http.StatusOK, connectionOf(c))
	return nil
}

// etag changes with what an operator would decide by: the process (whose ids begin anew), the connection, its state and
// its rows.
func (s *Server) etag(c *node.Connection) string {
	return fmt.Sprintf("%q", fmt.Sprintf("%x-%d-%s-%d", s.started.UnixNano(), c.ID, c.State, c.Rows))
}

// act does something to a connection that is still as the client has seen it.
func (s *Server) act(w http.ResponseWriter, r *http.Request, a args, do func(alias.ConnID) (string, bool)) *failure {
	c, f := s.find(a)
	if f != nil {
		return f
	}
	if !matches(r.Header.Get("If-Match"), s.etag(c)) {
		return refuse(http.StatusPreconditionFailed, api.PreconditionFailed, "the connection has changed since it was looked at: it is "+c.State.String()+" now")
	}
	result, ok := do(c.ID)
	if !ok {
		return refuse(http.StatusConflict, api.Conflict, "the connection is being closed already")
	}
	s.log.Info("admin API", "conn", uint64(c.ID), "peer", c.Remote, "status", result)
	writeJSON(w, http.StatusOK, api.Done{Result: result})
	return nil
}

// matches tells whether an If-Match header field names an ETag.
func matches(header, etag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		if one = strings.TrimSpace(one); one == "*" || one == etag {
			return true
		}
	}
	return false
}

// word is the word for a transport in lower case.
func word(t fmt.Stringer) string { return strings.ToLower(t.String()) }

// timeOrNil leaves out times that are not known.
func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
