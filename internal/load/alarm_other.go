//go:build !linux

package load

import "time"

// timerAlarm rings at a time, as exactly as Go's timers do.
type timerAlarm struct {
	timer *time.Timer
	began time.Time
	gone  chan struct{}
}

// newAlarm returns an alarm for times since began.
func newAlarm(began time.Time) (*timerAlarm, error) {
	return &timerAlarm{timer: time.NewTimer(time.Hour), began: began, gone: make(chan struct{})}, nil
}

// set has the alarm ring at a time, and no more at the one that was set before.
func (a *timerAlarm) set(at instant) { a.timer.Reset(max(at-time.Since(a.began), 0)) }

// wait returns when the alarm has rung, and false when it was closed.
func (a *timerAlarm) wait() bool {
	select {
	case <-a.timer.C:
		return true
	case <-a.gone:
		return false
	}
}

func (a *timerAlarm) close() { close(a.gone) }
