package load

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Capacity is the highest rate at which no call failed.
type Capacity struct {
	Rate  float64  `json:"rate"`  // arrivals a second; 0: calls failed at every rate
	Limit string   `json:"limit"` // what ended the search: calls failed, generator late, highest rate, interrupted
	Tries []Result `json:"tries"` // in the order in which they were made
}

// Overload is what became of more calls than the capacity.
type Overload struct {
	Factor  float64 `json:"factor"`
	Normal  Result  `json:"normal"`  // at half the capacity, before
	Over    Result  `json:"over"`    // at the factor
	Goodput float64 `json:"goodput"` // calls a second that began in the overload and ended well
	Share   float64 `json:"share"`   // of the capacity
	After   Result  `json:"after"`   // at half the capacity again, from the moment the overload ended
	// Recovery is how many seconds after the overload the last call began that failed, or was answered
	// later than ten times the 99th percentile of before and 50 ms.
	Recovery  float64 `json:"recovery_s"`
	Recovered bool    `json:"recovered"` // before the time of After was over
}

// Search says how the capacity is looked for.
type Search struct {
	From     float64       // the first rate; 0: 100 a second
	Highest  float64       // no higher rate is tried; 0: MaxRate
	Duration time.Duration // of each try; 0: 10 s
	Overload float64       // how many times the capacity is offered in the end; 0: not at all
}

// Between two rates that are this close nothing more is looked for, and a generator that is so late is itself what
// limits the rate.
const (
	closeEnough = 1.06
	tooLate     = 100 * time.Millisecond
)

// The limits of a search.
const (
	limitFailed      = "calls failed"
	limitGenerator   = "generator late"
	limitHighest     = "highest rate"
	limitInterrupted = "interrupted"
)

// FindCapacity raises the rate until calls fail, halves the gap until it knows, and then offers more, if it is told to.
func (g *Generator) FindCapacity(ctx context.Context, s Search) (*Report, error) {
	if !g.cfg.calls() {
		g.close()
		return nil, wrong("a capacity is found by calling: there is no target")
	}
	if s.From == 0 {
		s.From = 100
	}
	if s.Highest == 0 {
		s.Highest = MaxRate
	}
	if s.Duration == 0 {
		s.Duration = 10 * time.Second
	}
	return g.run(ctx, func(ctx context.Context, r *Report) {
		var all []*tally
		r.Capacity = g.search(ctx, s, &all)
		if s.Overload > 0 && r.Capacity.Rate > 0 && ctx.Err() == nil {
			r.Overload = g.overload(ctx, s, r.Capacity.Rate, &all)
		}
		g.reportSteps(r, all)
		r.Steps = nil
	})
}

// try offers one rate.
func (g *Generator) try(ctx context.Context, s Step, all *[]*tally) (Result, string) {
	tallies := g.offer(ctx, []Step{s}, 0)
	*all = append(*all, tallies...)
	g.engine.mu.Lock()
	defer g.engine.mu.Unlock()
	r := tallies[0].result()
	switch {
	case ctx.Err() != nil:
		return r, limitInterrupted
	case r.Failed > 0:
		return r, limitFailed
	case r.Lateness() > g.patience:
		return r, limitGenerator
	}
	return r, ""
}

func (g *Generator) search(ctx context.Context, s Search, all *[]*tally) *Capacity {
	c := &Capacity{}
	var failed float64 // the lowest rate at which calls failed; 0: none did
	for rate := min(s.From, s.Highest); ; {
		r, limit := g.try(ctx, Step{rate, s.Duration}, all)
		c.Tries = append(c.Tries, r)
		switch limit {
		case "":
			c.Rate = rate
		case limitInterrupted:
			c.Limit = limit
			return c
		default:
			c.Limit, failed = limit, rate
		}
		switch {
		case failed == 0 && rate >= s.Highest:
			c.Limit = limitHighest
			return c
		case failed == 0:
			rate = min(2*rate, s.Highest)
		case c.Rate == 0 && failed < 2, c.Rate > 0 && failed/c.Rate < closeEnough:
			return c
		default:
			rate = float64(int((c.Rate + failed) / 2))
		}
	}
}

// overload offers more than the capacity, and less again.
func (g *Generator) overload(ctx context.Context, s Search, capacity float64, all *[]*tally) *Overload {
	o := &Overload{Factor: s.Overload}
	half := Step{capacity / 2, s.Duration}
	o.Normal, _ = g.try(ctx, half, all)
	usual := time.Duration(o.Normal.Latency[measureNames[g.engine.order[0].first]].P99 * float64(time.Millisecond))
	g.engine.mu.Lock()
	g.engine.slow = max(10*usual, 50*time.Millisecond+g.cfg.Ring)
	g.engine.mu.Unlock()
	tallies := g.offer(ctx, []Step{{capacity * s.Overload, s.Duration}, half}, 0)
	*all = append(*all, tallies...)
	g.engine.mu.Lock()
	defer g.engine.mu.Unlock()
	o.Over, o.After = tallies[0].result(), tallies[1].result()
	o.Goodput = rounded(float64(tallies[0].done) / s.Duration.Seconds())
	o.Share = rounded(o.Goodput / capacity)
	o.Recovery = rounded(max(tallies[1].lastBad-tallies[1].began, 0).Seconds())
	o.Recovered = o.Recovery < 0.9*s.Duration.Seconds()
	return o
}

func (c *Capacity) text(b *strings.Builder) {
	for _, r := range c.Tries {
		fmt.Fprintf(b, "\nat %g/s: %s\n", r.Rate, r.summary())
		r.table(b)
	}
	if c.Rate == 0 {
		fmt.Fprintf(b, "\ncapacity: calls failed at every rate\n")
		return
	}
	fmt.Fprintf(b, "\ncapacity: %g/s without a failed call (what ended the search: %s)\n", c.Rate, c.Limit)
}

func (o *Overload) text(b *strings.Builder) {
	fmt.Fprintf(b, "\nbefore, at %g/s: %s\n", o.Normal.Rate, o.Normal.summary())
	o.Normal.table(b)
	fmt.Fprintf(b, "\noverload, at %g/s: %s\n", o.Over.Rate, o.Over.summary())
	o.Over.table(b)
	fmt.Fprintf(b, "\nafter, at %g/s: %s\n", o.After.Rate, o.After.summary())
	o.After.table(b)
	fmt.Fprintf(b, "\noverload: goodput %.1f/s, %.0f %% of the capacity; ", o.Goodput, 100*o.Share)
	if o.Recovered {
		fmt.Fprintf(b, "back to normal %.1f s after it\n", o.Recovery)
		return
	}
	b.WriteString("not back to normal in the time after it\n")
}
