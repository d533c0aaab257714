package node

import (
	"log/slog"
	"sync"
	"time"
)

// logLevel is the level of the log: that of the configuration, or for a time another one.
type logLevel struct {
	// mu guards the fields below.
	mu         sync.Mutex
	configured slog.Level
	until      time.Time   // the end of another one; zero: it is the configured one
	end        *time.Timer // nil: none is to end
}

// configure takes over what a configuration says. Another level that somebody has asked for stays for its time.
func (n *Node) configureLevel(l slog.Level) {
	n.logLevel.mu.Lock()
	defer n.logLevel.mu.Unlock()
	n.logLevel.configured = l
	if n.level != nil && n.logLevel.until.IsZero() {
		n.level.Set(l)
	}
}

// SetLogLevel has the log written at another level for a time, after which that of the configuration is in force again. It
// reports false when the node was given no level to set.
func (n *Node) SetLogLevel(l slog.Level, d time.Duration) bool {
	s := &n.logLevel
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.level == nil {
		return false
	}
	if s.end != nil {
		s.end.Stop()
	}
	until := time.Now().Add(d)
	s.until = until
	s.end = time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.until.Equal(until) { // nobody has asked for another one meanwhile
			n.resetLevelLocked()
		}
	})
	n.level.Set(l)
	return true
}

// ResetLogLevel has the log written at the level of the configuration.
func (n *Node) ResetLogLevel() {
	n.logLevel.mu.Lock()
	defer n.logLevel.mu.Unlock()
	n.resetLevelLocked()
}

func (n *Node) resetLevelLocked() {
	s := &n.logLevel
	if s.end != nil {
		s.end.Stop()
	}
	s.until, s.end = time.Time{}, nil
	if n.level != nil {
		n.level.Set(s.configured)
	}
}

// LogLevel returns the level of the log, that of the configuration, and until when the first is another one; zero when
// it is not.
func (n *Node) LogLevel() (now, configured slog.Level, until time.Time) {
	n.logLevel.mu.Lock()
	defer n.logLevel.mu.Unlock()
	now, configured, until = n.logLevel.configured, n.logLevel.configured, n.logLevel.until
	if n.level != nil {
		now = n.level.Level()
	}
	return now, configured, until
}
