package load

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Report is what became of a run. It is also what `tandem load --json` prints. Durations are milliseconds, and begin
// when the request was due.
type Report struct {
	Version  string   `json:"version,omitempty"`
	Role     string   `json:"role"` // caller, callee or both
	Target   string   `json:"target,omitempty"`
	AnswerAt []string `json:"answer_at,omitempty"`
	Scenario string   `json:"scenario,omitempty"`
	Arrivals string   `json:"arrivals,omitempty"` // even or poisson
	// Interrupted says that it was ended before all of it was offered.
	Interrupted bool    `json:"interrupted"`
	Seconds     float64 `json:"seconds"` // from the first arrival to the end of the last call

	Result
	// Steps are the same for each rate, when there was more than one.
	Steps []Result `json:"steps,omitempty"`

	Messages Counters `json:"messages"`
	// Failures has the first failures in words, each with the message that was wrong.
	Failures []string `json:"failures,omitempty"`

	Capacity *Capacity `json:"capacity,omitempty"`
	Overload *Overload `json:"overload,omitempty"`
}

// Result is what became of the arrivals of a step, or of all.
type Result struct {
	Rate               float64            `json:"rate,omitempty"` // arrivals a second by the plan
	Begun              int                `json:"begun"`
	Done               int                `json:"done"`
	Failed             int                `json:"failed"`
	Unfinished         int                `json:"unfinished"`          // neither, when the run ended
	TurnedAway         int                `json:"turned_away"`         // of the failed: answered 503 with Retry-After
	Challenged         int                `json:"challenged"`          // requests that were answered 401 or 407
	ChallengesAnswered int                `json:"challenges_answered"` // of those: sent again with credentials
	PerSecond          float64            `json:"per_second"`          // calls that ended well, from the first arrival to the last end
	Reasons            map[string]int     `json:"reasons"`             // why calls failed, and how many
	Latency            map[string]Latency `json:"latency"`
}

