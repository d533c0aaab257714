package api

import "time"

// Hello begins a stream of events.
type Hello struct {
	Process string    `json:"process" doc:"tells this process from others; the ids of events begin with it"`
	Version string    `json:"version" doc:"of the program"`
	Started time.Time `json:"started" doc:"when the process began"`
	// Resumed says that the events which follow are those after the id that was asked for. If not they begin anew.
	Resumed bool `json:"resumed" doc:"whether what follows goes on behind the id that was asked for"`
}

// Tick says what happened since the tick before, a second as a rule, and how things stand. Counters that did not move are
// left out of the lists.
type Tick struct {
	At           time.Time `json:"at" doc:"when it was taken"`
	Seconds      float64   `json:"seconds" doc:"how long it covers"`
	State        string    `json:"state" doc:"starting, serving or draining"`
	Connections  int       `json:"connections" doc:"open now"`
	Dialing      int       `json:"dialing" doc:"connections being dialed now"`
	AliasRows    int       `json:"alias_rows" doc:"of all served domains together, now"`
	Transactions int       `json:"transactions" doc:"that owe or await a final response, now"`
	Calls        uint64    `json:"calls" doc:"INVITEs received"`
	Messages     uint64    `json:"messages" doc:"messages received, requests and responses"`
	Received     []Count   `json:"requests_received" doc:"requests that made a transaction, by method"`
	Sent         []Count   `json:"requests_sent" doc:"requests forwarded, by method"`
	Responses    []Count   `json:"responses" doc:"responses sent upstream, by class"`
	Handshakes   []Count   `json:"handshakes" doc:"TLS handshakes: ok, refused or failed"`
	Refused      uint64    `json:"refused" doc:"connections and transactions turned away because of a limit"`
	// Decisions say which connection carried the requests, and why.
	Decisions []Decided `json:"decisions" doc:"requests for which a connection was looked for"`
	Forward   *Latency  `json:"forward,omitempty" doc:"how long forwarding took, of the last 10 s; absent when nothing was measured"`
}

// Count is how often something happened.
type Count struct {
	Name  string `json:"name" doc:"of what is counted"`
	Count uint64 `json:"count" doc:"how often"`
}

// Decided is how often a decision had a reason.
type Decided struct {
	Decision string `json:"decision" doc:"reuse, dial, plain or refuse"`
	Reason   string `json:"reason" doc:"a word from a closed list"`
	Count    uint64 `json:"count" doc:"how often"`
}

// Latency is how long requests took from their arrival to their being sent on. One of sixteen is measured.
type Latency struct {
	Measured uint64  `json:"measured" doc:"how many requests"`
	P50      float64 `json:"p50_seconds" doc:"the median, estimated"`
	P99      float64 `json:"p99_seconds" doc:"the 99th percentile, estimated"`
}
