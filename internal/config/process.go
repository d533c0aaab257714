package config

import (
	"log/slog"
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
		{"transactions", func(v value) { v.readInt(&l.Transactions, 1, 100_000_000) }},
		{"start_line", func(v value) { v.readSize(&l.StartLine, 256, 1<<20) }},
		{"header", func(v value) { v.readSize(&l.Header, 1<<10, 16<<20) }},
		{"body", func(v value) { v.readSize(&l.Body, 1<<10, 64<<20) }},
		{"queue", func(v value) { v.readSize(&l.Queue, 4<<10, 1<<30) }},
	})
}

// readTimers reads the waiting times. Their ranges keep the state machines apart from each other.
func (v value) readTimers(t *Timers) {
	v.fields([]field{
		{"t1", func(v value) { v.readDuration(&t.T1, 10*time.Millisecond, 10*time.Second) }},
		{"t2", func(v value) { v.readDuration(&t.T2, 10*time.Millisecond, 60*time.Second) }},
		{"t4", func(v value) { v.readDuration(&t.T4, 10*time.Millisecond, 60*time.Second) }},
		// RFC 3261, Section 16.6 item 11: Timer C is longer than three minutes.
		{"timer_c", func(v value) { v.readDuration(&t.TimerC, 3*time.Minute+time.Millisecond, time.Hour) }},
		{"dial", func(v value) { v.readDuration(&t.Dial, 10*time.Millisecond, time.Minute) }},
		{"handshake", func(v value) { v.readDuration(&t.Handshake, 10*time.Millisecond, time.Minute) }},
		{"header_read", func(v value) { v.readDuration(&t.HeaderRead, 10*time.Millisecond, time.Minute) }},
		{"body_read", func(v value) { v.readDuration(&t.BodyRead, 10*time.Millisecond, 10*time.Minute) }},
		{"drain", func(v value) { v.readDuration(&t.Drain, 0, time.Hour) }},
	})
	if t.T2 < t.T1 {
		v.r.problemAt(v.key+".t2", "%v is less than t1 (%v), which retransmissions begin with: make it longer", t.T2, t.T1)
	}
}
