package config

import (
	"log/slog"
	"math"
	"time"
)

// readLog reads what is logged, and how.
func (v value) readLog(l *Log) {
	v.fields([]field{
		{"level", func(v value) {
			word := "info"
			v.readOneOf(&word, "debug", "info", "warn", "error")
			l.Level = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}[word]
		}},
		{"format", func(v value) {
			word := "text"
			v.readOneOf(&word, "text", "json")
			l.JSON = word == "json"
		}},
	})
}

// readLimits reads what bounds the others. The lowest values are those that SIP still works with.
func (v value) readLimits(l *Limits) {
	v.fields([]field{
		{"connections", func(v value) { v.readInt(&l.Connections, 1, 10_000_000) }},
		{"connections_per_source", func(v value) { v.readInt(&l.ConnectionsPerSource, 1, 10_000_000) }},
		{"connections_per_identity", func(v value) { v.readInt(&l.ConnectionsPerIdentity, 1, 10_000_000) }},
		{"handshakes", func(v value) { v.readInt(&l.Handshakes, 1, 1_000_000) }},
		{"handshakes_per_source", func(v value) { v.readInt(&l.HandshakesPerSource, 1, 1_000_000) }},
		{"rows_per_connection", func(v value) { v.readInt(&l.RowsPerConnection, 1, 1000) }},
		{"transactions", func(v value) { v.readInt(&l.Transactions, 1, 100_000_000) }},
		{"transactions_per_source", func(v value) { v.readInt(&l.TransactionsPerSource, 1, 100_000_000) }},
		{"transactions_per_identity", func(v value) { v.readInt(&l.TransactionsPerIdentity, 1, 100_000_000) }},
		{"start_line", func(v value) { v.readSize(&l.StartLine, 256, 1<<20) }},
		{"header", func(v value) { v.readSize(&l.Header, 1<<10, 16<<20) }},
		{"body", func(v value) { v.readSize(&l.Body, 1<<10, 64<<20) }},
		{"queue", func(v value) { v.readSize(&l.Queue, 4<<10, 1<<30) }},
		{"unanswered", func(v value) { v.readInt(&l.Unanswered, 0, 1_000_000) }},
	})
	// A share that is not given is three quarters of the whole, so that nobody alone takes all of it.
	for _, x := range []struct {
		key   string
		share *int
		of    int
	}{
		{"connections_per_source", &l.ConnectionsPerSource, l.Connections},
		{"connections_per_identity", &l.ConnectionsPerIdentity, l.Connections},
		{"handshakes_per_source", &l.HandshakesPerSource, l.Handshakes},
		{"transactions_per_source", &l.TransactionsPerSource, l.Transactions},
		{"transactions_per_identity", &l.TransactionsPerIdentity, l.Transactions},
	} {
		if v.r.lines[v.key+"."+x.key] == 0 {
			*x.share = max(1, int(int64(x.of)*3/4))
		}
	}
}

// readTimers reads the waiting times. Their ranges keep the state machines apart from each other.
func (v value) readTimers(t *Timers) {
	v.fields([]field{
		{"t1", func(v value) { v.readDuration(&t.T1, 10*time.Millisecond, 10*time.Second) }},
		{"t2", func(v value) { v.readDuration(&t.T2, 10*time.Millisecond, 60*time.Second) }},
		{"t4", func(v value) { v.readDuration(&t.T4, 10*time.Millisecond, 60*time.Second) }},
		// RFC 3261, Section 17.2.1: a 100 within 200 ms.
		{"trying", func(v value) { v.readDuration(&t.Trying, time.Millisecond, 200*time.Millisecond) }},
		// RFC 3261, Section 16.6 item 11: Timer C is longer than three minutes.
		{"timer_c", func(v value) { v.readDuration(&t.TimerC, 3*time.Minute+time.Millisecond, time.Hour) }},
		{"dial", func(v value) { v.readDuration(&t.Dial, 10*time.Millisecond, time.Minute) }},
		{"handshake", func(v value) { v.readDuration(&t.Handshake, 10*time.Millisecond, time.Minute) }},
		{"header_read", func(v value) { v.readDuration(&t.HeaderRead, 10*time.Millisecond, time.Minute) }},
		{"body_read", func(v value) { v.readDuration(&t.BodyRead, 10*time.Millisecond, 10*time.Minute) }},
		{"drain", func(v value) { v.readDuration(&t.Drain, 0, time.Hour) }},
		{"keepalive", func(v value) { v.readInterval(&t.Keepalive, 24*time.Hour) }},
		{"pong", func(v value) { v.readDuration(&t.Pong, 100*time.Millisecond, time.Minute) }},
		{"recycle", func(v value) { v.readInterval(&t.Recycle, 365*24*time.Hour) }},
	})
	if t.T2 < t.T1 {
		v.r.problemAt(v.key+".t2", "%v is less than t1 (%v), which retransmissions begin with: make it longer", t.T2, t.T1)
	}
}

// readInterval reads how often something happens, at most once a second; 0s is never.
func (v value) readInterval(to *time.Duration, high time.Duration) {
	if s, ok := v.text(); ok {
		d, err := time.ParseDuration(s)
		if err != nil || d != 0 && d < time.Second || d > high {
			v.problem("%q is neither 0s (never) nor a time from 1s to %v: write a number with its unit, such as 30s or 24h", s, high)
			return
		}
		*to = d
	}
}

// minMemory is the lowest limit of memory that leaves room for work: below it the collector would run all the time.
const minMemory = 32 << 20

// readMemory reads how much memory is spent to collect garbage less often.
func (v value) readMemory(m *Memory) {
	v.fields([]field{
		{"limit", func(v value) {
			v.readSize(&m.Limit, 0, min(1<<40, math.MaxInt))
			if m.Limit > 0 && m.Limit < minMemory {
				v.problem("%s is too little to work with: give %s or more, or 0 for no limit", sizeText(m.Limit), sizeText(minMemory))
			}
		}},
		{"gc_percent", func(v value) { v.readInt(&m.GCPercent, 10, 1000) }},
		{"gc_headroom", func(v value) { v.readSize(&m.GCHeadroom, 0, 1<<30) }},
	})
}
