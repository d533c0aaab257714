package transaction

// The INVITE server transaction: RFC 3261, Section 17.2.1, with the Figure 7 of RFC 6026, Section 8.6.

func (m *machine) serverInvite(t *Timers, ev event, now instant) actions {
	switch ev.kind {
	case evStart:
		m.state = Proceeding
		m.again = m.tryingAt(t, now)
		return passRequest
	case evMessage:
		if m.state == Proceeding {
			m.again = 0 // what is sent now, the 100 if there is nothing else, is what Trying was set for
			return resendResponse
		}
		if m.state == Completed {
			return resendResponse
		}
	case evRespond:
		return m.serverInviteRespond(t, ev.status, now)
	case evRefuse:
		if m.state == Proceeding {
			return sendResponse | release | m.terminate()
		}
	case evAck:
		switch m.state {
		case Completed:
			return m.enter(Confirmed, m.unlessReliable(t.I), now)
		case Accepted: // RFC 6026, Section 7.1
			return passAck
		}
	case evCancel:
		// With a final response given, a CANCEL has no effect: RFC 3261, Section 9.2.
		if m.state == Proceeding && !m.cancel {
			m.cancel = true
			return passCancel
		}
	case evFailed: // The state stays, to absorb retransmissions: RFC 6026, Section 7.1.
		return tellFailed
	case evTick:
		switch {
		case m.until != 0 && now >= m.until: // timers H, I and L
			if m.state == Completed { // no ACK came
				return tellTimeout | m.terminate()
			}
			return m.terminate()
		case m.state == Proceeding && m.again != 0 && now >= m.again: // Trying
			m.again = 0
			return sendTrying
		case m.again != 0 && now >= m.again: // Timer G
			m.interval = min(2*m.interval, t.T2)
			m.again = now + m.interval
			return resendResponse
		}
	}
	return 0
}

// tryingAt is when the 100 is due. Transactions that begin at about the same time have the same instant, so that
// the clock need not wake for each.
func (m *machine) tryingAt(t *Timers, now instant) instant {
	return (now + t.Trying).Truncate(max(t.Trying/4, 1))
}

func (m *machine) serverInviteRespond(t *Timers, status int, now instant) actions {
	switch {
	case m.state == Accepted && status >= 200 && status < 300:
		return sendResponse // The 2xx again, or that of another branch of the user's fork.
	case m.state != Proceeding:
		return 0
	case status < 200:
		m.again = 0
		return sendResponse
	case status < 300:
		return sendResponse | release | m.enter(Accepted, t.L, now)
	}
	acts := sendResponse | release | m.enter(Completed, t.H, now)
	if !m.reliable {
		m.interval, m.again = t.T1, now+t.T1
	}
	return acts
}
