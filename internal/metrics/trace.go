package metrics

import "github.com/tandem-sip/tandem/internal/node"

// trace sends what is recorded of messages.
func (s scrape) trace(n *node.Node) {
	st := n.Trace().Stats()
	s.gauge("tandem_trace_bytes", "What recent messages take.", float64(st.Bytes))
	s.gauge("tandem_trace_messages", "Recent messages that are kept.", float64(st.Kept))
	s.gauge("tandem_trace_one_call_in", "Messages are kept of one call in so many; 0: of none.", float64(st.OneIn))
	s.gauge("tandem_trace_followers", "Who follows what comes.", float64(st.Follow))
	s.counter("tandem_trace_missed_total", "Messages that followers were too slow for.", st.Missed)
	x := n.Exported()
	s.counters("tandem_hep_packets_total", "Copies of messages for the collector.", "result",
		count{"sent", x.Sent}, count{"queue_full", x.Queue}, count{"too_large", x.TooLarge}, count{"failed", x.Failed})
}
