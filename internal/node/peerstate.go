package node

import (
	"time"

	"github.com/tandem-sip/tandem/transport"
)

// PeerState is what a configured peer is to this side.
type PeerState uint8

// The states. The zero value is that nothing is known.
const (
	PeerIdle      PeerState = iota // no connection, and nothing was the matter
	PeerConnected                  // a connection stands open
	PeerFailing                    // the last that happened was a failure
)

// PeerStates are all of them.
func PeerStates() []PeerState { return []PeerState{PeerIdle, PeerConnected, PeerFailing} }

// String returns the word for it.
func (s PeerState) String() string { return [...]string{"idle", "connected", "failing"}[s] }

// State tells of a peer by what happened last: a connection that was opened, or a failure.
func (p *PeerStatus) State() PeerState {
	var opened time.Time // of the newest that is open
	for i := range p.Connections {
		if c := &p.Connections[i]; c.State == transport.Open && c.Opened.After(opened) {
			opened = c.Opened
		}
	}
	switch {
	case !p.Trouble.At.IsZero() && p.Trouble.At.After(opened):
		return PeerFailing
	case !opened.IsZero():
		return PeerConnected
	}
	return PeerIdle
}
