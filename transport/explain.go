package transport

import (
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sipaddr"
)

// Action is what would become of a request for a hop.
type Action uint8

// The actions.
const (
	Refuse   Action = iota // it is not sent
	Reuse                  // it takes the connection that is there
	Dial                   // a connection is opened for it
	Join                   // it waits for a connection that is being opened
	Datagram               // it is sent over UDP; a large one over TCP
)

var actions = [...]string{"refuse", "reuse", "dial", "join", "datagram"}

// Actions returns the words for all actions.
func Actions() []string { return actions[:] }

// String returns "refuse", "reuse", "dial", "join" or "datagram".
func (a Action) String() string { return actions[min(a, Datagram)] }

// Explanation is what Flow would do for a hop.
type Explanation struct {
	// Decision is that of Flow, with the rows that were considered. Of a connection without TLS Conn is set, and the
	// reason is alias.NotTLS.
	alias.Decision
	Action Action
	Err    error // why it is refused: one of those that Flow gives at once; nil otherwise
}

// Explain answers what Flow would do for h, with the rows that were considered and those that were
// asked for and refused, and changes nothing.
func (t *Transport) Explain(h Hop) Explanation { return t.explain(h, true) }

// Why is Explain for the way of a message: it leaves out the rows that were refused and those of other local domains,
// for which all connections and all tables would have to be looked at.
func (t *Transport) Why(h Hop) Explanation { return t.explain(h, false) }

func (t *Transport) explain(h Hop, thorough bool) Explanation {
	if !sendable(h.To.AddrPort) {
		return Explanation{Err: ErrBadAddress}
	}
	switch h.To.Transport {
	case sipaddr.TLS, sipaddr.TLSSCTP:
		return t.explainTLS(h, thorough)
	case sipaddr.TCP, sipaddr.SCTP:
		out := t.dials(h, Explanation{Decision: alias.Decision{Reason: alias.NotTLS}})
		d := t.plainDomain(h.LocalDomain)
		d.mu.Lock()
		defer d.mu.Unlock()
		if c := d.plain[h.To]; c != nil && c.State() == Open {
			out.Conn, out.Action, out.Err = c.id, Reuse, nil
		} else if d.leads[h.To] != nil {
			out.Action = Join
		}
		return out
	case sipaddr.UDP:
		out := Explanation{Decision: alias.Decision{Reason: alias.NotTLS}, Action: Datagram}
		if t.socketFor(h.To.Addr()) == nil {
			out.Action, out.Err = Refuse, ErrNoListener
		}
		return out
	}
	return Explanation{Err: ErrNoListener}
}

// dials says whether a connection could be opened, by what is known before it is tried.
func (t *Transport) dials(h Hop, out Explanation) Explanation {
	if out.Action = Dial; !t.listenerFor(h.To).addr.IsValid() {
		out.Action, out.Err = Refuse, ErrNoListener
	}
	return out
}

// explainTLS answers out of the alias table of the local domain, as flowTLS does.
func (t *Transport) explainTLS(h Hop, thorough bool) Explanation {
	set := t.domains.Load()
	d := set.find(h.LocalDomain)
	if d == nil {
		return Explanation{Decision: alias.Decision{Reason: alias.OtherLocalDomain, Basis: h.Basis}, Err: ErrUnknownDomain}
	}
	out := t.dials(h, Explanation{})
	d.mu.Lock()
	out.Decision = d.table.Explain(h.To, h.Reference, time.Now()).On(h.Basis)
	if c := d.conns[out.Conn]; out.Decision.Reuse() && (c == nil || c.State() != Open) {
		out.Conn, out.Reason = 0, alias.Closing
	}
	if thorough {
		for _, c := range d.conns {
			for _, v := range c.refused {
				if v.Row.Resolved == h.To {
					out.Considered = append(out.Considered, v)
				}
			}
		}
	}
	switch {
	case h.Reference == "":
		out.Reason, out.Action, out.Err = alias.NoReference, Refuse, &AuthError{To: h.To}
	case out.Decision.Reuse():
		out.Action, out.Err = Reuse, nil
	case d.leads[h.To] != nil:
		out.Action = Join
	}
	d.mu.Unlock()
	if !thorough {
		return out
	}
	// RFC 5923, Section 9.3: what belongs to another domain served here is of no use, and worth a line.
	for _, other := range set.list {
		if other == d {
			continue
		}
		other.mu.Lock()
		rows := other.table.RowsAt(h.To)
		other.mu.Unlock()
		for _, row := range rows {
			if len(out.Considered) < maxConsidered {
				out.Considered = append(out.Considered, alias.Verdict{Row: row, Reason: alias.OtherLocalDomain})
			}
		}
	}
	return out
}

// maxConsidered bounds the rows in an explanation that are none of the domain's own.
const maxConsidered = 100
