package node

import (
	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/transaction"
	"github.com/tandem-sip/tandem/transport"
)

// What operators ask of a node, and tell it to do.

// Connection is one connection with what the other rooms know of it.
type Connection struct {
	transport.ConnInfo
	PeerName     string // of the configured peer at the far end, by the rules in force; "" for none
	Transactions int    // that owe or await a final response over it
	Rows         int    // of the alias tables
}

// Survey returns all connections, in the order of their ids.
func (n *Node) Survey() []Connection {
	infos, needs, rows := n.net.Connections(), n.layer.OutstandingByConn(), make(map[alias.ConnID]int)
	for _, r := range n.net.Aliases() {
		rows[r.Conn]++
	}
	judge := n.inForce.Load().judge
	list := make([]Connection, len(infos))
	for i, ci := range infos {
		list[i] = Connection{ci, judge.of(ci).peer, needs[uint64(ci.ID)], rows[ci.ID]}
	}
	return list
}

// Connection returns one connection, and false when it is not there.
func (n *Node) Connection(id alias.ConnID) (Connection, bool) {
	ci, ok := n.net.Connection(id)
	if !ok {
		return Connection{}, false
	}
	out := Connection{ConnInfo: ci, PeerName: n.inForce.Load().judge.of(ci).peer, Transactions: n.layer.Outstanding(uint64(id))}
	for _, r := range n.net.Aliases() {
		if r.Conn == id {
			out.Rows++
		}
	}
	return out, true
}

// Transactions returns the transactions, in no order, at most 10,000 of them.
func (n *Node) Transactions() []transaction.Info { return n.layer.Transactions() }

// DrainConnection begins to close a connection in order: RFC 5923, Section 8.3. It reports false when there is none,
// or it is being closed already.
func (n *Node) DrainConnection(id alias.ConnID) bool {
	return n.net.BeginClose(id, transport.ErrOperator)
}

// CloseConnection closes a connection without waiting for its transactions. It reports false when there is none, or it
// is closed already.
func (n *Node) CloseConnection(id alias.ConnID) bool { return n.net.CloseNow(id) }

// ForgetConnection has no request find a connection any more. It reports false when there is none.
func (n *Node) ForgetConnection(id alias.ConnID) (rows int, ok bool) { return n.net.Forget(id) }
