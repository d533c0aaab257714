package admin

import (
	"strconv"

	"github.com/tandem-sip/tandem/internal/admin/api"
	"github.com/tandem-sip/tandem/transaction"
)

// transactionColumns are what transactions are sorted and filtered by.
var transactionColumns = []column[api.Transaction]{
	byText("kind", func(t *api.Transaction) string { return t.Kind }, transaction.ClientInvite.String(), transaction.ClientNonInvite.String(),
		transaction.ServerInvite.String(), transaction.ServerNonInvite.String()),
	byText("state", func(t *api.Transaction) string { return t.State }),
	byText("method", func(t *api.Transaction) string { return t.Method }),
	byText("call_id", func(t *api.Transaction) string { return t.CallID }),
	byText("branch", func(t *api.Transaction) string { return t.Branch }),
	byText("peer", func(t *api.Transaction) string { return t.Peer }),
	{name: "connection", compare: byNumber("", func(t *api.Transaction) uint64 { return t.Connection }).compare,
		text: func(t *api.Transaction) []string { return []string{strconv.FormatUint(t.Connection, 10)} }},
	byNumber("fires_in_seconds", func(t *api.Transaction) float64 { return t.FiresIn }),
}

func (s *Server) transactionRoute() route {
	return listRoute("/v1/transactions", "The transactions that are alive, 10,000 of them at most.", transactionColumns, func() []api.Transaction {
		all := s.node.Transactions()
		out := make([]api.Transaction, len(all))
		for i, t := range all {
			out[i] = api.Transaction{
				Kind: t.Kind.String(), State: t.State.String(), Method: t.Method, Branch: t.Branch, CallID: t.CallID,
				Connection: t.Conn, Peer: t.Peer, Canceled: t.Canceled, Timer: t.Timer, FiresIn: t.In.Seconds(),
			}
		}
		return out
	})
}
