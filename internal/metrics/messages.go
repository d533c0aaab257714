package metrics

import (
	"strconv"
	"time"

	"github.com/tandem-sip/tandem/internal/node"
	"github.com/tandem-sip/tandem/proxy"
	"github.com/tandem-sip/tandem/transaction"
)

// kinds are the state machines.
var kinds = [...]transaction.Kind{transaction.ClientInvite, transaction.ClientNonInvite, transaction.ServerInvite, transaction.ServerNonInvite}

// transactions sends what the transaction layer has counted.
func (s scrape) transactions(st *transaction.Stats) {
	for _, k := range kinds {
		s.gauge("tandem_transactions", "Transactions alive now.", float64(st.Live[k]), "kind", k.String())
		s.counter("tandem_transactions_created_total", "Transactions since the start.", st.Created[k], "kind", k.String())
		s.counter("tandem_retransmissions_total", "Messages that a transaction sent again.", st.Retransmits[k], "kind", k.String())
	}
	s.counters("tandem_transactions_refused_total", "Requests answered 503, and requests not sent; share: one party has all that it may have; overload: more came than could be read; transactions: there is no room, or the proxy drains.", "limit",
		count{"share", st.OverShare}, count{"overload", st.Overload},
		count{"transactions", difference(st.Refused, st.OverShare+st.Overload)})
	s.counter("tandem_transactions_timed_out_total", "Transactions that ended without a final response or its ACK.", st.TimedOut)
	s.counter("tandem_requests_repeated_total", "Requests received again.", st.Absorbed)
	s.counters("tandem_messages_dropped_total", "Messages that belong to no transaction, or not to where they came from.", "reason",
		count{"stray", st.Stray}, count{"foreign", st.Foreign}, count{"unreadable", st.Unreadable})
	s.counter("tandem_messages_undelivered_total", "Messages that a connection did not take.", st.Undelivered)
}

// proxy sends what the proxy core has counted.
func (s scrape) proxy(st *proxy.Stats) {
	const requests = "Requests by method; received: that made a transaction, sent: forwarded."
	for method, n := range st.Requests {
		s.counter("tandem_requests_total", requests, n, "method", method, "direction", "received")
	}
	for method, n := range st.Forwarded {
		s.counter("tandem_requests_total", requests, n, "method", method, "direction", "sent")
	}
	for class := 1; class <= 6; class++ {
		word := strconv.Itoa(class) + "xx"
		s.counter("tandem_responses_total", "Responses sent upstream.", st.ResponsesSent[class], "class", word)
		s.counter("tandem_responses_received_total", "Responses received from downstream.", st.ResponsesReceived[class], "class", word)
	}
	s.gauge("tandem_requests_active", "Requests that wait for a final response.", float64(st.Active))
	s.counter("tandem_connect_errors_total", "Addresses to which there was no connection.", st.ConnectErrors)
	s.counter("tandem_replays_total", "Requests sent again because their connection broke.", st.Replays)
	s.counter("tandem_timer_c_total", "INVITEs that rang too long.", st.TimerC)
	s.counter("tandem_acks_dropped_total", "ACKs to a 2xx that could not be forwarded.", st.DroppedAcks)
	s.counter("tandem_responses_undelivered_total", "Responses that the client could not be given.", st.Undelivered)
}

// resolver sends what was asked of DNS.
func (s scrape) resolver(n *node.Node) {
	st := n.ResolverStats()
	s.counter("tandem_dns_answered_from_cache_total", "URIs located from what was known.", st.Hits)
	s.counter("tandem_dns_lookups_total", "URIs that were looked up.", st.Lookups)
	s.counter("tandem_dns_lookups_refused_total", "Look-ups refused because too many were under way.", st.Refused)
	s.counter("tandem_dns_queries_total", "Questions sent to servers, repeats counted.", st.Queries)
	s.counter("tandem_dns_failures_total", "Questions that a server did not answer, or answered with a failure.", st.Failures)
	s.counter("tandem_dns_stale_answers_total", "Answers used past their time because DNS failed.", st.Stale)
	s.counter("tandem_dns_addresses_set_back_total", "Addresses that were tried after others because they had failed.", st.SetBack)
	s.counter("tandem_dns_truncated_total", "Answers that were fetched again over TCP.", st.Truncated)
	s.counter("tandem_dns_evicted_total", "Answers dropped because too many are kept.", st.Evicted)
	s.counter("tandem_dns_downgrades_total", "Domains whose NAPTR records ceased to offer TLS.", st.Downgrades)
	s.gauge("tandem_dns_entries", "Answers that are kept.", float64(st.Entries))
}

// configuration sends what the configuration in force says.
func (s scrape) configuration(n *node.Node, st *node.Stats) {
	cfg := n.Config()
	for _, d := range cfg.Domains {
		if leaf := d.Certificate.Leaf; leaf != nil {
			s.gauge("tandem_certificate_expiry_timestamp_seconds", "When the certificate of a served domain ends.", float64(leaf.NotAfter.Unix()), "local_domain", d.Name)
		}
	}
	s.counters("tandem_reloads_total", "Configurations that were to be put into force while running.", "result",
		count{"ok", st.Reloads}, count{"refused", st.ReloadsRefused})
	s.gauge("tandem_config_loaded_timestamp_seconds", "When the configuration in force was put there.", float64(n.Loaded().UnixNano())/float64(time.Second))
	if cert := cfg.Admin.Certificate; len(cert.Certificate) > 0 && cert.Leaf != nil {
		s.gauge("tandem_admin_certificate_expiry_timestamp_seconds", "When the certificate of the admin API ends.", float64(cert.Leaf.NotAfter.Unix()))
	}
	for _, l := range []struct {
		word  string
		value int
	}{
		{"connections", cfg.Limits.Connections}, {"handshakes", cfg.Limits.Handshakes}, {"transactions", cfg.Limits.Transactions},
		{"queue_bytes", cfg.Limits.Queue},
	} {
		s.gauge("tandem_limit", "Configured limits; queue_bytes is for each connection.", float64(l.value), "limit", l.word)
	}
	s.gauge("tandem_config_warnings", "What the configuration in force says that is probably not meant.", float64(len(cfg.Warnings)))
	s.gauge("tandem_draining", "1 while nothing new is taken.", oneIf(n.State() == node.Draining))
	s.gauge("tandem_overloaded", "1 while more comes in than can be handled, and new requests are refused.", oneIf(n.Overloaded()))
}

// oneIf is how Prometheus says yes and no.
func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
