package transport

import (
	"sync/atomic"

	"github.com/tandem-sip/tandem/alias"
	"github.com/tandem-sip/tandem/sctp"
)

// Stats has counters since the start, and the figures of the moment.
type Stats struct {
	Connections    int // open now
	Pending        int // of them in their handshake, accepted ones only
	AliasRows      map[string]int
	Dialing        int
	Accepted       uint64
	Dialed         uint64
	DialsFailed    uint64
	DialsShared    uint64 // requests that waited for a dial which another one had begun
	MessagesIn     uint64
	DatagramsIn    uint64
	DatagramsOut   uint64
	DatagramErrors uint64

	HandshakesServer       uint64 // done, as server
	HandshakesServerFailed uint64
	HandshakesClient       uint64
	HandshakesClientFailed uint64
	Resumed                uint64 // of both
	AuthFailed             uint64 // servers that did not prove the name wanted
	PeersRefused           uint64 // clients whose certificate did not verify

	// Aliases counts what became of requests with the alias parameter on accepted connections, by
	// reason; alias.Reuse stands for a row made or kept.
	Aliases map[alias.Reason]uint64

	Malformed       uint64 // framing errors and messages that do not parse
	StrayResponses  uint64 // dropped: RFC 3261, Section 18.1.2
	Pings           uint64
	PingsUnanswered uint64 // dropped as a flood
	PingsSent       uint64
	KeepsAnswered   uint64 // requests whose offer of keepalives was taken: RFC 6223
	KeepsAgreed     uint64 // connections whose peer took ours
	Recycled        uint64 // connections closed for their age
	Settled         uint64 // connections given back because both sides had dialed at once
	Slow            uint64 // connections closed by HeaderTimeout or BodyTimeout
	QueueFull       uint64 // messages turned away
	Stalled         uint64 // connections closed because the peer takes nothing
	NoPong          uint64 // connections closed because a ping was not answered
	Suspected       uint64 // connections probed because a ping, or transactions in a row, were not answered
	Wedged          uint64 // of them, those closed because nothing came after unanswered transactions
	Truncated       uint64 // TLS connections that ended without a closure alert
	Panics          uint64 // of the handler and of callbacks
	RefusedFull     uint64 // accepted connections closed at once: MaxConnections
	RefusedSource   uint64 // MaxPerSource
	RefusedPending  uint64 // closed in their handshake: MaxPending
	RefusedIdentity uint64 // closed after their handshake: MaxPerIdentity
	// RefusedPendingSource counts those closed in their handshake: MaxPendingPerSource.
	RefusedPendingSource uint64
	Reclaimed            uint64 // connections closed because nobody used them, and there were many
	HandshakeTimeout     uint64
	AcceptErrors         uint64 // the system had no descriptor left, for one
	DialsRefused         uint64 // MaxDials and MaxWaiters
	RepliesLost          uint64 // responses whose connection was gone, and no new one could be made
	RepliesRedialed      uint64 // responses for which a new connection was made or found
	RepliesRescued       uint64 // of them and of the lost ones, those that waited to be written when the first one broke
	LargeOverTCP         uint64 // requests that went by TCP for their size
	LargeOverUDP         uint64 // of them, those that fell back to UDP

	SCTP sctp.Stats // of all local addresses together
}

// counters are the atomic twins of the counters of Stats.
type counters struct {
	accepted, dialed, dialsFailed, dialsShared           atomic.Uint64
	messagesIn, datagramsIn, datagramsOut, datagramErrs  atomic.Uint64
	hsServer, hsServerFailed, hsClient, hsClientFailed   atomic.Uint64
	resumed, authFailed, peersRefused, hsTimeout         atomic.Uint64
	malformed, stray, pings, pingsUnanswered, slow       atomic.Uint64
	queueFull, stalled, noPong, truncated, panics        atomic.Uint64
	refusedFull, refusedSource, refusedPending           atomic.Uint64
	acceptErrors, dialsRefused, repliesLost, repliesBack atomic.Uint64
	largeTCP, largeUDP                                   atomic.Uint64
	suspected, wedged, repliesRescued                    atomic.Uint64
	pingsSent, keepsAnswered, keepsAgreed, recycled      atomic.Uint64
	settled, refusedIdentity, refusedPendingSource       atomic.Uint64
	reclaimed                                            atomic.Uint64
	aliases                                              [64]atomic.Uint64 // by alias.Reason
}

