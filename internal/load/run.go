package load

import (
	"context"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Progress is what happened in a second.
type Progress struct {
	Seconds float64       // since load was offered first
	Offered float64       // arrivals a second by the plan; 0 where calls are only taken
	Begun   int           // arrivals of this second
	Done    int           // calls that ended well in it
	Failed  int           // calls that failed in it
	Open    int           // calls that are not over
	P50     time.Duration // from when a request was due to its answer, of the answers of this second
	P99     time.Duration
}

const (
	pollInterval     = 10 * time.Millisecond
	progressInterval = time.Second
	farewell         = 5 * time.Second        // for calls to end when the context has
	aftermath        = 200 * time.Millisecond // for what is sent again
)

// Run offers the load that is configured and waits until all calls are over; without a target it takes calls until ctx
// ends, the first step's Duration is over, or Calls have ended. When ctx ends, arrivals end, calls hang up, and the
// report tells of what there was. The error is for what kept the load from being offered at all; failed calls are in
// the report.
func (g *Generator) Run(ctx context.Context) (*Report, error) {
	var tallies []*tally
	return g.run(ctx, func(ctx context.Context, r *Report) {
		if g.cfg.calls() {
			tallies = g.offer(ctx, g.cfg.Steps, g.cfg.Calls)
		} else {
			tallies = g.take(ctx)
		}
		g.reportSteps(r, tallies)
	})
}

// run starts everything, calls f, ends everything, and reports.
func (g *Generator) run(ctx context.Context, f func(context.Context, *Report)) (*Report, error) {
	dialing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		stop()
		g.close()
	}()
	g.start()
	unhook := context.AfterFunc(ctx, func() {
		if !g.offering.Load() {
			stop()
		}
	})
	defer unhook()
	if err := g.connect(dialing); err != nil {
		return nil, err
	}
	g.offering.Store(true)
	r := g.newReport()
	began := time.Now()
	stopKnocking := g.knocking(dialing)
	f(ctx, r)
	stopKnocking()
	pause(context.WithoutCancel(ctx), aftermath)
	r.Seconds = rounded(time.Since(began).Seconds())
	r.Interrupted = ctx.Err() != nil && g.cfg.calls()
	g.finish(r)
	return r, nil
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// offer offers steps of arrivals and waits until all of their calls are over.
func (g *Generator) offer(ctx context.Context, steps []Step, calls int) []*tally {
	e := g.engine
	var out outbox
	e.enter(&out)
	e.offer(steps, calls, g.now())
	tallies := e.tallies
	e.leave()
	g.await(ctx, func() bool {
		over, open := e.settled()
		return over && open == 0
	}, steps)
	return tallies
}

// take takes calls until it is enough.
func (g *Generator) take(ctx context.Context) []*tally {
	e := g.engine
	if len(g.cfg.Steps) > 0 && g.cfg.Steps[0].Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, g.cfg.Steps[0].Duration)
		defer cancel()
	}
	e.mu.Lock()
	e.tallies = []*tally{e.taken}
	e.mu.Unlock()
	g.await(ctx, func() bool { return g.cfg.Calls > 0 && e.taken.done+e.taken.failed >= g.cfg.Calls }, nil)
	return []*tally{e.taken}
}

// await waits until over says so, which is called with the lock held, and tells the progress meanwhile. When ctx ends
// it hangs up and waits a little for all calls to end.
func (g *Generator) await(ctx context.Context, over func() bool, steps []Step) {
	e := g.engine
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	began := time.Now()
	told := began
	var last Progress
	done := ctx.Done()
	var leave <-chan time.Time
	for {
		select {
		case <-done:
			done = nil
			leave = time.After(farewell)
			e.mu.Lock()
			out := &outbox{}
			e.out = out
			e.hangUp(g.now())
			e.leave()
			g.send(out)
			over = func() bool { return e.open == 0 }
		case <-leave:
			return
		case now := <-ticker.C:
			e.mu.Lock()
			enough := over()
			var p Progress
			due := now.Sub(told) >= progressInterval || enough
			if due && g.cfg.Progress != nil {
				told = told.Add(progressInterval)
				p = e.progress(&last)
			}
			e.mu.Unlock()
			if due && g.cfg.Progress != nil {
				p.Seconds = now.Sub(began).Seconds()
				p.Offered = rateAt(steps, now.Sub(began))
				g.cfg.Progress(p)
			}
			if enough {
				return
			}
		}
	}
}

// rateAt is the rate of the step that is under way.
func rateAt(steps []Step, at time.Duration) float64 {
	for _, s := range steps {
		if s.Duration == 0 || at < s.Duration {
			return s.Rate
		}
		at -= s.Duration
	}
	return 0
}

// progress returns what happened since last, and keeps in last what there is now. The lock is held.
func (e *engine) progress(last *Progress) Progress {
	var all Progress
	for _, t := range e.tallies {
		all.Begun += t.begun
		all.Done += t.done
		all.Failed += t.failed
	}
	p := Progress{
		Begun: all.Begun - last.Begun, Done: all.Done - last.Done, Failed: all.Failed - last.Failed, Open: e.open,
		P50: quantile(e.interval, 50), P99: quantile(e.interval, 99),
	}
	e.interval.Reset()
	*last = all
	return p
}

func quantile(h *hdr.Histogram, percent float64) time.Duration {
	return time.Duration(h.ValueAtQuantile(percent)) * time.Microsecond
}
