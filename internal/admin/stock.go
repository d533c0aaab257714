package admin

import (
	"slices"
	"time"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/internal/admin/api"
	"github.com/tandem-sip/tandem/internal/metrics"
	"github.com/tandem-sip/tandem/internal/node"
	"github.com/tandem-sip/tandem/sip"
)

// latencyTicks is over how many ticks the times of forwarding are looked at together: one second has too few.
const latencyTicks = 10

// reading is how the counters stood at one moment.
type reading struct {
	at           time.Time
	state        string
	stats        node.Stats
	decisions    map[alias.Reason]uint64
	transactions int
	forward      metrics.Counts
}

// takeStock reads the counters.
func (s *Server) takeStock() *reading {
	r := &reading{
		at: time.Now(), state: s.node.State().String(), stats: s.node.Stats(), decisions: s.node.Decisions(), transactions: s.node.Outstanding(),
	}
	if s.opts.Times != nil {
		r.forward = s.opts.Times.Forward.Counts()
	}
	return r
}

// since says what happened since the last of some readings, which are in order.
func (r *reading) since(before []*reading) *api.Tick {
	first, b := before[0], before[len(before)-1]
	now, then := &r.stats, &b.stats
	t := &api.Tick{
		At: r.at, Seconds: r.at.Sub(b.at).Seconds(), State: r.state,
		Connections: now.Transport.Connections, Dialing: now.Transport.Dialing, Transactions: r.transactions,
		Calls:     now.Proxy.Requests[sip.MethodInvite] - then.Proxy.Requests[sip.MethodInvite],
		Messages:  now.Transport.MessagesIn - then.Transport.MessagesIn,
		Received:  moved(now.Proxy.Requests, then.Proxy.Requests),
		Sent:      moved(now.Proxy.Forwarded, then.Proxy.Forwarded),
		Responses: []api.Count{}, Handshakes: []api.Count{}, Decisions: []api.Decided{},
		Refused: turnedAway(now) - turnedAway(then),
	}
	for _, n := range now.Transport.AliasRows {
		t.AliasRows += n
	}
	add := func(to *[]api.Count, name string, n uint64) {
		if n > 0 {
			*to = append(*to, api.Count{Name: name, Count: n})
		}
	}
	for i, class := range [...]string{1: "1xx", "2xx", "3xx", "4xx", "5xx", "6xx"} {
		add(&t.Responses, class, now.Proxy.ResponsesSent[i]-then.Proxy.ResponsesSent[i])
	}
	done, refused, failed := handshakes(now)
	doneThen, refusedThen, failedThen := handshakes(then)
	add(&t.Handshakes, "ok", done-doneThen)
	add(&t.Handshakes, "refused", refused-refusedThen)
	if failed-failedThen > refused-refusedThen {
		add(&t.Handshakes, "failed", failed-failedThen-(refused-refusedThen))
	}
	for _, reason := range alias.Reasons() {
		if n := r.decisions[reason] - b.decisions[reason]; n > 0 {
			t.Decisions = append(t.Decisions, api.Decided{Decision: metrics.Decision(reason), Reason: reason.String(), Count: n})
		}
	}
	if times := r.forward.Since(&first.forward); times.Total() > 0 {
		t.Forward = &api.Latency{Measured: times.Total(), P50: times.Quantile(0.5).Seconds(), P99: times.Quantile(0.99).Seconds()}
	}
	return t
}

// moved lists the counters that have grown, by name.
func moved(now, then map[string]uint64) []api.Count {
	list := []api.Count{}
	for name, n := range now {
		if n > then[name] {
			list = append(list, api.Count{Name: name, Count: n - then[name]})
		}
	}
	slices.SortFunc(list, func(a, b api.Count) int { return int(b.Count) - int(a.Count) })
	return list
}

// handshakes adds up both roles. What was refused is among what failed.
func handshakes(s *node.Stats) (done, refused, failed uint64) {
	t := &s.Transport
	return t.HandshakesServer + t.HandshakesClient, t.PeersRefused + t.AuthFailed, t.HandshakesServerFailed + t.HandshakesClientFailed
}

// turnedAway counts what a limit was in the way of.
func turnedAway(s *node.Stats) uint64 {
	t := &s.Transport
	return t.RefusedFull + t.RefusedSource + t.RefusedPending + t.RefusedPendingSource + t.RefusedIdentity + t.DialsRefused + s.Transactions.Refused
}
