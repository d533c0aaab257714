package transport

import (
	"errors"
	"net/netip"
	"time"
)

var errGate = errors.New("transport: too many handshakes at once")

// gate bounds how many handshakes compute at once.
type gate struct{ slots chan struct{} }

func newGate(n int) *gate { return &gate{slots: make(chan struct{}, n)} }

// enter waits for a slot until the deadline and reports whether it got one.
func (g *gate) enter(deadline time.Time) bool {
	select {
	case g.slots <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case g.slots <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}

func (g *gate) leave() { <-g.slots }

// admit decides whether an accepted connection from ip may stay, counts it if so, and reports why
// not otherwise.
func (t *Transport) admit(ip netip.Addr) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.life != running:
		return ErrClosed
	case t.held >= t.cfg.MaxConnections:
		t.count.refusedFull.Add(1)
		return ErrTooManyConnections
	case t.perSource[source(ip)] >= t.cfg.MaxPerSource:
		t.count.refusedSource.Add(1)
		return ErrTooManyConnections
	}
	t.held++
	t.perSource[source(ip)]++
	return nil
}

// admitDialed is admit for a connection that is about to be dialed.
func (t *Transport) admitDialed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.life >= stopped:
		return ErrClosed
	case t.held >= t.cfg.MaxConnections:
		t.count.dialsRefused.Add(1)
		return ErrTooManyConnections
	case t.dialing >= t.cfg.MaxDials:
		t.count.dialsRefused.Add(1)
		return ErrTooManyDials
	}
	t.held++
	t.dialing++
	t.wg.Add(1)
	return nil
}

// dismiss takes back what admit counted; ip is invalid for a dialed connection.
func (t *Transport) dismiss(ip netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held--
	if ip = source(ip); ip.IsValid() {
		if t.perSource[ip]--; t.perSource[ip] == 0 {
			delete(t.perSource, ip)
		}
	}
}

// source returns what MaxPerSource counts by: an IPv4 address, or the 64-bit prefix that an IPv6
// host may choose its addresses from.
func source(ip netip.Addr) netip.Addr {
	if ip.Is6() {
		if p, err := ip.WithZone("").Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return ip
}
