package sctp

import (
	"encoding/binary"
	"time"
)

// watch asks silent peers whether they are there, and gives up those that do not answer: RFC 9260, Section 8.1
// and RFC 9260, Section 8.3.
func (s *stack) watch() {
	defer s.wg.Done()
	ticker := time.NewTicker(max(min(s.cfg.RTOInitial, s.cfg.PingInterval, time.Second)/2, time.Millisecond))
	defer ticker.Stop()
	var all []*association
	for {
		select {
		case <-s.closed:
			return
		case <-ticker.C:
		}
		all = all[:0]
		s.mu.RLock()
		for _, a := range s.byPath {
			all = append(all, a)
		}
		s.mu.RUnlock()
		now := time.Now().UnixNano()
		for _, a := range all {
			a.probe(now)
		}
		clear(all)
	}
}

// probe looks after one association, at a time in nanoseconds.
func (a *association) probe(now int64) {
	a.mu.Lock()
	e, tag, to := a.engine, a.peer.tag, a.to
	a.mu.Unlock()
	if e == nil {
		return
	}
	wait := int64(a.stack.cfg.RTOInitial)
	heard := a.heard.Load()
	if heard >= a.asked { // it answered, or was not asked yet
		a.missed = 0
		if now-heard < wait || now-heard < int64(a.stack.cfg.PingInterval) && e.BufferedAmount() == 0 {
			return
		}
	} else {
		if now-a.asked < wait {
			return
		}
		if a.missed++; a.missed >= a.stack.cfg.Retransmissions {
			a.end(ErrLost)
			return
		}
	}
	a.asked = now
	// The parameter of a HEARTBEAT: RFC 9260, Section 3.3.6.
	info := binary.BigEndian.AppendUint64([]byte{0, 1, 0, 12}, uint64(now))
	a.stack.write(control(a.path, tag, chunkPing, 0, info), to)
}
