package admin

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/internal/admin/api"
)

// aliasColumns are what alias rows are sorted and filtered by.
var aliasColumns = []column[api.Alias]{
	byText("local_domain", func(a *api.Alias) string { return a.LocalDomain }),
	byText("ip", func(a *api.Alias) string { return a.IP }),
	byNumber("port", func(a *api.Alias) uint16 { return a.Port }),
	byText("transport", func(a *api.Alias) string { return a.Transport }, "tls", "tls-sctp"),
	{name: "identity", text: func(a *api.Alias) []string { return a.Identities }},
	{name: "connection", compare: byNumber("", func(a *api.Alias) uint64 { return a.Connection }).compare,
		text: func(a *api.Alias) []string { return []string{strconv.FormatUint(a.Connection, 10)} }},
	byText("direction", func(a *api.Alias) string { return a.Direction }, "dialed", "accepted"),
	byTime("last_used", func(a *api.Alias) *time.Time { return &a.LastUsed }),
	byTime("certificate_expiry", func(a *api.Alias) *time.Time { return a.Expiry }),
}

func (s *Server) aliasRoute() route {
	return listRoute("/v1/aliases", "The rows of the alias tables of all served domains.", aliasColumns, func() []api.Alias {
		rows := s.node.Aliases()
		out := make([]api.Alias, len(rows))
		for i := range rows {
			out[i] = aliasOf(&rows[i])
		}
		return out
	})
}

// aliasOf says of a row what the API says.
func aliasOf(r *alias.Row) api.Alias {
	return api.Alias{
		LocalDomain: r.LocalDomain, IP: r.Resolved.Addr().String(), Port: r.Resolved.Port(), Transport: word(r.Resolved.Transport),
		Identities: append([]string{}, r.Identities.Names()...), Connection: uint64(r.Conn), Direction: r.Direction.String(),
		MadeBy: r.MadeBy, LastUsed: r.LastUsed, Fingerprint: hex.EncodeToString(r.Fingerprint[:]), Expiry: timeOrNil(r.NotAfter),
	}
}
