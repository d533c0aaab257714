package lab

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"
)

// progressInterval is how often progress is told; a terminal is redrawn more often.
const progressInterval = 2 * time.Second

// Call places the calls of both directions and waits until all of them are over. The first forward
// call makes the connection between the proxies; the backward ones begin once it was answered. The
// error is ctx's when that ended first; the result then says how far the calls came.
func (l *Lab) Call(ctx context.Context) (*Result, error) {
	if err := l.openPairs(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	placing, stop := context.WithCancel(ctx)
	defer stop()
	var placed sync.WaitGroup
	// Ends when all calls have begun, or ctx is done.
	placed.Go(func() { l.placeCalls(placing, forward) })
	// The same.
	placed.Go(func() {
		if l.firstAnswer(placing) {
			l.placeCalls(placing, backward)
		}
	})
	err := l.await(ctx)
	stop()
	placed.Wait()
	r := l.result(time.Since(began))
	return r, err
}

// firstAnswer waits until backward calls may begin: when a forward call was answered, or none will be.
func (l *Lab) firstAnswer(ctx context.Context) bool {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-l.book.firstAnswered[forward]:
			return true
		case <-ticker.C:
			if t, _ := l.book.counts(); t[forward].done+t[forward].failed >= l.opts.Calls {
				return true
			}
		}
	}
}

// placeCalls begins the calls of one direction at the given rate, whatever becomes of them.
func (l *Lab) placeCalls(ctx context.Context, direction int) {
	agents := l.sides[direction].agents
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range l.opts.Calls {
		due := began.Add(time.Duration(float64(i) / l.opts.Rate * float64(time.Second)))
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return
		case now := <-timer.C:
			a := agents[i%len(agents)]
			id := fmt.Sprintf("%d-%s@%s", i+1, rand.Text(), a.domain)
			// Half of the calls are hung up by the callee; with an odd number of agents to choose
			// from, or an even one, every agent gets calls of both kinds.
			calleeHangs := (i+i/len(agents))%2 == 1
			if c, ok := l.book.begin(direction, id, calleeHangs); ok {
				a.dial(c, now)
			}
		}
	}
}

// await waits until all calls are over and tells the progress meanwhile.
func (l *Lab) await(ctx context.Context) error {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	var told time.Time
	interval := progressInterval
	if l.opts.Terminal {
		interval = 100 * time.Millisecond
	}
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("lab: ended before all calls were over: %w", ctx.Err())
		case now := <-ticker.C:
			if err := l.Err(); err != nil {
				return err
			}
			t, open := l.book.counts()
			over := t[forward].done+t[forward].failed >= l.opts.Calls && t[backward].done+t[backward].failed >= l.opts.Calls
			if over || now.Sub(told) >= interval {
				told = now
				l.tell(t, open, over)
			}
			if over {
				return nil
			}
		}
	}
}

// tell writes one line of progress.
func (l *Lab) tell(t [2]tally, open int, over bool) {
	line := fmt.Sprintf("forward %d of %d, backward %d of %d, %d failed, %d in progress",
		t[forward].done+t[forward].failed, l.opts.Calls, t[backward].done+t[backward].failed, l.opts.Calls,
		t[forward].failed+t[backward].failed, open)
	switch {
	case !l.opts.Terminal:
		_, _ = fmt.Fprintln(l.opts.Progress, line)
	case over:
		_, _ = fmt.Fprintf(l.opts.Progress, "\r\x1b[K%s\n", line)
	default:
		_, _ = fmt.Fprintf(l.opts.Progress, "\r\x1b[K%s", line)
	}
}
