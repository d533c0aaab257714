package lab

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandem-sip/tandem/sipaddr"
)

// Result is what became of a lab. It is also what `tandem lab --json` prints.
type Result struct {
	// Forward and Backward are the calls from example.com to example.net, and back.
	Forward  Direction `json:"forward"`
	Backward Direction `json:"backward"`
	// TLSConnections counts the established connections between the two proxies as the kernel sees
	// them, each once. Null where that cannot be known; TLSConnectionsUnknown then says why.
	TLSConnections        *int   `json:"tls_connections"`
	TLSConnectionsUnknown string `json:"tls_connections_unknown,omitempty"`
	// Transport is what was spoken between the proxies: TLS, SCTP or TLS-SCTP.
	Transport string `json:"transport"`
	// SCTP says who spoke SCTP for them: kernel, udp (userland over UDP) or raw (userland over IP). Associations are those
	// between them, each once, as whoever spoke SCTP counts them, and OpenBefore how many stood before the first call.
	SCTP         string `json:"sctp,omitempty"`
	Associations *int   `json:"associations,omitempty"`
	OpenBefore   *int   `json:"associations_before_calls,omitempty"`
	// Connections are those between the proxies, each at both ends.
	Connections []Connection `json:"connections,omitempty"`
	// Handshakes counts the TLS handshakes done between the proxies, each once.
	Handshakes int `json:"handshakes"`
	// Aliases are the rows of both proxies' alias tables.
	Aliases []Row `json:"aliases"`
	// Unexpected counts messages to agents that belonged to no call, or were no answer to anything.
	Unexpected      int      `json:"unexpected"`
	UnexpectedTexts []string `json:"unexpected_texts,omitempty"` // the first of them
	// Seconds is how long it all took, from the first INVITE to the end of the last call.
	Seconds float64 `json:"seconds"`

	place place
}

// Direction is what became of the calls of one direction.
type Direction struct {
	Calls    int `json:"calls"`    // begun
	Failed   int `json:"failed"`   // not answered and hung up as they should be
	Answered int `json:"answered"` // with 200
	// Dialed counts the connections to the other proxy that the caller's proxy dialed, and Reused the calls that
	// found one there, dialed or accepted before.
	Dialed int `json:"dialed"`
	Reused int `json:"reused"`
	// Ringing and Answering are the times from INVITE to 180, and to 200.
	Ringing   Percentiles `json:"invite_to_180"`
	Answering Percentiles `json:"invite_to_200"`
	// Failures has the first failures in words.
	Failures []string `json:"failures,omitempty"`
}

// Percentiles sums up how long something took, in milliseconds.
type Percentiles struct {
	P50 float64 `json:"p50_ms"`
	P90 float64 `json:"p90_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

// newPercentiles sorts took.
func newPercentiles(took []time.Duration) Percentiles {
	if len(took) == 0 {
		return Percentiles{}
	}
	slices.Sort(took)
	at := func(percent int) float64 {
		i := (len(took)*percent + 99) / 100 // the nearest rank, from 1
		return float64(took[max(i, 1)-1]) / float64(time.Millisecond)
	}
	return Percentiles{at(50), at(90), at(99), at(100)}
}

// Failed says how many calls failed.
func (r *Result) Failed() int { return r.Forward.Failed + r.Backward.Failed }

// Err says which calls failed, and how; nil when none did.
func (r *Result) Err() error {
	if r.Failed() == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "lab: %d of %d calls failed", r.Failed(), r.Forward.Calls+r.Backward.Calls)
	for _, d := range []struct {
		name string
		Direction
	}{{"forward", r.Forward}, {"backward", r.Backward}} {
		for _, f := range d.Failures {
			fmt.Fprintf(&b, "\n  %s %s", d.name, f)
		}
		if more := d.Failed - len(d.Failures); more > 0 && len(d.Failures) > 0 {
			fmt.Fprintf(&b, "\n  %s: and %d more", d.name, more)
		}
	}
	return fmt.Errorf("%s", b.String())
}

// result collects what there is to say.
func (l *Lab) result(took time.Duration) *Result {
	r := &Result{Aliases: l.Rows(), Seconds: took.Seconds(), Transport: l.opts.Transport.String(), place: l.place}
	if r.Aliases == nil {
		r.Aliases = []Row{}
	}
	l.count(r)
	opened := [2]int{} // in advance
	for i, s := range l.sides {
		dialed, accepted := s.handshakes()
		r.Handshakes += accepted // each handshake has one server
		if l.opts.Transport == sipaddr.SCTP {
			dialed, opened[i] = int(s.node.Stats().Transport.SCTP.Dialed), l.opened[i]
		}
		[]*Direction{&r.Forward, &r.Backward}[i].Dialed = dialed
	}

	l.book.mu.Lock()
	defer l.book.mu.Unlock()
	for i, d := range []*Direction{&r.Forward, &r.Backward} {
		t := &l.book.tallies[i]
		d.Calls, d.Failed, d.Answered = t.begun, t.failed, t.answered
		d.Reused = max(t.answered-d.Dialed+opened[i], 0)
		d.Ringing, d.Answering = newPercentiles(t.ringing), newPercentiles(t.answering)
		d.Failures = slices.Clone(t.failures)
	}
	r.Unexpected, r.UnexpectedTexts = l.book.strangeCount, slices.Clone(l.book.strange)
	return r
}
