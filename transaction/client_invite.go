package transaction

// The INVITE client transaction: RFC 3261, Section 17.1.1, with the Figure 5 of RFC 6026, Section 8.4.
// Canceling (RFC 3261, Section 9.1) is part of the machine, because whether and when a CANCEL may be sent
// depends on its state.

func (m *machine) clientInvite(t *Timers, ev event, now instant) actions {
	switch ev.kind {
	case evStart: // RFC 3261, Section 17.1.1.2
		m.state, m.until = Calling, now+t.B
		if !m.reliable {
			m.interval, m.again = t.T1, now+t.T1
		}
		return sendRequest
	case evMessage:
		return m.clientInviteResponse(t, ev.status, now)
	case evCancel:
		return m.clientInviteCancel(t, now)
	case evFailed:
		switch m.state {
		case Calling, Proceeding, Completed:
			return m.unlessDeaf(tellFailed) | m.terminate()
		}
	case evClosed:
		return m.clientInviteClosed(t, now)
	case evTick:
		return m.clientInviteTick(now)
	}
	return 0
}

func (m *machine) clientInviteResponse(t *Timers, status int, now instant) actions {
	switch m.state {
	case Calling, Proceeding:
		switch {
		case status < 200:
			if m.state == Calling {
				// Neither A nor B runs in Proceeding: how long a call may ring is the user's affair
				// (Timer C: RFC 3261, Section 16.7).
				m.state, m.again, m.until = Proceeding, 0, 0
			}
			acts := m.unlessDeaf(passResponse)
			if m.wanted {
				acts |= m.clientInviteCancel(t, now)
			}
			return acts
		case status < 300: // RFC 6026, Section 7.2
			return m.unlessDeaf(passResponse) | release | m.enter(Accepted, t.M, now)
		default:
			return m.unlessDeaf(passResponse) | sendAck | m.enter(Completed, m.unlessReliable(t.D), now)
		}
	case Completed:
		if status >= 300 { // A retransmission: its ACK was lost.
			return sendAck
		}
	case Accepted:
		if status >= 200 && status < 300 { // Again, or from another branch of a fork downstream.
			return m.unlessDeaf(passResponse)
		}
	}
	return 0
}

// clientInviteCancel sends the CANCEL, or holds it until a provisional response has come. With a final
// response there is nothing left to cancel.
func (m *machine) clientInviteCancel(t *Timers, now instant) actions {
	switch {
	case m.cancel:
	case m.state == Calling:
		m.wanted = true
	case m.state == Proceeding:
		m.wanted, m.cancel, m.until = false, true, now+t.Cancel
		return sendCancel
	}
	return 0
}

// clientInviteClosed gives up an INVITE whose connection is gone. If the far side had begun to work on
// it, it is told to stop over a new connection, and the machine stays to acknowledge what it says to
// that: RFC 5923, Section 8.1.
func (m *machine) clientInviteClosed(t *Timers, now instant) actions {
	switch m.state {
	case Calling:
		return m.unlessDeaf(tellFailed) | m.terminate()
	case Proceeding:
		acts := m.unlessDeaf(tellFailed) | m.clientInviteCancel(t, now)
		m.deaf = true
		return acts
	}
	return 0
}

func (m *machine) clientInviteTick(now instant) actions {
	switch {
	case m.until != 0 && now >= m.until: // timers B, D, M and Cancel
		if m.state == Calling || m.state == Proceeding {
			return m.unlessDeaf(tellTimeout) | m.terminate()
		}
		return m.terminate()
	case m.again != 0 && now >= m.again: // Timer A: the interval doubles, without a limit
		m.interval *= 2
		m.again = now + m.interval
		return sendRequest
	}
	return 0
}

// unlessDeaf is a, unless the user was told of a failure, which is the last that it hears.
func (m *machine) unlessDeaf(a actions) actions {
	if m.deaf {
		return 0
	}
	return a
}