// learned counts what became of a request with the alias parameter.
func (c *counters) learned(r alias.Reason) {
	if int(r) < len(c.aliases) {
		c.aliases[r].Add(1)
	}
}

// Stats returns the counters. They are read one after the other, not at one moment.
func (t *Transport) Stats() Stats {
	c := &t.count
	s := Stats{
		Accepted: c.accepted.Load(), Dialed: c.dialed.Load(), DialsFailed: c.dialsFailed.Load(),
		DialsShared: c.dialsShared.Load(), MessagesIn: c.messagesIn.Load(),
		DatagramsIn: c.datagramsIn.Load(), DatagramsOut: c.datagramsOut.Load(), DatagramErrors: c.datagramErrs.Load(),
		HandshakesServer: c.hsServer.Load(), HandshakesServerFailed: c.hsServerFailed.Load(),
		HandshakesClient: c.hsClient.Load(), HandshakesClientFailed: c.hsClientFailed.Load(),
		Resumed: c.resumed.Load(), AuthFailed: c.authFailed.Load(), PeersRefused: c.peersRefused.Load(),
		Malformed: c.malformed.Load(), StrayResponses: c.stray.Load(), Pings: c.pings.Load(),
		PingsUnanswered: c.pingsUnanswered.Load(), Slow: c.slow.Load(), QueueFull: c.queueFull.Load(),
		Stalled: c.stalled.Load(), NoPong: c.noPong.Load(), Truncated: c.truncated.Load(), Panics: c.panics.Load(),
		RefusedFull: c.refusedFull.Load(), RefusedSource: c.refusedSource.Load(), RefusedPending: c.refusedPending.Load(),
		HandshakeTimeout: c.hsTimeout.Load(), AcceptErrors: c.acceptErrors.Load(), DialsRefused: c.dialsRefused.Load(),
		RepliesLost: c.repliesLost.Load(), RepliesRedialed: c.repliesBack.Load(),
		LargeOverTCP: c.largeTCP.Load(), LargeOverUDP: c.largeUDP.Load(),
		Suspected: c.suspected.Load(), Wedged: c.wedged.Load(), RepliesRescued: c.repliesRescued.Load(),
		PingsSent: c.pingsSent.Load(), KeepsAnswered: c.keepsAnswered.Load(), KeepsAgreed: c.keepsAgreed.Load(),
		Recycled: c.recycled.Load(), Settled: c.settled.Load(),
		RefusedIdentity: c.refusedIdentity.Load(), RefusedPendingSource: c.refusedPendingSource.Load(),
		Reclaimed: c.reclaimed.Load(),
		AliasRows: make(map[string]int), Aliases: make(map[alias.Reason]uint64),
	}
	for i := range c.aliases {
		if n := c.aliases[i].Load(); n > 0 {
			s.Aliases[alias.Reason(i)] = n
		}
	}
	t.mu.Lock()
	s.Connections, s.Pending = len(t.conns), len(t.pending)
	providers := t.providers // which nobody changes once it is open
	t.mu.Unlock()
	for _, p := range providers {
		addStats(&s.SCTP, p.Stats())
	}
	for _, d := range t.allDomains() {
		d.mu.Lock()
		if d.name != "" {
			s.AliasRows[d.name] = d.table.Len()
		}
		s.Dialing += len(d.dials)
		d.mu.Unlock()
	}
	return s
}
