package proxy

import (
	"sync/atomic"

	"github.com/tandem-sip/tandem/sip"
)

// Stats are the counters of a Core since it was made. Methods that nobody knows are counted together.
type Stats struct {
	Requests          map[string]uint64 // received, by method; "other" for those not known
	Forwarded         map[string]uint64 // sent, by method; one that is tried twice counts twice
	ResponsesReceived [7]uint64         // by class: index 1 for 1xx ... 6 for 6xx
	ResponsesSent     [7]uint64
	Active            int64  // response contexts that wait for a final response
	Malformed         uint64 // messages that could not be parsed
	ConnectErrors     uint64 // addresses to which there was no connection
	Replays           uint64 // requests sent again because their connection broke
	TimerC            uint64 // INVITEs that rang too long
	DroppedAcks       uint64 // ACKs to a 2xx that could not be forwarded
	Undelivered       uint64 // responses that the client could not be given
}

type counters struct {
	requests, forwarded methodCounters
	received, sent      classCounters
	active              atomic.Int64
	malformed, connectErrors, replays, timerC,
	droppedAcks, undelivered atomic.Uint64
}

// Stats returns the counters.
func (c *Core) Stats() Stats {
	s := &c.stats
	return Stats{
		Requests: s.requests.read(), Forwarded: s.forwarded.read(),
		ResponsesReceived: s.received.read(), ResponsesSent: s.sent.read(),
		Active: s.active.Load(), Malformed: s.malformed.Load(), ConnectErrors: s.connectErrors.Load(),
		Replays: s.replays.Load(), TimerC: s.timerC.Load(), DroppedAcks: s.droppedAcks.Load(),
		Undelivered: s.undelivered.Load(),
	}
}

// countedMethods are the methods with a counter of their own. What peers write never becomes a name of a counter.
var countedMethods = [...]string{
	sip.MethodInvite, sip.MethodAck, sip.MethodBye, sip.MethodCancel, sip.MethodOptions, sip.MethodRegister,
	sip.MethodMessage, sip.MethodInfo, sip.MethodPrack, sip.MethodUpdate, sip.MethodPublish,
	sip.MethodSubscribe, sip.MethodNotify, sip.MethodRefer,
}

type methodCounters [len(countedMethods) + 1]atomic.Uint64

func (m *methodCounters) count(method string) {
	for i, name := range countedMethods {
		if name == method {
			m[i].Add(1)
			return
		}
	}
	m[len(countedMethods)].Add(1)
}

func (m *methodCounters) read() map[string]uint64 {
	out := make(map[string]uint64, len(m))
	for i, name := range countedMethods {
		out[name] = m[i].Load()
	}
	out["other"] = m[len(countedMethods)].Load()
	return out
}

type classCounters [7]atomic.Uint64

func (c *classCounters) countStatus(status int) {
	if class := status / 100; class >= 1 && class <= 6 {
		c[class].Add(1)
	}
}

func (c *classCounters) read() (out [7]uint64) {
	for i := range c {
		out[i] = c[i].Load()
	}
	return out
}
