package transport

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/tandem-sip/tandem/identity"
)

// refusedEvery is how often it is said aloud that a peer was refused. Anybody can have that said.
const refusedEvery = 10 * time.Second

// lately remembers when something was said aloud last.
type lately struct{ at atomic.Int64 }

// level is Warn when nothing of the kind was said for refusedEvery, else Debug.
func (l *lately) level(now time.Time) slog.Level {
	last := l.at.Load()
	if last != 0 && now.UnixNano()-last < int64(refusedEvery) || !l.at.CompareAndSwap(last, now.UnixNano()) {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// logFailed logs that no connection could be made with a peer. That its certificate proves nothing is what an
// operator has to act on, and the peer is told next to nothing by TLS; all else goes away by itself, or shows in
// the answers to requests.
func (t *Transport) logFailed(said *lately, what string, peer any, err error) {
	level := slog.LevelDebug
	var auth *AuthError
	var refused *identity.VerifyError
	if errors.As(err, &auth) || errors.As(err, &refused) {
		level = said.level(time.Now())
	}
	t.cfg.Logger.Log(context.Background(), level, what, "peer", peer, "err", err)
}
