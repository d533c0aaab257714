package transport

import "time"

// startLoops makes the loops and starts them. Without them the transport works as well, and costs more.
func (t *Transport) startLoops() []*loop {
	loops, err := newLoops(t, max(0, t.cfg.Loops))
	if err != nil {
		t.cfg.Logger.Warn("no event loops", "err", err)
		return nil
	}
	for _, l := range loops {
		// Ends by stopLoops.
		go l.run()
	}
	t.loops.Store(&loops)
	return loops
}

// stopLoops ends the loops, when nothing is left that they carry.
func stopLoops(loops []*loop) {
	for _, l := range loops {
		l.stop()
	}
	for _, l := range loops {
		<-l.done
	}
}

// loopFor returns the loop that carries what has a number, nil when there are none.
func (t *Transport) loopFor(n uint64) *loop {
	loops := t.loops.Load()
	if loops == nil || len(*loops) == 0 {
		return nil
	}
	return (*loops)[n%uint64(len(*loops))]
}

// strained reports whether more comes in than a loop can handle.
func (t *Transport) strained(now time.Time) bool {
	if loops := t.loops.Load(); loops != nil {
		for _, l := range *loops {
			if l.datagrams.stands(now, standingDatagrams) || l.streams.stands(now, standingStreams) {
				return true
			}
		}
	}
	return false
}
