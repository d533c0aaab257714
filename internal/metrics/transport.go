package metrics

import (
	"strings"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/internal/node"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/transport"
)

// count is one value of a label with its counter.
type count struct {
	word string
	n    uint64
}

// counters sends one metric with one label.
func (s scrape) counters(name, help, label string, all ...count) {
	for _, c := range all {
		s.counter(name, help, c.n, label, c.word)
	}
}

// transport sends what happens on the wire.
func (s scrape) transport(n *node.Node, st *transport.Stats) {
	census := n.Census()
	for _, tr := range []sipaddr.Transport{sipaddr.TCP, sipaddr.TLS, sipaddr.SCTP, sipaddr.TLSSCTP} {
		for _, d := range []alias.Direction{alias.Dialed, alias.Accepted} {
			s.gauge("tandem_connections", "Connections open now.", float64(census.Open[transport.Kind{Transport: tr, Direction: d}]),
				"transport", strings.ToLower(tr.String()), "direction", d.String())
		}
	}
	s.gauge("tandem_queued_bytes", "Bytes that wait to be written, on all connections.", float64(census.Queued))
	s.gauge("tandem_handshakes_pending", "Accepted connections in their handshake.", float64(st.Pending))
	s.gauge("tandem_dials_pending", "Connections being dialed.", float64(st.Dialing))
	s.counters("tandem_connections_opened_total", "Connections that were made, TLS handshake included when dialed.", "direction",
		count{"accepted", st.Accepted}, count{"dialed", st.Dialed})
	s.counter("tandem_dials_failed_total", "Connections that could not be made.", st.DialsFailed)
	s.counter("tandem_dials_shared_total", "Requests that waited for a dial which another one had begun.", st.DialsShared)
	s.counters("tandem_connections_refused_total", "Connections turned away because of a limit.", "limit",
		count{"connections", st.RefusedFull}, count{"connections_per_source", st.RefusedSource},
		count{"connections_per_identity", st.RefusedIdentity}, count{"handshakes", st.RefusedPending},
		count{"handshakes_per_source", st.RefusedPendingSource}, count{"dials", st.DialsRefused})
	s.counters("tandem_connections_ended_total", "Connections closed by this side, or broken.", "reason",
		count{"recycled", st.Recycled}, count{"settled", st.Settled}, count{"reclaimed", st.Reclaimed}, count{"slow", st.Slow},
		count{"stalled", st.Stalled}, count{"no_pong", st.NoPong}, count{"wedged", st.Wedged}, count{"truncated", st.Truncated})
	s.counters("tandem_sctp_associations_ended_total", "SCTP associations that did not end in order.", "reason",
		count{"lost", st.SCTP.Lost}, count{"aborted", st.SCTP.Aborted}, count{"restarted", st.SCTP.Restarted}, count{"violation", st.SCTP.Violations})
	s.counters("tandem_sctp_packets_dropped_total", "SCTP packets that were not taken, by userland.", "reason",
		count{"malformed", st.SCTP.Malformed}, count{"wrong_tag", st.SCTP.WrongTag}, count{"out_of_the_blue", st.SCTP.OutOfTheBlue},
		count{"bad_cookie", st.SCTP.BadCookies}, count{"refused", st.SCTP.Refused}, count{"queue_full", st.SCTP.QueueFull})
	s.handshakes(st)
	s.counter("tandem_messages_received_total", "Messages that came in.", st.MessagesIn)
	s.counters("tandem_datagrams_total", "UDP datagrams.", "direction", count{"received", st.DatagramsIn}, count{"sent", st.DatagramsOut})
	s.counter("tandem_datagram_errors_total", "Datagrams that could not be sent.", st.DatagramErrors)
	s.counter("tandem_malformed_total", "What came in and could not be read as messages.", st.Malformed)
	s.counter("tandem_stray_responses_total", "Responses dropped because this side sent no such request.", st.StrayResponses)
	s.counters("tandem_pings_total", "Keepalive pings.", "direction", count{"received", st.Pings}, count{"sent", st.PingsSent})
	s.counter("tandem_pings_ignored_total", "Keepalive pings that came too fast to be answered.", st.PingsUnanswered)
	s.counter("tandem_suspected_total", "Connections probed because something was not answered.", st.Suspected)
	s.counter("tandem_queue_full_total", "Messages turned away because too much waits on a connection.", st.QueueFull)
	s.counters("tandem_replies_total", "Responses whose connection was gone.", "result",
		count{"lost", st.RepliesLost}, count{"redialed", st.RepliesRedialed})
	s.counters("tandem_large_requests_total", "Requests too large for a datagram that is not cut in pieces.", "carried_by",
		count{"tcp", difference(st.LargeOverTCP, st.LargeOverUDP)}, count{"udp", st.LargeOverUDP})
	s.counter("tandem_accept_errors_total", "Connections that the system could not hand over.", st.AcceptErrors)
	s.counter("tandem_panics_total", "Bugs that were caught.", st.Panics)
}

// handshakes sends what became of TLS handshakes. A refused one ended because a certificate was not believed here.
func (s scrape) handshakes(st *transport.Stats) {
	const name, help = "tandem_tls_handshakes_total", "TLS handshakes; refused: this side did not believe the certificate."
	for _, role := range []struct {
		word                string
		ok, refused, failed uint64
	}{
		{"server", st.HandshakesServer, st.PeersRefused, st.HandshakesServerFailed},
		{"client", st.HandshakesClient, st.AuthFailed, st.HandshakesClientFailed},
	} {
		s.counter(name, help, role.ok, "role", role.word, "result", "ok")
		s.counter(name, help, role.refused, "role", role.word, "result", "refused")
		s.counter(name, help, difference(role.failed, role.refused), "role", role.word, "result", "failed")
	}
	s.counter("tandem_tls_handshake_timeouts_total", "Accepted connections whose TLS handshake took too long; they count as failed as well.", st.HandshakeTimeout)
	s.counter("tandem_tls_resumed_total", "TLS handshakes that resumed a session.", st.Resumed)
}

// aliases sends what the alias tables hold, and what they answered.
func (s scrape) aliases(n *node.Node, st *transport.Stats) {
	for domain, rows := range st.AliasRows {
		s.gauge("tandem_alias_rows", "Rows of the alias table of a served domain.", float64(rows), "local_domain", domain)
	}
	decided := n.Decisions()
	for _, r := range alias.Reasons() {
		s.counter("tandem_alias_decisions_total", "Requests for which a connection was looked for.", decided[r], "decision", Decision(r), "reason", r.String())
	}
	for _, r := range alias.Reasons() {
		s.counter("tandem_alias_offers_total", "Requests with the alias parameter on accepted connections, by what became of the offer; reuse: there is a row.", st.Aliases[r], "reason", r.String())
	}
}

// Decision says what follows from a reason: reuse, dial, plain or refuse.
func Decision(r alias.Reason) string {
	switch {
	case alias.Decision{Reason: r}.Reuse():
		return "reuse"
	case r == alias.NoReference:
		return "refuse"
	case r == alias.NotTLS:
		return "plain" // a connection without TLS, made for it or before
	}
	return "dial"
}
