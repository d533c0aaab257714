package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/tandem-sip/tandem/internal/node"
)

// manager tells systemd how the process does, as sd_notify(3) describes, when it asked for that. Whether it listens
// changes nothing here, so there are no errors.
type manager struct {
	// mu guards the fields below.
	mu       sync.Mutex
	silent   bool   // another process is the one that systemd watches
	trouble  string // what is to stay in the status until it is mended
	watchdog time.Duration
}

func newManager() *manager {
	m := &manager{}
	m.watchdog, _ = daemon.SdWatchdogEnabled(false) // what cannot be read is no watchdog
	return m
}

// notify tells a change of state.
func (m *manager) notify(state string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.silent {
		_, _ = daemon.SdNotify(false, state)
	}
}

// ready ends a start or a reload. trouble is why a reload was refused, and is shown until the next one.
func (m *manager) ready(trouble string) {
	m.mu.Lock()
	m.trouble = trouble
	m.mu.Unlock()
	m.notify(daemon.SdNotifyReady + "\nSTATUS=" + trouble)
}

// reloading begins a reload. Since systemd 253 it tells reloads apart by the time.
func (m *manager) reloading() {
	m.notify(daemon.SdNotifyReloading + "\n" + strings.TrimSuffix(daemon.SdNotifyMonotonicUsec(), "\n"))
}

// yield makes another process the one that is watched. That one is told to speak for itself afterwards.
func (m *manager) yield(pid int) {
	m.notify(fmt.Sprintf("MAINPID=%d\n%s\nSTATUS=", pid, daemon.SdNotifyReady))
	m.mu.Lock()
	m.silent = true
	m.mu.Unlock()
}

// statusEvery is how often systemd is told what goes on, where the watchdog does not ask for more.
const statusEvery = 10 * time.Second

// every returns how often alive is to be called.
func (m *manager) every() time.Duration {
	if m.watchdog > 0 {
		return min(m.watchdog/3, statusEvery)
	}
	return statusEvery
}

// alive says that the process is alive, and what it does. The node is asked first: when a lock is never given back
// nothing is said, and the watchdog ends the process.
func (m *manager) alive(n *node.Node) {
	transactions, census := n.Outstanding(), n.Census()
	connections := 0
	for _, c := range census.Open {
		connections += c
	}
	m.mu.Lock()
	status := fmt.Sprintf("%s: %s, %s", n.State(), count(connections, "connection"), count(transactions, "transaction"))
	if m.trouble != "" {
		status += "; " + m.trouble
	}
	m.mu.Unlock()
	if m.watchdog > 0 {
		status += "\n" + daemon.SdNotifyWatchdog
	}
	m.notify("STATUS=" + status)
}
