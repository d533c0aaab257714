package transaction

import (
	"strings"
	"time"
)

// Kind tells the four state machines apart.
type Kind uint8

// The state machines.
const (
	ClientInvite    Kind = iota // RFC 3261, Section 17.1.1
	ClientNonInvite             // RFC 3261, Section 17.1.2
	ServerInvite                // RFC 3261, Section 17.2.1
	ServerNonInvite             // RFC 3261, Section 17.2.2
	kinds
)

// String returns "client-invite", "client-noninvite", "server-invite" or "server-noninvite".
func (k Kind) String() string {
	if k >= kinds {
		return "unknown"
	}
	return [...]string{"client-invite", "client-noninvite", "server-invite", "server-noninvite"}[k]
}

// State is the state of a transaction, as in the figures of RFC 3261, Section 17 and RFC 6026.
type State uint8

// The states. Not every machine has each.
const (
	Calling State = iota
	Trying
	Proceeding
	Completed
	Confirmed
	Accepted
	Terminated
)

// String returns the state in lower case.
func (s State) String() string {
	if s > Terminated {
		return "unknown"
	}
	return [...]string{"calling", "trying", "proceeding", "completed", "confirmed", "accepted", "terminated"}[s]
}

// instant is a point in time, as the time since the layer was made. Machines never compare it with
// anything but what they were given.
type instant = time.Duration

// eventKind says what happened to a transaction.
type eventKind uint8

const (
	evStart   eventKind = iota // client: the user's request; server: the request that made the transaction
	evMessage                  // client: a response; server: the request again
	evRespond                  // server: the user's response
	evRefuse                   // server: the same, of which nothing is kept
	evAck                      // server: an ACK
	evCancel                   // client: the user wants to cancel; server: a CANCEL came
	evFailed                   // what was sent could not be delivered
	evClosed                   // client: the connection that carried the request is gone
	evTick                     // time has passed
)

// event is what happened, with the status of the response if it was one.
type event struct {
	kind   eventKind
	status int
}

// actions is a set of things to do. Where several are set, they are done in the order below.
type actions uint16

const (
	sendRequest    actions = 1 << iota // client: the request, the first time or again
	sendAck                            // client: the ACK for a final response other than 2xx
	sendCancel                         // client: a CANCEL, in a transaction of its own
	sendTrying                         // server: a 100 made by the layer
	sendResponse                       // server: the response that the user just gave
	resendResponse                     // server: the last response again
	passRequest                        // server: to the user
	passResponse                       // client: to the user
	passAck                            // server: to the user
	passCancel                         // server: to the user
	tellTimeout                        // tell the user that a timer ended the transaction
	tellFailed                         // tell the user that a message could not be delivered
	release                            // what was kept of the request is not needed any more
	end                                // the transaction is over
)

var actionNames = [...]string{
	"send-request", "send-ack", "send-cancel", "send-trying", "send-response", "resend-response",
	"pass-request", "pass-response", "pass-ack", "pass-cancel", "tell-timeout", "tell-failed", "release", "end",
}

// String returns the names of the actions, in the order in which they are done.
func (a actions) String() string {
	var names []string
	for i, name := range actionNames {
		if a&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// machine is one transaction's state. It is pure: step is a function of its fields, the event and the
// time alone. Make one with newMachine and give it evStart first.
type machine struct {
	kind     Kind
	state    State
	reliable bool

	wanted bool // client INVITE: cancel at the first provisional response
	cancel bool // client INVITE: canceled; server INVITE: the user was told of a CANCEL
	deaf   bool // client INVITE: the user was told of a failure and is told nothing more

	interval time.Duration // of the timer again
	again    instant       // when to do something once more: timers A, E, G, Trying and Slow; 0: not set
	until    instant       // when the state ends: all other timers; 0: not set
}

// newMachine returns a machine that waits for evStart.
func newMachine(kind Kind, reliable bool) machine { return machine{kind: kind, reliable: reliable} }

// step takes an event at a time and returns what to do. In Terminated it returns nothing.
func (m *machine) step(t *Timers, ev event, now instant) actions {
	if m.state == Terminated {
		return 0
	}
	switch m.kind {
	case ClientInvite:
		return m.clientInvite(t, ev, now)
	case ClientNonInvite:
		return m.clientNonInvite(t, ev, now)
	case ServerInvite:
		return m.serverInvite(t, ev, now)
	default:
		return m.serverNonInvite(t, ev, now)
	}
}

// due returns when the machine wants evTick next, 0 if no timer is set.
func (m *machine) due() instant {
	if m.again != 0 && (m.until == 0 || m.again < m.until) {
		return m.again
	}
	return m.until
}

// enter goes to a state that ends after d, with no other timer. A state that lasts no time at all, such
// as Completed over a reliable transport, ends the transaction at once.
func (m *machine) enter(s State, d time.Duration, now instant) actions {
	m.again = 0
	if d <= 0 {
		return m.terminate()
	}
	m.state, m.until = s, now+d
	return 0
}

// unlessReliable is d for unreliable transports and zero for reliable ones: timers D, I, J and K.
func (m *machine) unlessReliable(d time.Duration) time.Duration {
	if m.reliable {
		return 0
	}
	return d
}

// terminate ends the transaction.
func (m *machine) terminate() actions {
	m.state, m.again, m.until = Terminated, 0, 0
	return end
}

// rests reports whether the transaction only waits for the end of its last timer, with nothing to do by itself.
func (m *machine) rests() bool {
	switch m.state {
	case Accepted, Confirmed:
		return true
	case Completed:
		return m.kind != ServerInvite
	}
	return false
}

// outstanding reports whether the transaction still owes or awaits a final response.
func (m *machine) outstanding() bool { return m.state <= Proceeding }

// timers names the timers of the state as the RFCs do: first the one in again, then the one in until.
func (m *machine) timers() (again, until string) {
	switch m.kind {
	case ClientInvite:
		switch m.state {
		case Calling:
			return "A", "B"
		case Proceeding:
			return "", "Cancel"
		case Completed:
			return "", "D"
		case Accepted:
			return "", "M"
		}
	case ClientNonInvite:
		switch m.state {
		case Trying, Proceeding:
			return "E", "F"
		case Completed:
			return "", "K"
		}
	case ServerInvite:
		switch m.state {
		case Proceeding:
			return "Trying", ""
		case Completed:
			return "G", "H"
		case Confirmed:
			return "", "I"
		case Accepted:
			return "", "L"
		}
	case ServerNonInvite:
		switch m.state {
		case Trying, Proceeding:
			return "Slow", "Abandon"
		case Completed:
			return "", "J"
		}
	}
	return "", ""
}