// Latency is how long something took.
type Latency struct {
	Count int64   `json:"count"`
	Min   float64 `json:"min_ms"`
	Mean  float64 `json:"mean_ms"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

// rounded keeps three digits behind the point.
func rounded(f float64) float64 { return math.Round(f*1000) / 1000 }

func milliseconds(us int64) float64 { return float64(us) / 1000 }

func newLatency(h *hdr.Histogram) Latency {
	at := func(q float64) float64 { return milliseconds(h.ValueAtQuantile(q)) }
	return Latency{
		Count: h.TotalCount(), Min: milliseconds(h.Min()), Mean: rounded(h.Mean() / 1000),
		P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: milliseconds(h.Max()),
	}
}

// result sums a tally up.
func (t *tally) result() Result {
	r := Result{
		Rate: t.step.Rate, Begun: t.begun, Done: t.done, Failed: t.failed, Unfinished: t.begun - t.done - t.failed,
		TurnedAway: t.turnedAway, Challenged: t.challenged, ChallengesAnswered: t.answered, Reasons: t.reasons, Latency: make(map[string]Latency),
	}
	if took := t.ended - t.began; took > 0 {
		r.PerSecond = rounded(float64(t.done) / took.Seconds())
	}
	for m, h := range t.took {
		if h != nil {
			r.Latency[measureNames[m]] = newLatency(h)
		}
	}
	return r
}

// newReport returns what is known before anything was offered.
func (g *Generator) newReport() *Report {
	r := &Report{Version: g.cfg.Version, Role: "both"}
	for _, at := range g.cfg.AnswerAt {
		r.AnswerAt = append(r.AnswerAt, at.String())
	}
	if !g.cfg.calls() {
		r.Role = sideNames[calleeSide]
		return r
	}
	if len(g.cfg.AnswerAt) == 0 {
		r.Role = sideNames[callerSide]
	}
	r.Target, r.Scenario, r.Arrivals = g.cfg.Target.String(), mixText(g.cfg.Mix), "even"
	if g.cfg.Poisson {
		r.Arrivals = "poisson"
	}
	return r
}

// reportSteps enters what became of the steps.
func (g *Generator) reportSteps(r *Report, tallies []*tally) {
	g.engine.mu.Lock()
	defer g.engine.mu.Unlock()
	all := newTally(Step{})
	all.began = never
	for _, t := range tallies {
		if t.begun > 0 {
			all.began = min(all.began, t.began)
		}
		all.add(t)
		if len(tallies) > 1 {
			r.Steps = append(r.Steps, t.result())
		}
	}
	if len(tallies) == 1 {
		all.step = tallies[0].step
	}
	r.Result = all.result()
}

// finish enters what belongs to no step.
func (g *Generator) finish(r *Report) {
	g.engine.mu.Lock()
	defer g.engine.mu.Unlock()
	r.Messages = g.engine.counters
	if g.handshakes.TotalCount() > 0 && r.Latency != nil {
		r.Latency[measureNames[handshaking]] = newLatency(g.handshakes)
	}
	r.Messages.Unsent = int(g.unsent.Load())
	r.Failures = g.engine.failures.shown
}

// WriteJSON writes the report as one JSON object.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	return nil
}

// WriteText writes the report for a person.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	r.head(&b)
	if r.Capacity != nil {
		r.Capacity.text(&b)
	}
	if r.Overload != nil {
		r.Overload.text(&b)
	}
	if r.Capacity == nil {
		for _, s := range r.Steps {
			fmt.Fprintf(&b, "\nat %g/s: %s\n", s.Rate, s.summary())
			s.table(&b)
		}
		fmt.Fprintf(&b, "\n%s\n", r.summary())
		r.table(&b)
	}
	r.reasons(&b)
	r.notes(&b)
	_, err := io.WriteString(w, b.String())
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	return nil
}

func (r *Report) head(b *strings.Builder) {
	switch {
	case r.Target == "":
		fmt.Fprintf(b, "answering at %s", strings.Join(r.AnswerAt, ", "))
	case len(r.AnswerAt) > 0:
		fmt.Fprintf(b, "%s, %s to %s, answered at %s", r.Scenario, r.Arrivals, r.Target, strings.Join(r.AnswerAt, ", "))
	default:
		fmt.Fprintf(b, "%s, %s to %s", r.Scenario, r.Arrivals, r.Target)
	}
	if r.Interrupted {
		b.WriteString(" (interrupted)")
	}
	b.WriteByte('\n')
}

// summary is one line.
func (r *Result) summary() string {
	text := fmt.Sprintf("%d begun, %d done, %d failed", r.Begun, r.Done, r.Failed)
	if r.Unfinished > 0 {
		text += fmt.Sprintf(", %d unfinished", r.Unfinished)
	}
	if r.TurnedAway > 0 {
		text += fmt.Sprintf(", %d of the failed turned away with Retry-After", r.TurnedAway)
	}
	if r.Challenged > 0 {
		text += fmt.Sprintf(", %d requests challenged, %d of these sent again with credentials", r.Challenged, r.ChallengesAnswered)
	}
	return text + fmt.Sprintf("; %.1f/s done", r.PerSecond)
}

// table is the latencies, in milliseconds.
func (r *Result) table(b *strings.Builder) {
	if len(r.Latency) == 0 {
		return
	}
	fmt.Fprintf(b, "  %-16s %9s %9s %9s %9s %9s %9s\n", "milliseconds", "count", "p50", "p90", "p99", "p99.9", "max")
	for _, name := range measureNames {
		if l, ok := r.Latency[name]; ok {
			fmt.Fprintf(b, "  %-16s %9d %9.2f %9.2f %9.2f %9.2f %9.2f\n", strings.ReplaceAll(name, "_", " "), l.Count, l.P50, l.P90, l.P99, l.P999, l.Max)
		}
	}
}

// reasons lists why calls failed.
func (r *Report) reasons(b *strings.Builder) {
	if len(r.Reasons) == 0 {
		return
	}
	b.WriteString("\nfailed for:\n")
	for _, reason := range ranked(r.Reasons) {
		fmt.Fprintf(b, "  %9d  %s\n", r.Reasons[reason], reason)
	}
}

// notes lists the counters that are not zero.
func (r *Report) notes(b *strings.Builder) {
	m := r.Messages
	var parts []string
	for _, c := range []struct {
		n    int
		text string
	}{
		{m.Repeated, "messages sent again"}, {m.RepeatsReceived, "received again"}, {m.Late, "too late"},
		{m.UnknownRequests, "requests of no call"}, {m.UnknownResponses, "responses to nothing"},
		{m.Malformed, "no SIP messages"}, {m.Unsent, "not sent"},
		{m.ConnectionsDialed, "connections dialed"}, {m.ConnectionsTaken, "accepted"},
		{m.Handshakes, "handshakes beside them"}, {m.ConnectionsFailed, "connections failed"}, {m.ConnectionsLost, "lost"},
	} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.text))
		}
	}
	if len(parts) > 0 {
		fmt.Fprintf(b, "\n%s\n", strings.Join(parts, ", "))
	}
}

// Lateness is the 99th percentile of how late the generator itself was.
func (r *Result) Lateness() time.Duration {
	return time.Duration(r.Latency[measureNames[lateness]].P99 * float64(time.Millisecond))
}
