package load

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// timerAlarm rings at a time, to some ten microseconds. Go's own timers are late by up to a millisecond when
// nothing else goes on, which would be most of what is measured.
type timerAlarm struct {
	file  *os.File
	fd    int
	began time.Time
}

// newAlarm returns an alarm for times since began.
func newAlarm(began time.Time) (*timerAlarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	return &timerAlarm{file: os.NewFile(uintptr(fd), "timer"), fd: fd, began: began}, nil
}

// set has the alarm ring at a time, and no more at the one that was set before.
func (a *timerAlarm) set(at instant) {
	left := max(at-time.Since(a.began), time.Nanosecond)
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(left.Nanoseconds())}
	_ = unix.TimerfdSettime(a.fd, 0, &spec, nil) // fails for wrong arguments only
}

// wait returns when the alarm has rung, and false when it was closed.
func (a *timerAlarm) wait() bool {
	var count [8]byte
	_, err := a.file.Read(count[:])
	return err == nil
}

func (a *timerAlarm) close() { _ = a.file.Close() }
